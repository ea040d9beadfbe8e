//! Retraining by the chart's `CronJob`: from what was recorded to a challenger that the operator tries.

use std::{
    fmt::Write as _,
    net::{IpAddr, UdpSocket},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use foreshift_api::{
    LoadModel,
    condition::{ModelCondition, find_condition},
    load_model::ModelRole,
};
use foreshift_e2e::error::{ask, until};
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{ConfigMap, HostAlias, Pod},
};
use kube::{
    Api, Config, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, LogParams, ObjectMeta, PostParams},
};

use crate::{
    prometheus::Prometheus,
    world::{World, cluster},
};

const TRAINER: &str = "app.kubernetes.io/name=foreshift,app.kubernetes.io/component=trainer";

/// A training takes seconds of a core, and a node has a fifth of one.
const TRAINED_WITHIN: Duration = Duration::from_mins(3);

/// Step of the recorded loads, and how many there are: six hours.
const PERIOD: i64 = 15;
const STEPS: i64 = 1_440;

/// What the chart is told, beside turning retraining on.
const IMAGE: [&str; 2] = ["retraining.image.tag=dev", "retraining.image.pullPolicy=Never"];

#[tokio::test]
async fn a_night_with_too_little_history_ends_well_and_says_how_much_is_needed() {
    let world = World::enter_idle().await;
    let Some(retraining) = Retraining::of(&world).await else { return };
    // Fresh replicas know no more than the windows of the personas.
    world.restart_operator().await;
    retraining.set(&[
        "retraining.enabled=true",
        "retraining.prometheus.url=",
        "retraining.prometheus.query=",
    ]);
    let told = retraining.night("too-little").await;
    retraining.set(&["retraining.enabled=false"]);
    let told = told.unwrap();
    assert!(told.contains("too little history: "), "{told}");
    assert!(!told.contains("too little history: 0 samples") && told.contains("300 are needed"), "{told}");
}

#[tokio::test]
async fn a_habit_in_a_prometheus_becomes_a_challenger_that_forecasts_beside_the_champion() {
    let world = World::enter_idle().await;
    let Some(retraining) = Retraining::of(&world).await else { return };
    let program = cluster(&["program", "prometheus"]);
    let prometheus = Prometheus::start(Path::new(program.trim()), own_address().await).await;
    prometheus.show(habits());
    prometheus.holds("sum(count_over_time(node_load[1d]))", &(2 * STEPS).to_string()).await;
    prometheus.show(String::new());

    retraining.set(&[
        "retraining.enabled=true",
        &format!("retraining.prometheus.url=http://{}", prometheus.address),
        "retraining.prometheus.query=sum by (node) (node_load)",
    ]);
    let told = retraining.night("habit").await;
    let published = told.as_ref().map(|told| published(told)).unwrap_or_default();
    let tried = match &published {
        Some((model, _)) => retraining.tried(model).await,
        None => Ok((None, String::new())),
    };
    retraining.set(&["retraining.enabled=false"]);
    retraining.clear(published.as_ref()).await;

    let told = told.unwrap();
    assert!(told.contains("better, version "), "{told}");
    let (name, config_map) = published.unwrap_or_else(|| panic!("{told}"));
    assert!(config_map.starts_with("foreshift-model-retrained-"), "{told}");
    let (model, table) = tried.unwrap();
    let status = model.and_then(|model| model.status).unwrap();
    let sound = find_condition(&status.conditions, ModelCondition::Sound).unwrap();
    assert_eq!((sound.status.as_str(), sound.reason.as_str()), ("True", "Proved"), "{}", sound.message);
    assert!(status.skill.is_some_and(|skill| skill.forecasts > 0));
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(name.as_str()));
    assert!(row.is_some_and(|row| row.contains("Challenger")), "{table}");
}

/// The chart's release in the local cluster, with its nights.
struct Retraining<'a> {
    world: &'a World,
    release: String,
    namespace: String,
}

impl<'a> Retraining<'a> {
    /// On the local cluster only: it has the image, and its chart may be changed.
    async fn of(world: &'a World) -> Option<Self> {
        if world.driver.local.is_none() {
            eprintln!("skipped: the release of a cluster of one's own is left as it is");
            return None;
        }
        let operator = world.operator().await;
        let release = operator.labels()["app.kubernetes.io/instance"].clone();
        Some(Self { world, release, namespace: operator.namespace().unwrap() })
    }

    /// Sets values of the chart.
    fn set(&self, values: &[&str]) {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/foreshift");
        let mut arguments =
            vec!["helm", "upgrade", &self.release, chart, "--namespace", &self.namespace, "--reuse-values"];
        arguments.extend(values.iter().chain(&IMAGE).flat_map(|value| ["--set", value]));
        cluster(&arguments);
    }

