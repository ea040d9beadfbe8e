//! The stage of the demo: three journal services on three nodes, and the Service in front of them.

use std::{net::SocketAddr, time::Duration};

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::{
    Api, Client, Resource as _,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde::Deserialize as _;

use crate::error::{Error, Result, ask, until};

/// Namespace of everything here.
pub const NAMESPACE: &str = "demo";

/// The resources: the lead, then its alternates. Deployment and Service of the same name.
pub const RESOURCES: [&str; 3] = ["journal-a", "journal-b", "journal-c"];

/// The Service that clients call, and the name of the JournalRoute.
pub const TARGET: &str = "journal";

/// Port of every Service here.
pub const PORT: u16 = 19532;

/// Where, and in how many pods, the resources run.
#[derive(Clone)]
pub struct Stage {
    client: Client,
    nodes: [String; 3],
    image: String,
    pods: usize,
}

/// A pod of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalPod {
    /// Index into [`RESOURCES`].
    pub resource: usize,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// Its address.
    pub ip: String,
}

const MANAGER: &str = "foreshift-demo";
const NAMESPACE_YAML: &str = include_str!("../demo/namespace.yaml");
const RESOURCE_YAML: &str = include_str!("../demo/resource.yaml");
const TARGET_YAML: &str = include_str!("../demo/target.yaml");
const PODS_START_WITHIN: Duration = Duration::from_mins(2);

/// A client of the cluster that `KUBECONFIG` names.
pub async fn connect() -> Result<Client> {
    let unreachable = |why: String| {
        Error::Unfit(format!(
            "no cluster to talk to: {why}; set KUBECONFIG or start with `e2e/cluster/cluster run`"
        ))
    };
    let client = Client::try_default().await.map_err(|error| unreachable(error.to_string()))?;
    ask("the API server's version", client.apiserver_version())
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    Ok(client)
}

impl Stage {
    /// On the nodes named, or on the first three that take pods.
    pub async fn plan(client: Client, nodes: &[String], image: &str, pods: usize) -> Result<Self> {
        let able = able_nodes(&client).await?;
        if let Some(unknown) = nodes.iter().find(|node| !able.contains(node)) {
            return Err(Error::Unfit(format!(
                "node {unknown} takes no pods; those that do: {}",
                able.join(", ")
            )));
        }
        let chosen = if nodes.is_empty() { able } else { nodes.to_vec() };
        let nodes = chosen.into_iter().take(3).collect::<Vec<_>>().try_into().map_err(|few: Vec<_>| {
            Error::Unfit(format!("three nodes that take pods are needed, there are {}", few.len()))
        })?;
        Ok(Self { client, nodes, image: image.to_owned(), pods })
    }

    /// The nodes of the resources, in their order.
    #[must_use]
    pub fn nodes(&self) -> &[String; 3] {
        &self.nodes
    }

    /// Pods of each resource.
    #[must_use]
    pub fn pods_each(&self) -> usize {
        self.pods
    }

    /// The client that everything here is asked with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes what is missing, changes what differs, and waits until every pod is ready.
    pub async fn set(&self) -> Result<Vec<JournalPod>> {
        self.apply(NAMESPACE_YAML).await?;
        for (name, node) in RESOURCES.iter().zip(&self.nodes) {
            let yaml = RESOURCE_YAML
                .replace("$NAME", name)
                .replace("$NODE", node)
                .replace("$IMAGE", &self.image)
                .replace("$PODS", &self.pods.to_string());
            self.apply(&yaml).await?;
        }
        self.apply(TARGET_YAML).await?;
        self.pods().await
    }

