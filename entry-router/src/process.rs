//! Starts every task and thread and joins them all.
//!
//! One control thread ticks: it reads the snapshot of all routes and answers on the admin port. The threads of the proxy
//! and of the frontends serve, and go on with what they know when nothing new comes.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use foreshift_daemon::{
    admin::serve,
    log,
    shutdown::{self, Signals, Stop, Stopper},
};
use foreshift_view::caches::{self, Caches};
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tracing::{info, warn};

use crate::{
    admin::{self, Ready},
    args::Args,
    frontends::Frontends,
    metrics,
    observed::{Writer, Writes},
    proxy::{Proxy, tls::Tls},
    routes::Routes,
    snapshot::{RouteSnapshot, cluster, file},
};

/// How often the snapshot is read.
const TICK: Duration = Duration::from_secs(1);

/// How often the files of the certificate are looked at. The kubelet takes about a minute to bring a new Secret.
const RENEW: Duration = Duration::from_secs(10);

/// Where snapshots come from.
enum Source {
    /// Its routes as they were read last.
    File(PathBuf, Vec<RouteSnapshot>),
    /// A cluster, with what follows it.
    Cluster(Caches),
}

/// Runs the router until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot listen, or there is neither a file nor a cluster.
pub fn run(args: &Args) -> anyhow::Result<()> {
    log::start(&args.log, args.log_format).context("--log is no filter; give for example `info`")?;
    let routes = Routes::new(args.settings());
    let (stopper, stop) = shutdown::channel();
    let threads =
        args.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let tls = tls(args)?;
    let route = args.route.as_ref();
    let proxy = Proxy::start(args.listen, threads, &routes, route, args.limits(), tls.as_ref(), &stop)
        .with_context(|| format!("cannot listen on {}; give --listen another address", args.listen))?;
    let frontends = Frontends::open(args, &routes, &stop)?;
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = control.block_on(control_until_stopped(args, &routes, &proxy, tls, &stopper, stop));
    // However it ended, what is under way ends first.
    stopper.stop();
    frontends.join();
    proxy.join();
    ended
}

async fn control_until_stopped(
    args: &Args,
    routes: &Routes,
    proxy: &Proxy,
    tls: Option<Arc<Tls>>,
    stopper: &Stopper,
    stop: Stop,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("signals cannot be received")?;
    let ready = Ready::default();
    let (stop_ground, ground) = shutdown::channel();
    let mut tasks = JoinSet::new();
    let writes = Arc::new(Writes::default());
    let source = source(args, routes, &writes, &ground, &mut tasks).await?;
    let registry = metrics::registry(routes, &proxy.figures(), &writes);
    let address = serve_admin(args.admin, &ready, routes, registry, &ground, &mut tasks).await?;
    info!(listen = %proxy.address(), admin = %address, version = env!("CARGO_PKG_VERSION"), "started");
    let service = args.service.clone();
    let (ticking, told) = (routes.clone(), ready.clone());
    tasks.spawn(tick(source, service, ticking, told, stop).map(|()| "the tick"));
    if let Some(tls) = tls {
        tasks.spawn(renew(tls, ground.clone()));
    }
    let result = tokio::select! {
        () = signals.received() => Ok(()),
        ended = tasks.join_next() => Err(anyhow::anyhow!("{} ended unasked", name_of(ended))),
    };
    ready.set(false);
    // New connections come until everybody has heard of it.
    if result.is_ok() {
        tokio::time::sleep(args.leave_after).await;
    }
    stopper.stop();
    stop_ground.stop();
    while tasks.join_next().await.is_some() {}
    info!("stopped");
    result
}

fn name_of(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> &'static str {
    ended.and_then(Result::ok).unwrap_or("a task that panicked")
}

async fn source(
    args: &Args,
    routes: &Routes,
    writes: &Arc<Writes>,
    ground: &Stop,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<Source> {
    if let Some(path) = &args.routes {
        return Ok(Source::File(path.clone(), file::read(path)?));
    }
    let client = kube::Client::try_default()
        .await
        .context("no cluster: set KUBECONFIG, run in a pod, or give --routes a file")?;
    let (caches, writers) = caches::new();
    // Every tick looks at everything, so nobody needs to be told of changes.
    let (changed, _) = mpsc::channel(1);
    writers.watch(&client, &caches, changed, ground, tasks);
    let writer = Writer::new(client, caches.clone(), routes.clone(), args.observer(), Arc::clone(writes));
    tasks.spawn(writer.run(ground.clone()).map(|()| "the writer of status"));
    Ok(Source::Cluster(caches))
}

async fn serve_admin(
    address: SocketAddr,
    ready: &Ready,
    routes: &Routes,
    registry: Registry,
    ground: &Stop,
    tasks: &mut JoinSet<&'static str>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; give --admin another address"))?;
    let address = listener.local_addr()?;
    let service = admin::router(ready.clone(), routes.clone(), registry);
    let serving = serve(listener, service, ground.clone());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            warn!(%error, "the admin server failed");
        }
        "the admin server"
    });
    Ok(address)
}

async fn tick(
    mut source: Source,
    service: Option<crate::snapshot::RouteKey>,
    routes: Routes,
    ready: Ready,
    mut stop: Stop,
) {
    if let Source::Cluster(caches) = &source {
        tokio::select! {
            () = stop.requested() => return,
            synced = caches.synced() => if !synced { return },
        }
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.requested() => return,
            _ = ticks.tick() => {}
        }
        routes.update(source.snapshots(service.as_ref(), Timestamp::now()));
        ready.set(true);
    }
}

fn tls(args: &Args) -> anyhow::Result<Option<Arc<Tls>>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let tls =
        Tls::read(certificate, key).context("--tls-cert and --tls-key are no certificate with its key")?;
    Ok(Some(Arc::new(tls)))
}

/// Follows the files of the certificate until `stop`.
async fn renew(tls: Arc<Tls>, mut stop: Stop) -> &'static str {
    let mut looks = tokio::time::interval(RENEW);
    loop {
        tokio::select! {
            () = stop.requested() => return "the renewal of the certificate",
            _ = looks.tick() => {}
        }
        match tls.refresh() {
            Ok(true) => info!("the certificate was renewed"),
            Ok(false) => {}
            Err(error) => warn!(%error, "the certificate stays as it was"),
        }
    }
}

impl Source {
    fn snapshots(
        &mut self,
        service: Option<&crate::snapshot::RouteKey>,
        now: Timestamp,
    ) -> Vec<RouteSnapshot> {
        match self {
            Self::Cluster(caches) => cluster::snapshots(caches, service, now),
            Self::File(path, known) => {
                match file::read(path) {
                    Ok(snapshots) => *known = snapshots,
                    Err(error) => warn!(%error, "the routes stay as they were"),
                }
                let at = now.as_duration().unsigned_abs();
                known.iter().map(|snapshot| RouteSnapshot { at, ..snapshot.clone() }).collect()
            }
        }
    }
}