    /// Runs the `CronJob`'s job now, and gives its words; it must end well.
    async fn night(&self, name: &str) -> Result<String, String> {
        let (client, namespace) = (self.world.client(), self.namespace.as_str());
        let nights: Api<CronJob> = Api::namespaced(client.clone(), namespace);
        let found = ask("the CronJob", nights.list(&ListParams::default().labels(TRAINER))).await.unwrap();
        let night = found.items.into_iter().next().expect("retraining is turned on");
        let mut spec = night.spec.clone().unwrap().job_template.spec.unwrap();
        let pod = spec.template.spec.as_mut().unwrap();
        // A container may not have more than its node, which has less than the chart's limit.
        pod.containers[0].resources.as_mut().unwrap().limits.as_mut().unwrap().remove("cpu");
        let history =
            pod.containers[0].args.iter().flatten().find_map(|arg| arg.strip_prefix("--history=http://"));
        if let Some(host) = history.and_then(|url| url.split(':').next()) {
            // What a cluster's DNS answers for a headless Service; this cluster has none.
            let replicas = self.world.operator_pods().await;
            let ips = replicas.into_iter().filter_map(|pod| pod.status?.pod_ip);
            let alias = |ip| HostAlias { ip, hostnames: Some(vec![host.to_owned()]) };
            pod.host_aliases = Some(ips.map(alias).collect());
        }
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        let metadata = ObjectMeta {
            generate_name: Some(format!("{}-{name}-", night.name_any())),
            // Goes when the CronJob goes.
            owner_references: Some(vec![night.controller_owner_ref(&()).unwrap()]),
            ..ObjectMeta::default()
        };
        let job = Job { metadata, spec: Some(spec), ..Job::default() };
        let job = ask("make a Job", jobs.create(&PostParams::default(), &job)).await.unwrap().name_any();

        let ended = until("the night to end", TRAINED_WITHIN, async || {
            let status = ask("the Job", jobs.get(&job)).await?.status.unwrap_or_default();
            let (succeeded, failed) = (status.succeeded.unwrap_or(0), status.failed.unwrap_or(0));
            Ok(if succeeded + failed > 0 { Ok(succeeded > 0) } else { Err(format!("{status:?}")) })
        })
        .await;
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let of_job = ListParams::default().labels(&format!("job-name={job}"));
        let mut told = String::new();
        for pod in ask("its pods", pods.list(&of_job)).await.unwrap() {
            told += &pods.logs(&pod.name_any(), &LogParams::default()).await.unwrap_or_default();
            told += &why_it_ended(pod).unwrap_or_default();
        }
        match ended {
            Ok(true) => Ok(told),
            Ok(false) => Err(told),
            Err(error) => Err(format!("{error}: {told}")),
        }
    }

    /// Waits until a model forecasts beside the champion and some of its forecasts have come due; also gives what `kubectl
    /// get loadmodels` shows then.
    async fn tried(&self, name: &str) -> foreshift_e2e::error::Result<(Option<LoadModel>, String)> {
        let models: Api<LoadModel> = Api::all(self.world.client());
        until(format!("LoadModel {name} to be tried"), Duration::from_mins(2), async || {
            let model = ask("the LoadModel", models.get(name)).await?;
            let status = model.status.clone().unwrap_or_default();
            if status.role != Some(ModelRole::Challenger) || status.skill.is_none() {
                return Ok(Err(format!("{status:?}")));
            }
            Ok(Ok((Some(model), cluster(&["kubectl", "get", "loadmodels"]))))
        })
        .await
    }

    /// Removes what a night published.
    async fn clear(&self, published: Option<&(String, String)>) {
        let Some((model, config_map)) = published else { return };
        let models: Api<LoadModel> = Api::all(self.world.client());
        ask("delete the LoadModel", models.delete(model, &DeleteParams::default())).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(self.world.client(), &self.namespace);
        ask("delete its files", maps.delete(config_map, &DeleteParams::default())).await.unwrap();
    }
}

/// What the kubelet says of a container that ended, if anything.
fn why_it_ended(pod: Pod) -> Option<String> {
    pod.status?.container_statuses?.pop()?.state?.terminated?.message
}

/// Names of the LoadModel and the ConfigMap that a night says it published.
fn published(told: &str) -> Option<(String, String)> {
    let (_, names) = told.split_once("published as LoadModel ")?;
    let (model, rest) = names.split_once(" with ConfigMap ")?;
    Some((model.to_owned(), rest.split_whitespace().next()?.to_owned()))
}

/// Two nodes with a habit that no forecaster of windows knows from elsewhere: a batch every eleven steps, every nine
/// on the other, over a base that wobbles. All of it is shown with the time at which it was seen.
fn habits() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let first = now.div_euclid(PERIOD) - STEPS;
    let mut text = "# TYPE node_load gauge\n".to_owned();
    for step in first..first + STEPS {
        for (node, every) in [("a", 11), ("b", 9)] {
            let wobble = 0.02 * (step * 7_919 % 101) as f64 / 101.0;
            let batch = [0.55, 0.3].get((step % every) as usize).copied().unwrap_or_default();
            writeln!(
                text,
                "node_load{{node=\"{node}\"}} {:.4} {}",
                0.25 + wobble + batch,
                step * PERIOD * 1_000
            )
            .unwrap();
        }
    }
    text
}

/// Where pods reach this program: the address of the node in whose network it runs.
async fn own_address() -> IpAddr {
    let api_server = Config::infer().await.unwrap().cluster_url;
    let address = (api_server.host().unwrap(), api_server.port_u16().unwrap());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Asks the routing table; nothing is sent.
    socket.connect(address).unwrap();
    socket.local_addr().unwrap().ip()
}
