//! Opens the frontends for those who move entries themselves, each on a thread of its own: a busy one slows neither the proxy
//! nor the ticks.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use axum::Router;
use foreshift_daemon::shutdown::Stop;
use foreshift_frontends::{
    api::{self, AssignApi},
    envoy, health,
    serve::serve,
};
use tokio::runtime::{Builder, Runtime};
use tracing::info;

use crate::{args::Args, routes::Routes};

/// The frontends that are open.
#[derive(Debug, Default)]
pub struct Frontends(Vec<JoinHandle<()>>);

/// What keeps a frontend's word beside its connections.
type Chore = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Frontends {
    /// Opens what the command line asks for, until `stop`.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn open(args: &Args, routes: &Routes, stop: &Stop) -> anyhow::Result<Self> {
        let mut frontends = Self::default();
        let assigner = Arc::new(routes.clone());
        if let Some(address) = args.api {
            let api = Arc::new(AssignApi::new(assigner.clone(), epoch()));
            let (health, pulse) = health::of(assigner.clone());
            let frontend = api::frontend(&api, health);
            let (sweep, follow) = (stop.clone(), stop.clone());
            let chores = async move {
                tokio::join!(api.sweep(asked(sweep)), pulse.follow(asked(follow)));
            };
            frontends.start("api", address, frontend, Box::pin(chores), stop)?;
        }
        if let Some(address) = args.picker {
            let (health, pulse) = health::of(assigner.clone());
            let frontend = envoy::frontend(assigner, args.route.as_ref().map(ToString::to_string), health);
            frontends.start(
                "picker",
                address,
                frontend,
                Box::pin(pulse.follow(asked(stop.clone()))),
                stop,
            )?;
        }
        Ok(frontends)
    }

    /// Waits until every call under way has ended.
    pub fn join(self) {
        for frontend in self.0 {
            drop(frontend.join());
        }
    }

    fn start(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        frontend: Router,
        chore: Chore,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let (listener, runtime) = listen(address)
            .with_context(|| format!("cannot listen on {address}; give --{name} another address"))?;
        info!(frontend = name, address = %listener.local_addr()?, "open");
        let stop = stop.clone();
        let serving = move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::join!(serve(listener, frontend, asked(stop)), chore);
            });
        };
        self.0.push(std::thread::Builder::new().name(name.into()).spawn(serving)?);
        Ok(())
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, Runtime)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok((listener, Builder::new_current_thread().enable_all().build()?))
}

async fn asked(mut stop: Stop) {
    stop.requested().await;
}

/// Differs from one start of the router to the next.
fn epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
