//! Health, metrics and the history over HTTP.
//!
//! Ready means able to take over, never leading: a standby that failed its probe would stall every rollout. Alive
//! means that the controller turns; an API server that is away restarts nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use foreshift_daemon::admin::{metrics, probe};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::history::export::Export;

/// A controller that has not turned for this long hangs.
const HANGS_AFTER: Duration = Duration::from_mins(1);

/// What the process tells about itself.
#[derive(Clone, Debug)]
pub struct Health(Arc<Vitals>);

#[derive(Debug)]
struct Vitals {
    started: Instant,
    turned: AtomicU64,
    synced: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        let (turned, synced) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Vitals { started: Instant::now(), turned, synced }))
    }
}

impl Health {
    /// The controller turned.
    pub fn turned(&self) {
        self.0.turned.store(self.0.started.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// Every cache holds what the API server has.
    pub fn synced(&self) {
        self.0.synced.store(true, Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        let idle = self.0.started.elapsed().as_secs().saturating_sub(self.0.turned.load(Ordering::Relaxed));
        // Before the caches are synced there is nothing to turn.
        !self.is_ready() || idle < HANGS_AFTER.as_secs()
    }

    fn is_ready(&self) -> bool {
        self.0.synced.load(Ordering::Relaxed)
    }
}

/// Routes `/livez`, `/readyz`, `/metrics` and `/history`.
pub fn router(health: Health, registry: Registry, history: Export) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health)
        .route("/history", get(move |query| history.clone().answer(query)))
        .merge(metrics(registry))
}

async fn livez(State(health): State<Health>) -> (StatusCode, String) {
    probe(health.is_alive().then_some("ok").ok_or("the controller hangs"))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    probe(health.is_ready().then_some("ok").ok_or("the cluster is not known yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ready_when_synced_and_alive_while_turning() {
        let health = Health::default();
        assert!(!health.is_ready() && health.is_alive());
        health.synced();
        assert!(health.is_ready() && health.is_alive());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(health.is_ready() && !health.is_alive(), "readiness says nothing of liveness");
        health.turned();
        assert!(health.is_alive());
    }
}
