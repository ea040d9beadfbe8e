//! The publisher against a small API server in memory, with the clock in the test's hand.

use std::{sync::Arc, time::Duration};

use foreshift_api::{
    ResourcePersonaStatus,
    resource_persona::{Capacity, NodeForecast, WorkloadStatus},
};
use foreshift_engine::persona::{publish::Snapshot, score::Scores};
use foreshift_node_agent::{
    backpressure::Backpressure,
    metrics::Metrics,
    persona::Report,
    publish::{Attempts, Publisher},
    watch::Known,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, advance},
};

use crate::fake::{Fault, PERSONA, Server};

/// A publisher of node n1 that is fed by hand.
struct Bench {
    server: Server,
    reports: watch::Sender<Option<Arc<Report>>>,
    known: watch::Sender<Known>,
    attempts: watch::Receiver<Attempts>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self::without_node();
        bench.known.send_replace(known("u1"));
        bench
    }

    fn without_node() -> Self {
        let server = Server::default();
        let metrics = Metrics::register(&mut Registry::default());
        let backpressure = Backpressure::default();
        let client = server.heeding(&backpressure);
        let publisher = Publisher::new(client, "n1", backpressure, metrics, || 0.0);
        let (reports, report) = watch::channel(None);
        let (known, node) = watch::channel(Known::default());
        let (attempt, attempts) = watch::channel(Attempts::default());
        tokio::spawn(publisher.run(report, node, attempt));
        Self { server, reports, known, attempts }
    }

    /// A report now and then a second that passes.
    async fn second(&self, load: f64) {
        self.report(report(load)).await;
    }

    async fn report(&self, report: Report) {
        self.reports.send_replace(Some(Arc::new(report)));
        advance(Duration::from_secs(1)).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn seconds(&self, count: usize, load: f64) {
        for _ in 0..count {
            self.second(load).await;
        }
    }

    fn persona(&self) -> Value {
        self.server.object(PERSONA).expect("there is a persona")
    }

    fn sequence(&self) -> i64 {
        self.persona()["status"]["sequence"].as_i64().expect("there is a status")
    }
}

fn known(uid: &str) -> Known {
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: "n1".into(),
        uid: uid.into(),
        ..OwnerReference::default()
    };
    Known { owner: Some(owner), ..Known::default() }
}

