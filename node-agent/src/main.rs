//! Wires the agent together: one thread, five tasks, and the early end of any of them ends the process.

use std::{io, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use foreshift_daemon::{
    admin::serve,
    log,
    shutdown::{self, Signals, Stop},
};
use foreshift_node_agent::{
    admin::{self, Admin},
    agent::Agent,
    args::Args,
    backpressure::Backpressure,
    entries::{Observer, WAITING_MAX, may_be_a_pod},
    metrics::Metrics,
    persona::{Identity, Persona},
    publish::{Attempts, Publisher},
    resume::resume,
    sources::{Roots, Sources},
    store::Store,
    watch::{Known, follow},
};
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use kube::{Config, client::ClientBuilder};
use prometheus_client::registry::Registry;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::info;

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut signals = Signals::listen().context("signals cannot be received")?;
    log::start(&args.log, args.log_format).context("--log is not a filter; write for example `info`")?;
    let sources = Sources::open(&Roots::from(&args))?;
    let mut config = Config::infer().await.context("no way to the API server")?;
    config.default_retry = false;
    let backpressure = Backpressure::default();
    let client = ClientBuilder::try_from(config).context("no way to the API server")?;
    let client = client.with_layer(&backpressure).build();
    let listener =
        TcpListener::bind(args.admin).await.with_context(|| format!("cannot listen on {}", args.admin))?;
    let store = args.state_dir.as_deref().map(Store::new);
    let memory = resume(client.clone(), &args.node_name, store.as_ref()).await;
    let now = Timestamp::now();
    let identity =
        Identity { source: sources.description().to_owned(), boot_id: sources.boot_id().to_owned() };
    let persona = Persona::new(identity, args.cost.into(), args.half_life, memory, now.as_second() as f64);
    info!(node = args.node_name, source = sources.description(), "sampling");

    let mut registry = Registry::with_prefix("foreshift_agent");
    let metrics = Metrics::register(&mut registry);
    let observer = Observer::new(metrics.clone(), may_be_a_pod);
    let agent = Agent::new(sources, persona, store, metrics.clone(), Timestamp::now);
    let mut dice = SmallRng::seed_from_u64(now.as_nanosecond() as u64);
    let publisher =
        Publisher::new(client.clone(), &args.node_name, backpressure, metrics, move || dice.random());
    let (stopper, stop) = shutdown::channel();
    let (tell_known, known) = watch::channel(Known::default());
    let (tell_report, reports) = watch::channel(None);
    let (tell_answered, answered) = mpsc::channel(WAITING_MAX);
    let (tell_attempt, attempts) = watch::channel(Attempts::default());
    let admin = Admin { reports: reports.clone(), sampling: agent.sampling(), attempts };

    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, admin::router(admin, registry), stop.clone()));
    tasks.spawn(agent.run(known.clone(), answered, tell_report, stop.clone()).map(Ok));
    tasks.spawn(until(stop.clone(), observer.run(known.clone(), tell_answered)));
    tasks.spawn(until(stop.clone(), async move { publisher.run(reports, known, tell_attempt).await }));
    tasks.spawn(until(stop, async move { follow(client, &args.node_name, tell_known).await }));
    tokio::select! {
        () = signals.received() => {}
        ended = tasks.join_next() => bail!("a task ended early: {ended:?}"),
    }
    info!("stopping");
    stopper.stop();
    let ended = timeout(SHUTDOWN_TIMEOUT, tasks.join_all()).await.context("did not stop in time")?;
    Ok(ended.into_iter().collect::<io::Result<()>>()?)
}

/// Drops `work`, wherever it waits, as soon as the process shall end.
async fn until(mut stop: Stop, work: impl Future<Output = ()>) -> io::Result<()> {
    tokio::select! {
        () = work => {}
        () = stop.requested() => {}
    }
    Ok(())
}
