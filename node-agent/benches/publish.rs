//! Writes to the API server of `KUBECONFIG` as many node agents do, or renews as many node leases.
//!
//! Usage: publish personas|leases NODES SECONDS. Prints `begun` when all of them are at work, and after SECONDS one line of
//! JSON. `e2e/bench/publish` starts it beside an API server of its own and watches that. Every writer is the agent's own
//! publisher with its rule, back-off and jitter; nine in ten are told of an idle node, one in ten of one in a ramp.
//! The watches that agents hold are not part of it.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use foreshift_engine::persona::load::Usage;
use foreshift_node_agent::{
    backpressure::Backpressure,
    metrics::{Metrics, Which},
    persona::{Costing, HALF_LIFE, Identity, Persona, Report, Surroundings},
    publish::{Attempts, Publisher},
    sample::Sample,
    watch::Known,
};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
    jiff::Timestamp,
};
use kube::{Api, Client, Config, api::PostParams, client::ClientBuilder};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

/// Nodes begin one after the other within this, as an update of the DaemonSet lets them.
const BEGINNING: Duration = Duration::from_secs(45);

/// What the first publishes leave behind is over after this.
const SETTLING: Duration = Duration::from_secs(15);

/// Time in which a ramp goes up to saturation and down again.
const RAMP: u64 = 120;

/// Nodes in a ramp are told apart by when theirs began.
const PHASES: u64 = 20;

/// As the kubelet renews: a quarter of the lease's 40 s.
const RENEWAL: Duration = Duration::from_secs(10);

/// What is counted of all writers.
#[derive(Clone, Default)]
struct Counted {
    writes: Counter,
    errors: Counter,
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "the script that starts it reads it")]
async fn main() -> anyhow::Result<()> {
    // Cargo adds flags of its own.
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [what, nodes, seconds] = &words[..] else { anyhow::bail!("publish personas|leases NODES SECONDS") };
    let (nodes, window): (u64, _) = (nodes.parse()?, Duration::from_secs(seconds.parse()?));
    let mut config = Config::infer().await?;
    config.default_retry = false;
    let backpressure = Backpressure::default();
    let client = ClientBuilder::try_from(config)?.with_layer(&backpressure).build();
    let mut tasks = JoinSet::new();
    let counts: Box<dyn Fn() -> [u64; 3]> = match what.as_str() {
        "personas" => personas(&mut tasks, &client, &backpressure, nodes),
        "leases" => leases(&mut tasks, &client, nodes),
        other => anyhow::bail!("{other} is neither personas nor leases"),
    };
    sleep(BEGINNING + SETTLING).await;
    let (before, began) = (counts(), Instant::now());
    println!("begun");
    sleep(window).await;
    let (after, took) = (counts(), began.elapsed().as_secs_f64());
    let [writes, errors, bytes] = [0, 1, 2].map(|i| (after[i] - before[i]) as f64);
    let told = serde_json::json!({
        "nodes": nodes, "writes_per_second": writes / took, "errors": errors, "bytes_per_second": bytes / took,
    });
    println!("{told}");
    Ok(())
}