fn report(load: f64) -> Report {
    let scores = Scores { capacity: 50.0, stability: 90.0, affinity: 50.0, cost: 50.0 };
    let capacity = Capacity { load: foreshift_api::Decimal::new(load), ..Capacity::default() };
    Report {
        status: ResourcePersonaStatus { capacity: Some(capacity), ..ResourcePersonaStatus::default() },
        snapshot: Snapshot { scores, load, observed: None },
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_report_makes_a_persona_that_its_node_owns() {
    let bench = Bench::new();
    bench.second(0.4).await;
    let persona = bench.persona();
    assert_eq!(persona["metadata"]["ownerReferences"][0]["uid"], "u1");
    assert_eq!(persona["status"]["capacity"]["load"], "0.4");
    assert_eq!((persona["kind"].as_str(), &persona["spec"]), (Some("ResourcePersona"), &json!({})));
    assert!(bench.attempts.borrow().any);
    assert_eq!(bench.server.calls(), [format!("PATCH {PERSONA}"), format!("PATCH {PERSONA}/status")]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_node_is_told_of_once_a_minute_and_a_busy_one_when_it_moves() {
    let bench = Bench::new();
    bench.seconds(59, 0.2).await;
    assert_eq!(bench.sequence(), 1);
    bench.seconds(2, 0.2).await;
    assert_eq!(bench.sequence(), 2);
    bench.seconds(3, 0.8).await;
    assert_eq!(bench.sequence(), 3);
    assert_eq!(bench.persona()["status"]["capacity"]["load"], "0.8");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_observed_at_last_is_told_at_once() {
    let bench = Bench::new();
    bench.seconds(3, 0.2).await;
    let mut observed = report(0.2);
    observed.status.workloads =
        vec![WorkloadStatus { service: "journal-a".into(), ..WorkloadStatus::default() }];
    bench.report(observed).await;
    assert_eq!(bench.persona()["status"]["workloads"][0]["service"], "journal-a");
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_turns_is_told_at_once() {
    let bench = Bench::new();
    bench.seconds(3, 0.2).await;
    let mut turned = report(0.2);
    turned.status.conditions = vec![Condition {
        type_: "Ready".into(),
        status: "False".into(),
        reason: "NotSampled".into(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }];
    bench.report(turned).await;
    assert_eq!(bench.sequence(), 2);
    assert_eq!(bench.persona()["status"]["conditions"][0]["status"], "False");
}

#[tokio::test(start_paused = true)]
async fn after_every_kind_of_failure_the_newest_persona_is_published() {
    for fault in [Fault::Status(409), Fault::Status(429), Fault::Status(500), Fault::Status(403), Fault::Hang]
    {
        let bench = Bench::new();
        bench.server.fail(&[fault, fault, fault]);
        bench.seconds(3, 0.3).await;
        assert!(bench.server.object(PERSONA).is_none(), "{fault:?}");
        bench.seconds(40, 0.6).await;
        assert_eq!(bench.persona()["status"]["capacity"]["load"], "0.6", "{fault:?}");
        assert_eq!(bench.sequence(), 1, "{fault:?}: what was missed is not published late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_server_is_asked_ever_more_seldom() {
    let bench = Bench::new();
    bench.server.fail(&[Fault::Status(500); 100]);
    bench.seconds(120, 0.3).await;
    let calls = bench.server.calls().len();
    assert!((6..=9).contains(&calls), "1 + 2 + 4 + 8 + 16 + 30 + 30 s: {calls} calls in two minutes");
    assert!(bench.attempts.borrow().any, "readiness does not wait for the API server");
}

#[tokio::test(start_paused = true)]
async fn a_server_with_too_much_to_do_is_left_alone_as_long_as_it_asks_and_then_told_the_newest() {
    for seconds in [1, 20, 300] {
        let bench = Bench::new();
        let start = Instant::now();
        bench.server.fail(&[Fault::Busy(seconds), Fault::Busy(seconds)]);
        bench.seconds(2 * seconds as usize + 40, 0.3).await;
        let calls = bench.server.called_after(start);
        let waits = [calls[1] - calls[0], calls[2] - calls[1]];
        // Our own back-off of 1 and 2 s comes on top, so that not all agents come back at once.
        for (wait, backoff) in waits.into_iter().zip([1.0, 2.0]) {
            let least = seconds as f64 + backoff;
            assert!((least..least + 2.0).contains(&wait), "asked for {seconds} s, came back after {wait} s");
        }
        assert_eq!(bench.sequence(), 1, "what was missed is not published late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_with_our_watches_is_not_published_to_either() {
    let server = Server::default();
    let backpressure = Backpressure::default();
    let client = server.heeding(&backpressure);
    server.fail(&[Fault::Busy(30)]);
    let start = Instant::now();
    let get = || client.request_text(http::Request::get("/api/v1/nodes").body(Vec::new()).unwrap());
    assert!(get().await.is_err());
    assert!(backpressure.until().is_some(), "the publisher asks for it");
    let _: Result<String, _> = get().await;
    assert_eq!(server.called_after(start), [0.0, 30.0], "and a watch that does not ask is held back");
}

#[tokio::test(start_paused = true)]
async fn days_without_an_api_server_are_survived_and_then_the_newest_persona_is_there_at_once() {
    const DAYS: u64 = 3;
    let bench = Bench::new();
    bench.second(0.2).await;
    let published = bench.attempts.borrow().published;
    bench.server.fail(&vec![Fault::Status(503); 100_000]);
    // The agent samples every second; a report in ten is enough here.
    for step in 0..DAYS * 8640 {
        bench.reports.send_replace(Some(Arc::new(report((step % 7) as f64 / 10.0))));
        advance(Duration::from_secs(10)).await;
        tokio::task::yield_now().await;
    }
    let calls = bench.server.calls().len() as u64;
    let at_thirty_seconds = DAYS * 86_400 / 30;
    assert!(
        (at_thirty_seconds / 2..=at_thirty_seconds + 10).contains(&calls),
        "{calls} calls in {DAYS} days"
    );
    let attempts = bench.attempts.borrow().clone();
    assert_eq!(attempts.published, published, "it says how old the published persona is");
    assert!(attempts.failure.is_some());
    bench.server.recover();
    bench.seconds(31, 0.66).await;
    assert_eq!(bench.persona()["status"]["capacity"]["load"], "0.66");
    assert_eq!(bench.attempts.borrow().failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_persona_and_a_node_that_was_replaced_get_a_new_one() {
    let bench = Bench::new();
    bench.second(0.2).await;
    bench.server.delete(PERSONA);
    bench.seconds(6, 0.5).await;
    assert_eq!(bench.persona()["status"]["capacity"]["load"], "0.5");
    bench.known.send_replace(known("u2"));
    bench.seconds(3, 0.9).await;
    assert_eq!(bench.persona()["metadata"]["ownerReferences"][0]["uid"], "u2");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_the_server_until_the_node_is_known() {
    let bench = Bench::without_node();
    bench.seconds(5, 0.2).await;
    assert!(bench.server.calls().is_empty());
    assert!(bench.attempts.borrow().any);
    bench.known.send_replace(known("u1"));
    bench.second(0.2).await;
    assert_eq!(bench.sequence(), 1, "without any back-off");
}

#[tokio::test(start_paused = true)]
async fn the_operators_forecast_is_never_written() {
    let bench = Bench::new();
    let mut with_forecast = report(0.2);
    with_forecast.status.forecast = Some(NodeForecast::default());
    bench.report(with_forecast).await;
    assert_eq!(bench.persona()["status"].get("forecast"), None);
}
