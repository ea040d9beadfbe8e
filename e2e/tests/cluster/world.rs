//! What every test here needs: the stage of the demo, one test on it at a time, and Foreshift's own objects.

use std::{path::PathBuf, process::Command, time::Duration};

use clap::Parser as _;
use foreshift_e2e::{
    args::{Args, Command as Asked},
    calibrate::Capacity,
    demo,
    drive::Driver,
    error::{ask, until},
    stage::Stage,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The stage, for one test.
pub(crate) struct World {
    pub(crate) driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());
/// Measured by the first test, for all of them.
static CAPACITY: OnceCell<Capacity> = OnceCell::const_new();

const OPERATOR: &str = "app.kubernetes.io/name=foreshift,app.kubernetes.io/component=operator";

impl World {
    /// Waits for its turn and sets the stage; the first test of all measures what the lead carries.
    pub(crate) async fn enter() -> Self {
        let turn = TURN.lock().await;
        let known = CAPACITY.get().map(|capacity| capacity.requests_per_second);
        let mut driver = prepare(known).await;
        driver.capacity = *CAPACITY.get_or_init(async || driver.capacity).await;
        Self { driver, _turn: turn }
    }

    /// The same for a test that sends nothing, and need not know what the lead carries.
    pub(crate) async fn enter_idle() -> Self {
        let turn = TURN.lock().await;
        Self { driver: prepare(Some(1.0)).await, _turn: turn }
    }

    pub(crate) fn client(&self) -> Client {
        self.driver.stage.client().clone()
    }

    /// Waits until a node that was off is used again; its taints outlive its return by some seconds.
    pub(crate) async fn all_nodes_take_pods(&self) {
        until("all nodes to take pods", Duration::from_mins(1), async || {
            let plan = Stage::plan(self.client(), self.driver.stage.nodes(), "", 1).await;
            Ok(plan.map(|_| ()).map_err(|error| error.to_string()))
        })
        .await
        .unwrap();
    }

    /// The operator's Deployment.
    pub(crate) async fn operator(&self) -> Deployment {
        let everywhere: Api<Deployment> = Api::all(self.client());
        let found =
            ask("the operator", everywhere.list(&ListParams::default().labels(OPERATOR))).await.unwrap();
        found.items.into_iter().next().expect("Foreshift is installed")
    }

    /// The operator's pods.
    pub(crate) async fn operator_pods(&self) -> Vec<Pod> {
        let everywhere: Api<Pod> = Api::all(self.client());
        ask("its pods", everywhere.list(&ListParams::default().labels(OPERATOR))).await.unwrap().items
    }

    /// Sets the number of the operator's replicas and waits until exactly so many are ready.
    pub(crate) async fn scale_operator(&self, replicas: i32) {
        let operator = self.operator().await.metadata;
        let deployments: Api<Deployment> = Api::namespaced(self.client(), &operator.namespace.unwrap());
        let scale = serde_json::json!({"spec": {"replicas": replicas}});
        let name = operator.name.unwrap();
        ask("scale", deployments.patch(&name, &PatchParams::default(), &Patch::Merge(scale))).await.unwrap();
        self.operator_settles(replicas as usize).await;
    }

    /// Replaces the operator's pods. A mounted ConfigMap reaches running ones within a minute or two, new ones at once.
    pub(crate) async fn restart_operator(&self) {
        let old = self.operator_pods().await;
        for pod in &old {
            let pods: Api<Pod> = Api::namespaced(self.client(), &pod.namespace().unwrap());
            ask("end an operator", pods.delete(&pod.name_any(), &DeleteParams::default())).await.unwrap();
        }
        self.operator_settles(old.len()).await;
    }

    /// Waits until exactly so many pods of the operator are there, and ready.
    pub(crate) async fn operator_settles(&self, pods: usize) {
        until(format!("{pods} operators"), Duration::from_mins(2), async || {
            let now = self.operator_pods().await;
            let ready = now.iter().filter(|pod| is_ready(pod)).count();
            Ok(if (ready, now.len()) == (pods, pods) {
                Ok(())
            } else {
                Err(format!("{ready} of {} ready", now.len()))
            })
        })
        .await
        .unwrap();
    }
}

async fn prepare(capacity: Option<f64>) -> Driver {
    let mut arguments = vec!["foreshift-demo".to_owned(), "run".to_owned()];
    arguments.extend(capacity.map(|capacity| format!("--capacity={capacity}")));
    let Asked::Run(args) = Args::parse_from(arguments).command else { panic!("run was asked for") };
    demo::prepare(&args.stage).await.unwrap()
}

/// A command of the local cluster, such as a power cut; gives what it prints.
pub(crate) fn cluster(arguments: &[&str]) -> String {
    let mut command = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cluster/cluster"));
    let done = command.args(arguments).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.clone().any(|c| c.type_ == "Ready" && c.status == "True")
}
