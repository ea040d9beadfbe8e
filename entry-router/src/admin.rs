//! Health, metrics, the last decisions and what copies showed over HTTP, on a port of their own.
//!
//! Ready means that a standing is known, and ends as soon as the process is asked to end, so that nobody sends
//! anything new. Alive means that the process turns.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{
    observed::people::{self, Shadowed},
    routes::Routes,
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Decisions of a route that are told.
const TOLD: usize = 100;

/// Whether to send entries here.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

#[derive(Clone)]
struct Admin {
    ready: Ready,
    routes: Routes,
    registry: Arc<Registry>,
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
        .route("/metrics", get(metrics))
        .route("/debug/decisions", get(decisions))
        .route("/debug/shadow", get(shadow))
        .with_state(Admin { ready, routes, registry: Arc::new(registry) })
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.ready.0.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not yet, or not any more\n")
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
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

fn json(told: &impl serde::Serialize) -> Response {
    match serde_json::to_string_pretty(told) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
