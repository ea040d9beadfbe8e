//! What the tests put into the cluster: a namespace with Services, their slices and the personas of their nodes.

use foreshift_api::{
    JournalRoute, JournalRouteStatus, ResourcePersona,
    condition::{RouteCondition, find_condition},
};
use k8s_openapi::{api::discovery::v1::EndpointSlice, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::cluster::{Cluster, apply};

/// Pods of each backend.
const PODS: usize = 4;

/// One test's namespace.
pub(crate) struct Shop {
    pub(crate) admin: Client,
    pub(crate) namespace: String,
}

/// `journal`: lead `a`, alternate `b`, target `journal`.
pub(crate) fn route(name: &str) -> Value {
    json!({
        "apiVersion": "foreshift.dev/v1alpha1",
        "kind": "JournalRoute",
        "metadata": {"name": name},
        "spec": {
            "lead": {"service": "a", "port": 19532},
            "alternates": [{"service": "b", "port": 19532}],
            "target": {"service": "journal"},
        },
    })
}

impl Shop {
    /// An empty namespace.
    pub(crate) async fn open(namespace: &str) -> Self {
        let admin = Cluster::shared().admin().await;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        apply(&admin, None, &object).await;
        Self { admin, namespace: namespace.into() }
    }

    /// A namespace with the target `journal` and the backends `a` and `b`, each on a node of its own.
    pub(crate) async fn with_backends(namespace: &str) -> Self {
        let shop = Self::open(namespace).await;
        shop.apply_service("journal", "in", 80, None).await;
        for (i, name) in ["a", "b"].into_iter().enumerate() {
            shop.apply_service(name, "ingest", 19532, Some(name)).await;
            shop.apply_slice(name, i).await;
        }
        shop
    }

    /// Name of the node under a backend.
    pub(crate) fn node(&self, backend: &str) -> String {
        format!("{}-{backend}", self.namespace)
    }

    pub(crate) async fn apply_service(&self, name: &str, port: &str, number: i32, app: Option<&str>) {
        let selector = app.map(|app| json!({"app": app}));
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"name": port, "port": number, "protocol": "TCP"}]},
        });
        apply(&self.admin, Some(&self.namespace), &service).await;
    }

    /// As `kubectl apply` does: strict about fields that do not exist.
    pub(crate) async fn apply_route(&self, route: &Value) -> Result<(), kube::Error> {
        let routes: Api<JournalRoute> = Api::namespaced(self.admin.clone(), &self.namespace);
        let name = route["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("person").force().validation_strict();
        routes.patch_metadata(name, &params, &Patch::Apply(route)).await.map(drop)
    }

    /// Personas of both nodes, as fresh as now; the lead's at this load, the alternate's idle.
    pub(crate) async fn publish_personas(&self, lead: f64) {
        for (backend, load) in [("a", lead), ("b", 0.05)] {
            let personas: Api<ResourcePersona> = Api::all(self.admin.clone());
            let name = self.node(backend);
            let params = PatchParams::apply("agent").force();
            let head = json!({
                "apiVersion": "foreshift.dev/v1alpha1", "kind": "ResourcePersona", "metadata": {"name": name},
            });
            let mut spec = head.clone();
            spec["spec"] = json!({});
            personas.patch(&name, &params, &Patch::Apply(&spec)).await.unwrap();
            let mut status = head;
            status["status"] = self.measured(backend, load);
            personas.patch_status(&name, &params, &Patch::Apply(&status)).await.unwrap();
        }
    }

    /// Writes into the status of the route `journal` as the entry router does.
    pub(crate) async fn tell_as_router(&self, status: Value) {
        let routes: Api<JournalRoute> = Api::namespaced(self.admin.clone(), &self.namespace);
        let told = json!({
            "apiVersion": "foreshift.dev/v1alpha1", "kind": "JournalRoute", "metadata": {"name": "journal"},
            "status": status,
        });
        let params = PatchParams::apply(foreshift_api::ROUTER_FIELD_MANAGER);
        routes.patch_status("journal", &params, &Patch::Apply(&told)).await.unwrap();
    }

    /// The status of the route `journal`; empty while it has none.
    pub(crate) async fn status(&self) -> JournalRouteStatus {
        let routes: Api<JournalRoute> = Api::namespaced(self.admin.clone(), &self.namespace);
        routes.get("journal").await.unwrap().status.unwrap_or_default()
    }

    /// `True`, `False` or `Unknown`; empty while the condition is not there.
    pub(crate) async fn flag(&self, condition: RouteCondition) -> String {
        let status = self.status().await;
        find_condition(&status.conditions, condition).map(|c| c.status.clone()).unwrap_or_default()
    }

    pub(crate) async fn message(&self, condition: RouteCondition) -> String {
        let status = self.status().await;
        find_condition(&status.conditions, condition).map(|c| c.message.clone()).unwrap_or_default()
    }

    /// Endpoints of a slice, if it is there.
    pub(crate) async fn listed(&self, slice: &str) -> Option<usize> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.admin.clone(), &self.namespace);
        slices.get_opt(slice).await.unwrap().map(|slice| slice.endpoints.len())
    }

    async fn apply_slice(&self, backend: &str, number: usize) {
        let endpoint = |pod: usize| {
            json!({
                "addresses": [format!("10.1.{number}.{}", pod + 1)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": self.node(backend),
                "zone": "zone-1",
                "targetRef": {
                    "kind": "Pod", "namespace": self.namespace, "name": format!("{backend}-{pod}"),
                    "uid": format!("{backend}-{pod}"),
                },
            })
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{backend}-x"), "labels": {"kubernetes.io/service-name": backend}},
            "addressType": "IPv4",
            "endpoints": (0..PODS).map(endpoint).collect::<Vec<_>>(),
            "ports": [{"name": "ingest", "port": 19532, "protocol": "TCP"}],
        });
        apply(&self.admin, Some(&self.namespace), &slice).await;
    }

    fn measured(&self, backend: &str, load: f64) -> Value {
        let now = Timestamp::now();
        let window = |period: i64| {
            let permille = (load * 1000.0) as i64;
            json!({"period": format!("{period}s"), "step": now.as_second() / period, "load": vec![permille; 32]})
        };
        let usage = |used: f64| json!({"capacity": "1", "used": format!("{used:.3}")});
        json!({
            "observedAt": now,
            "sequence": now.as_second(),
            "scores": {"capacity": 50, "stability": 100, "affinity": 50, "cost": 50},
            "capacity": {
                "limiting": "cpu", "load": format!("{load:.2}"), "cpu": usage(load.min(1.0)),
                "memory": usage(0.1), "network": usage(0.0),
            },
            "workloads": [{
                "namespace": self.namespace, "service": backend, "pods": 4, "load": "0",
                "cpu": {"capacity": "0", "used": format!("{:.3}", load.min(1.0))},
                "memory": {"capacity": "0", "used": "0"},
            }],
            "history": {"fine": window(2), "coarse": window(15)},
        })
    }
}