/// Starts the agents' publishers; gives what tells their writes, errors and bytes so far.
fn personas(
    tasks: &mut JoinSet<()>,
    client: &Client,
    backpressure: &Backpressure,
    nodes: u64,
) -> Box<dyn Fn() -> [u64; 3]> {
    let metrics = Metrics::register(&mut Registry::default());
    let idle = reports(tasks, |_| 0.1);
    let ramps: Vec<_> = (0..PHASES).map(|phase| reports(tasks, move |second| ramp(second, phase))).collect();
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: "bench".into(),
        uid: "bench".into(),
        ..OwnerReference::default()
    };
    for node in 0..nodes {
        let report = if node % 10 == 0 { &ramps[(node / 10 % PHASES) as usize] } else { &idle };
        let mut dice = SmallRng::seed_from_u64(node);
        let name = format!("bench-{node}");
        let (client, backpressure, metrics) = (client.clone(), backpressure.clone(), metrics.clone());
        let (report, owner) = (report.clone(), owner.clone());
        tasks.spawn(async move {
            sleep(BEGINNING.mul_f64(node as f64 / nodes as f64)).await;
            let publisher = Publisher::new(client, &name, backpressure, metrics, move || dice.random());
            let (_known, known) = watch::channel(Known { owner: Some(owner), ..Known::default() });
            let (attempts, _) = watch::channel(Attempts::default());
            publisher.run(report, known, attempts).await;
        });
    }
    Box::new(move || {
        let writes = ["first", "saturated", "crossed", "moved", "leading", "quiet", "turned"];
        let errors =
            ["timeout", "not_found", "conflict", "forbidden", "invalid", "throttled", "server", "transport"];
        let written = writes.iter().map(|kind| metrics.publishes.get_or_create(&Which { kind }).get()).sum();
        let failed =
            errors.iter().map(|kind| metrics.publish_errors.get_or_create(&Which { kind }).get()).sum();
        [written, failed, metrics.published_bytes.get()]
    })
}

/// A node of two cores whose persona is reported every second, at `load` by the second.
fn reports(
    tasks: &mut JoinSet<()>,
    load: impl Fn(u64) -> f64 + Send + 'static,
) -> watch::Receiver<Option<Arc<Report>>> {
    let (tell, reports) = watch::channel(None);
    tasks.spawn(async move {
        let surroundings = Surroundings { ready: Some(true), ..Surroundings::default() };
        let mut persona = Persona::new(Identity::default(), Costing::default(), HALF_LIFE, None, 0.0);
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for second in 0.. {
            ticks.tick().await;
            persona.observe(
                Sample {
                    unix: Timestamp::now().as_second() as f64,
                    elapsed: Duration::from_secs(1),
                    cpu: Usage {
                        capacity: 2.0,
                        used: 2.0 * load(second),
                        pressure: Some(0.0),
                        throttled: None,
                    },
                    memory: Usage { capacity: 8e9, used: 2e9, ..Usage::default() },
                    ..Sample::default()
                },
                &surroundings,
            );
            tell.send_replace(persona.report(&surroundings).map(Arc::new));
        }
    });
    reports
}

fn ramp(second: u64, phase: u64) -> f64 {
    let part = ((second + phase * RAMP / PHASES) % RAMP) as f64 / RAMP as f64;
    0.1 + 0.9 * (1.0 - (2.0 * part - 1.0).abs())
}

/// Starts the kubelets' renewals; gives what tells their writes and errors so far.
fn leases(tasks: &mut JoinSet<()>, client: &Client, nodes: u64) -> Box<dyn Fn() -> [u64; 3]> {
    let counted = Counted::default();
    for node in 0..nodes {
        let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
        let counted = counted.clone();
        tasks.spawn(async move {
            sleep(BEGINNING.mul_f64(node as f64 / nodes as f64)).await;
            let name = format!("bench-{node}");
            let mut lease = Lease::default();
            lease.metadata.name = Some(name.clone());
            let mut ticks = interval(RENEWAL);
            loop {
                ticks.tick().await;
                lease.spec = Some(LeaseSpec {
                    holder_identity: Some(name.clone()),
                    lease_duration_seconds: Some(40),
                    renew_time: Some(MicroTime(Timestamp::now())),
                    ..LeaseSpec::default()
                });
                let is_new = lease.metadata.resource_version.is_none();
                let written = if is_new {
                    leases.create(&PostParams::default(), &lease).await
                } else {
                    leases.replace(&name, &PostParams::default(), &lease).await
                };
                match written {
                    Ok(renewed) => {
                        lease = renewed;
                        counted.writes.inc();
                    }
                    Err(_) => {
                        counted.errors.inc();
                    }
                }
            }
        });
    }
    Box::new(move || [counted.writes.get(), counted.errors.get(), 0])
}