    /// Replaces every pod, and with it its journal, by a fresh one.
    pub async fn renew_pods(&self) -> Result<Vec<JournalPod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let ours = ListParams::default().labels("app.kubernetes.io/part-of=foreshift-demo");
        let old = ask("list pods", pods.list(&ours)).await?;
        ask("delete pods", pods.delete_collection(&DeleteParams::default(), &ours)).await?;
        let gone = |pod: &JournalPod| !old.iter().any(|o| o.meta().uid.as_deref() == Some(&pod.uid));
        until("pods to be replaced", PODS_START_WITHIN, async || {
            let (ready, state) = self.ready_pods().await?;
            Ok(if ready.len() == self.pods * 3 && ready.iter().all(gone) { Ok(ready) } else { Err(state) })
        })
        .await
    }

    /// All pods, once every one of them is ready.
    pub async fn pods(&self) -> Result<Vec<JournalPod>> {
        until("the journal pods to be ready", PODS_START_WITHIN, async || {
            let (ready, state) = self.ready_pods().await?;
            Ok(if ready.len() == self.pods * 3 { Ok(ready) } else { Err(state) })
        })
        .await
    }

    /// Cluster IP and port of a Service.
    pub async fn address(&self, service: &str) -> Result<SocketAddr> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), NAMESPACE);
        let found = ask(format!("Service {service}"), services.get(service)).await?;
        found
            .spec
            .and_then(|spec| spec.cluster_ip)
            .and_then(|ip| ip.parse().ok())
            .map(|ip| SocketAddr::new(ip, PORT))
            .ok_or_else(|| Error::Unfit(format!("Service {service} has no ClusterIP")))
    }

    /// Server-side apply of every document in `yaml`.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let object = DynamicObject::deserialize(document)
                .map_err(|error| Error::Unfit(format!("a manifest does not parse: {error}")))?;
            apply_object(&self.client, &object).await?;
        }
        Ok(())
    }

    /// The ready pods, and in words what the others wait for.
    async fn ready_pods(&self) -> Result<(Vec<JournalPod>, String)> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let ours = ListParams::default().labels("app.kubernetes.io/part-of=foreshift-demo");
        let all = ask("list pods", pods.list(&ours)).await?.items;
        let ready: Vec<_> = all.iter().filter_map(ready_pod).collect();
        let waits = all.iter().find_map(waiting_reason).map_or(String::new(), |why| format!(", {why}"));
        let state = format!("{} of {} ready{waits}", ready.len(), self.pods * 3);
        Ok((ready, state))
    }
}

/// Server-side apply of one object of a kind that the demo knows.
pub async fn apply_object(client: &Client, object: &DynamicObject) -> Result<DynamicObject> {
    use foreshift_api::JournalRoute;
    use k8s_openapi::api::{apps::v1::Deployment, core::v1::Namespace};
    let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
    let resource = match kind {
        "Namespace" => ApiResource::erase::<Namespace>(&()),
        "Deployment" => ApiResource::erase::<Deployment>(&()),
        "Service" => ApiResource::erase::<Service>(&()),
        "JournalRoute" => ApiResource::erase::<JournalRoute>(&()),
        _ => return Err(Error::Unfit(format!("a manifest of kind \"{kind}\" is not foreseen"))),
    };
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let apply = PatchParams::apply(MANAGER).force();
    ask(format!("apply {kind} {name}"), api.patch(name, &apply, &Patch::Apply(object))).await
}

/// Names of the nodes that are ready and take pods, in order.
async fn able_nodes(client: &Client) -> Result<Vec<String>> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut names: Vec<_> = ask("list nodes", nodes.list(&ListParams::default()))
        .await?
        .into_iter()
        .filter(takes_pods)
        .filter_map(|node| node.metadata.name)
        .collect();
    names.sort();
    Ok(names)
}

fn takes_pods(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let repelling = spec
        .and_then(|spec| spec.taints.as_ref())
        .is_some_and(|taints| taints.iter().any(|taint| taint.effect != "PreferNoSchedule"));
    let ready = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|conditions| conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && !repelling && spec.and_then(|spec| spec.unschedulable) != Some(true)
}

fn ready_pod(pod: &Pod) -> Option<JournalPod> {
    let (meta, status) = (&pod.metadata, pod.status.as_ref()?);
    let ready = status.conditions.as_ref()?.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    if !ready || meta.deletion_timestamp.is_some() {
        return None;
    }
    let app = meta.labels.as_ref()?.get("app")?;
    Some(JournalPod {
        resource: RESOURCES.iter().position(|name| name == app)?,
        name: meta.name.clone()?,
        uid: meta.uid.clone()?,
        node: pod.spec.as_ref()?.node_name.clone()?,
        ip: status.pod_ip.clone()?,
    })
}

/// Why a container of the pod does not run, or why the pod has no node.
fn waiting_reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let container = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some(format!("{} {}", waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default()))
    });
    let unscheduled = || {
        let conditions = status.conditions.iter().flatten();
        conditions.filter(|c| c.status == "False").find_map(|c| c.message.clone())
    };
    let why = container.or_else(unscheduled)?;
    Some(format!("{}: {why}", pod.metadata.name.as_deref().unwrap_or_default()))
}
