//! The admin port: health, metrics and the newest persona. It changes nothing and holds no secret.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use foreshift_daemon::admin::{json, metrics, probe};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::{persona::Report, publish::Attempts};

/// What the port shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The newest persona.
    pub reports: watch::Receiver<Option<Arc<Report>>>,
    /// Whether the node can be sampled.
    pub sampling: Arc<AtomicBool>,
    /// How publishing went; readiness wants no more than one try.
    pub attempts: watch::Receiver<Attempts>,
}

/// `/livez`, `/readyz`, `/persona`, and `/metrics` with all that is in `registry`.
pub fn router(admin: Admin, registry: Registry) -> Router {
    Router::new()
        // One thread does everything here: whoever gets an answer knows that it turns.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/persona", get(persona))
        .with_state(admin)
        .merge(metrics(registry))
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let attempts = admin.attempts.borrow();
    probe(if !admin.sampling.load(Ordering::Relaxed) {
        Err("the node is not sampled")
    } else if !attempts.any {
        Err("nothing was published yet")
    } else {
        Ok(format!("ok, {}", told(&attempts)))
    })
}

/// How old the published persona is, and why.
fn told(attempts: &Attempts) -> String {
    let published = match attempts.published {
        Some(at) => format!("last published {} s ago", at.elapsed().as_secs()),
        None => "never published".to_owned(),
    };
    match &attempts.failure {
        Some(failure) => format!("{published}: {failure}"),
        None => published,
    }
}

async fn persona(State(admin): State<Admin>) -> Response {
    let report = admin.reports.borrow().clone();
    match report {
        Some(report) => json(&report.status),
        None => (StatusCode::NOT_FOUND, "there is no sample yet\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use foreshift_api::ResourcePersonaStatus;
    use foreshift_engine::persona::{publish::Snapshot, score::Scores};
    use tokio::time::{Duration, Instant, advance};
    use tower::ServiceExt;

    use super::*;
    use crate::metrics::Metrics;

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn report() -> Report {
        let scores = Scores { capacity: 60.0, stability: 90.0, affinity: 50.0, cost: 50.0 };
        Report {
            status: ResourcePersonaStatus { boot_id: "0a1b".into(), ..ResourcePersonaStatus::default() },
            snapshot: Snapshot { scores, load: 0.4, observed: None },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ready_is_who_samples_and_has_tried_to_publish() {
        let mut registry = Registry::with_prefix("foreshift_agent");
        let metrics = Metrics::register(&mut registry);
        let (reports, newest) = watch::channel(None);
        let (attempt, attempts) = watch::channel(Attempts::default());
        let sampling = Arc::new(AtomicBool::new(false));
        let admin = router(Admin { reports: newest, sampling: sampling.clone(), attempts }, registry);
        assert_eq!(get(&admin, "/livez").await.0, 200);
        assert_eq!(get(&admin, "/readyz").await, (503, "the node is not sampled\n".into()));
        assert_eq!(get(&admin, "/persona").await.0, 404);
        sampling.store(true, Ordering::Relaxed);
        assert_eq!(get(&admin, "/readyz").await, (503, "nothing was published yet\n".into()));
        let failure = Some("no answer within 5 s".to_owned());
        attempt.send_replace(Attempts { any: true, published: None, failure: failure.clone() });
        assert_eq!(get(&admin, "/readyz").await, (200, "ok, never published: no answer within 5 s\n".into()));
        let published = Some(Instant::now());
        attempt.send_replace(Attempts { any: true, published, failure: None });
        advance(Duration::from_secs(7)).await;
        assert_eq!(get(&admin, "/readyz").await, (200, "ok, last published 7 s ago\n".into()));
        attempt.send_modify(|attempts| attempts.failure = failure);
        advance(Duration::from_hours(48)).await;
        let old = "ok, last published 172807 s ago: no answer within 5 s\n";
        assert_eq!(get(&admin, "/readyz").await, (200, old.into()), "days without an API server are told");
        metrics.show(&report());
        reports.send_replace(Some(Arc::new(report())));
        assert!(get(&admin, "/persona").await.1.contains(r#""bootID": "0a1b""#));
        let metrics = get(&admin, "/metrics").await.1;
        for line in ["foreshift_agent_load 0.4", r#"foreshift_agent_score{kind="capacity"} 60.0"#] {
            assert!(metrics.contains(line), "{metrics}");
        }
    }
}
