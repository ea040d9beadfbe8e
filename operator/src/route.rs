//! One route: `observe -> validate -> plan -> apply -> status`, once a tick. The middle is pure.

pub mod apply;
pub mod events;
pub mod forecast;
pub mod hook;
pub mod plan;
pub mod slices;
pub mod status;
pub mod validate;
pub mod verdicts;

#[cfg(test)]
mod ladder;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use foreshift_api::JournalRoute;
use foreshift_engine::ledger::Ledger;
use foreshift_view::{Caches, RouteKey, observe};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::Recorder;
use tokio::sync::watch;

use crate::{
    history::{Cursor, History},
    metrics::Metrics,
    models::Models,
    write::{Gate, WriteError},
};

/// What all reconciles share.
pub struct Context {
    /// For the writes.
    pub client: kube::Client,
    /// What is known.
    pub caches: Caches,
    /// Whether to write.
    pub gate: Gate,
    /// Tells transitions.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Metrics,
    /// What forecasts.
    pub models: watch::Receiver<Models>,
    /// Calls warm-up hooks.
    pub hooks: hook::Caller,
    /// Where loads are recorded.
    pub history: History,
    /// Moves of all routes that no persona shows yet.
    pub ledger: Mutex<Ledger>,
}

/// What is remembered of one route between ticks.
#[derive(Debug, Default)]
pub struct State {
    planner: plan::Planner,
    calls: hook::Calls,
    written: apply::Written,
    told: status::Told,
    recorded: Cursor,
}

/// Why a reconcile did not do all it should. The next tick tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// EndpointSlices.
    #[error("the EndpointSlices were not written: {0}")]
    Apply(String),
    /// The route's status.
    #[error("the status was not written: {0}")]
    Status(#[source] WriteError),
}

/// One tick of one route.
///
/// # Errors
/// [`Error`]; whatever happens, traffic goes on with the endpoints that are listed.
pub async fn reconcile(
    route: &JournalRoute,
    state: &mut State,
    ctx: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let observed = observe(&ctx.caches, route, &state.planner.services_in_force(), now); // from the caches
    let verdict = validate::validate(route, &observed);
    state.planner.hear(state.calls.answers(), now);
    let outcome = state.planner.tick(route, &verdict, &observed, &mut ctx.ledger(), &ctx.models(), now);
    ctx.call(&mut state.calls, &outcome); // I/O, beside the ticks
    if let Some((lead, offered)) = state.planner.offered() {
        let name = || format!("route/{}/{lead}", RouteKey::of(route));
        ctx.history.follow(&mut state.recorded, name, forecast::FINE, offered);
    }
    let applied = apply::apply(ctx, route, &outcome, &observed, &mut state.written, now).await; // I/O
    status::tell(ctx, route, &verdict, &outcome, &applied, &mut state.told, now).await?; // I/O
    applied.failure.map_or(Ok(()), |reason| Err(Error::Apply(reason)))
}

impl State {
    /// Ends what runs beside the ticks.
    pub async fn stop(&mut self) {
        self.calls.stop().await;
    }
}

impl Context {
    fn call(&self, calls: &mut hook::Calls, outcome: &plan::Outcome) {
        let hook = outcome.in_force.as_ref().and_then(|valid| valid.hook.as_ref());
        if let Some(hook) = hook.filter(|_| self.gate.is_open()) {
            calls.begin(&self.hooks, hook, outcome.calls.clone());
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn models(&self) -> Models {
        self.models.borrow().clone()
    }

    /// A route is gone: nothing of it counts any more. Its EndpointSlices stay, so that traffic goes on.
    pub fn forget(&self, key: &RouteKey) {
        self.ledger().forget(&key.to_string());
        self.metrics.forget(key);
    }

    /// The route as the cache has it.
    #[must_use]
    pub fn route(&self, key: &RouteKey) -> Option<Arc<JournalRoute>> {
        let reference = kube::runtime::reflector::ObjectRef::new(&key.name).within(&key.namespace);
        self.caches.routes.get(&reference)
    }
}

impl Error {
    /// A label for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Status(_) => "status",
        }
    }
}
