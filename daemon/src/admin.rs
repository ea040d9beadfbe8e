//! The admin port: whatever a program tells about itself over HTTP. It changes nothing and holds no secret.

use std::{fmt::Display, io, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::shutdown::Stop;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until it is asked to stop and what is under way has ended.
///
/// # Errors
/// If connections cannot be accepted.
pub async fn serve(listener: TcpListener, router: Router, mut stop: Stop) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(async move { stop.requested().await }).await
}

/// `GET /metrics`: all that is in `registry`, in the text format.
pub fn metrics(registry: Registry) -> Router {
    let registry = Arc::new(registry);
    Router::new().route("/metrics", get(async move || exposition(&registry)))
}

/// The answer of a probe: 200, or 503 and why not.
#[must_use]
pub fn probe(well: Result<impl Display, impl Display>) -> (StatusCode, String) {
    match well {
        Ok(how) => (StatusCode::OK, format!("{how}\n")),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn exposition(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;
    use crate::shutdown;

    #[tokio::test]
    async fn metrics_are_told_as_they_are_when_asked() {
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        registry.register("entries", "Entries", counter.clone());
        let router = metrics(registry);
        counter.inc_by(7);
        let answer = router.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], OPEN_METRICS);
        let body = axum::body::to_bytes(answer.into_body(), 1 << 10).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("entries_total 7\n"));
    }

    #[tokio::test]
    async fn it_ends_when_it_is_asked_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stopper, stop) = shutdown::channel();
        let served = tokio::spawn(serve(listener, Router::new(), stop));
        stopper.stop();
        served.await.unwrap().unwrap();
    }

    #[test]
    fn a_probe_that_fails_says_why() {
        let not_yet: Result<&str, &str> = Err("not yet");
        assert_eq!(probe(not_yet), (StatusCode::SERVICE_UNAVAILABLE, "not yet\n".into()));
        assert_eq!(probe(not_yet.or(Ok::<_, &str>("ok"))), (StatusCode::OK, "ok\n".into()));
    }
}
