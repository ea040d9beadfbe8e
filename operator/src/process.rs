//! Starts every task and joins them all: the process ends when it is asked to, or when one of them ends unasked.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use foreshift_daemon::{
    admin,
    shutdown::{self, Signals, Stop},
};
use foreshift_view::caches::{self, Caches};
use futures::FutureExt;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet, time::timeout};
use tracing::{error, info, warn};

use crate::{
    admin::{Health, router},
    args::Args,
    controller::Controller,
    history::{self, History, export::Export},
    lease::Candidate,
    metrics::Metrics,
    models::registry::{self, ModelRegistry},
    persona, route,
    write::Gate,
};

/// With the release of the lease it stays within the grace period of the pod, 20 s.
const FINISH_WITHIN: Duration = Duration::from_secs(12);

/// Routes whose spec changed since the controller last looked; what does not fit waits for the tick.
const CHANGES: usize = 64;

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The admin port is taken.
    #[error("cannot listen on {address}: {source}; give --admin another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// This program cannot find itself, so that no model could be checked.
    #[error("the path of this program is not known: {0}")]
    Program(#[source] io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signal(#[source] io::Error),
    /// A task ended that never should.
    #[error("{0} ended unasked")]
    Ended(&'static str),
}

/// The tasks, in the two groups in which they are stopped.
#[derive(Default)]
struct Tasks {
    /// What decides and writes.
    work: JoinSet<&'static str>,
    /// What the work stands on: watches, lease, admin server.
    ground: JoinSet<&'static str>,
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// [`Error`], each variant; the data plane goes on without the operator.
pub async fn run(client: Client, args: &Args) -> Result<(), Error> {
    let mut signals = Signals::listen().map_err(Error::Signal)?;
    let listener = TcpListener::bind(args.admin)
        .await
        .map_err(|source| Error::Listen { address: args.admin, source })?;
    let (stop_work, work_stops) = shutdown::channel();
    let (stop_ground, ground_stops) = shutdown::channel();
    let mut tasks = start(client, args, listener, work_stops, ground_stops)?;
    info!(identity = args.identity(), version = env!("CARGO_PKG_VERSION"), "started");

    let result = tokio::select! {
        () = signals.received() => Ok(()),
        ended = tasks.ended() => Err(Error::Ended(ended)),
    };
    // Writes need the lease: it is given back when the last one is done.
    stop_work.stop();
    if timeout(FINISH_WITHIN, drain(&mut tasks.work)).await.is_err() {
        warn!("not everything was finished in time");
    }
    stop_ground.stop();
    if timeout(FINISH_WITHIN / 2, drain(&mut tasks.ground)).await.is_err() {
        warn!("not everything was closed in time");
    }
    info!("stopped");
    result
}

fn start(
    client: Client,
    args: &Args,
    listener: TcpListener,
    work_stops: Stop,
    ground_stops: Stop,
) -> Result<Tasks, Error> {
    let mut registry = Registry::with_prefix("foreshift");
    let (metrics, health) = (Metrics::register(&mut registry), Health::default());
    let (tell_changes, changes) = mpsc::channel(CHANGES);
    let mut tasks = Tasks::default();

    let export = Export::new(args.history_dir.clone());
    let server = admin::serve(listener, router(health.clone(), registry, export), ground_stops.clone());
    tasks.ground.spawn(server.map(|_| "the admin server"));

    let history = match args.history() {
        Some(place) => {
            let (history, writer) = history::writer::new(place, metrics.clone());
            // It ends when the work, which holds the other end, is done.
            tasks.ground.spawn_blocking(move || {
                writer.run();
                "the history"
            });
            history
        }
        None => History::off(metrics.clone()),
    };

    let (caches, writers) = caches::new();
    writers.watch(&client, &caches, tell_changes, &ground_stops, &mut tasks.ground);

    let (candidate, leadership) = Candidate::new(client.clone(), &args.pod_namespace, args.identity());
    // A replica that does not know the cluster yet does not ask to lead.
    let claim = once_synced(caches.clone(), ground_stops, |stop| candidate.run(stop));
    tasks.ground.spawn(claim.map(|()| "the lease"));

    let gate = Gate::new(leadership, metrics.clone());
    let reporter = Reporter { controller: "foreshift-operator".into(), instance: Some(args.identity()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let (models_registry, models) = ModelRegistry::new(registry::Context {
        client: client.clone(),
        namespace: args.pod_namespace.clone(),
        dir: args.model_dir.clone(),
        program: std::env::current_exe().map_err(Error::Program)?,
        caches: caches.clone(),
        gate: gate.clone(),
        recorder: recorder.clone(),
        metrics: metrics.clone(),
    });
    tasks.work.spawn(models_registry.run(work_stops.clone()).map(|()| "the model registry"));

    let personas = persona::Context {
        client: client.clone(),
        caches: caches.clone(),
        gate: gate.clone(),
        models: models.clone(),
        history: history.clone(),
    };
    let routes = Arc::new(route::Context {
        recorder,
        client,
        caches: caches.clone(),
        gate,
        hooks: route::hook::Caller::new(metrics.clone()),
        metrics,
        models,
        history,
        ledger: std::sync::Mutex::default(),
    });
    let tick = args.tick;
    let work = once_synced(caches.clone(), work_stops.clone(), move |stop| async move {
        health.synced();
        Controller::new(routes, health).run(tick, changes, stop).await;
    });
    tasks.work.spawn(work.map(|()| "the controller"));
    let work = once_synced(caches, work_stops, move |stop| persona::run(personas, tick, stop));
    tasks.work.spawn(work.map(|()| "the persona writer"));
    Ok(tasks)
}

impl Tasks {
    /// Returns when any task ends.
    async fn ended(&mut self) -> &'static str {
        let ended = tokio::select! {
            Some(ended) = self.work.join_next() => ended,
            Some(ended) = self.ground.join_next() => ended,
            else => return "everything",
        };
        ended.unwrap_or_else(|error| {
            error!(%error, "a task panicked");
            "a task"
        })
    }
}

async fn drain(tasks: &mut JoinSet<&'static str>) {
    while tasks.join_next().await.is_some() {}
}

/// Runs `work` when the caches hold what the API server has, unless the wish to stop comes first.
async fn once_synced<F: Future<Output = ()>>(caches: Caches, mut stop: Stop, work: impl FnOnce(Stop) -> F) {
    let synced = tokio::select! {
        synced = caches.synced() => synced,
        () = stop.requested() => return,
    };
    if synced {
        work(stop).await;
    }
}
