//! Health, metrics, the last decisions and what copies showed over HTTP, on a port of their own.
//!
//! Ready means that a snapshot is known, and ends as soon as the process is asked to end, so that nobody sends
//! anything new. Alive means that the process turns.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use foreshift_daemon::admin::{json, metrics, probe};
use prometheus_client::registry::Registry;

use crate::{
    observed::people::{self, Shadowed},
    routes::Routes,
};

/// Decisions of a route that are told.
const TOLD: usize = 100;

/// Whether to send entries here.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

#[derive(Clone)]
struct Admin {
    ready: Ready,
    routes: Routes,
}

impl Ready {
    /// From now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

/// Routes `/livez`, `/readyz`, `/metrics`, `/debug/decisions` and `/debug/shadow`.
pub fn router(ready: Ready, routes: Routes, registry: Registry) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/debug/decisions", get(decisions))
        .route("/debug/shadow", get(shadow))
        .with_state(Admin { ready, routes })
        .merge(metrics(registry))
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    probe(admin.ready.0.load(Ordering::Relaxed).then_some("ok").ok_or("not yet, or not any more"))
}

async fn decisions(State(admin): State<Admin>) -> Response {
    let all: BTreeMap<String, _> =
        admin.routes.all().iter().map(|(key, assigner)| (key.to_string(), assigner.recent(TOLD))).collect();
    json(&all)
}

async fn shadow(State(admin): State<Admin>) -> Response {
    let all: BTreeMap<String, Shadowed> = admin
        .routes
        .all()
        .iter()
        .map(|(key, assigner)| (key.to_string(), people::told(&assigner.seen())))
        .collect();
    json(&all)
}
