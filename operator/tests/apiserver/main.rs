//! The operator against a real kube-apiserver and etcd: admission, server-side apply, RBAC, watches, lease.
//!
//! One API server and one operator serve all tests, each in its own namespace. The operator runs as the program
//! that ships, under the rules that the chart gives it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

mod admission;
mod cluster;
mod examples;
mod models;
mod objects;
mod program;

use std::time::Duration;

use cluster::{Cluster, eventually};
use foreshift_api::{
    JournalRoute, ResourcePersona,
    condition::RouteCondition,
    journal_route::{Phase, ShadowReadiness},
};
use k8s_openapi::{
    api::{coordination::v1::Lease, discovery::v1::EndpointSlice, events::v1::Event},
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use objects::Shop;
use program::Operator;
use serde_json::{Value, json};

/// From `kubectl apply` to programmed EndpointSlices.
const PROMISED: Duration = Duration::from_secs(3);

/// For what is not promised to be quick, on a machine that has more to do.
const SOON: Duration = Duration::from_secs(20);

/// What the shipped program may take of memory, in MiB; it is a debug build here.
const MEMORY: u64 = 60;

#[tokio::test]
async fn nonsense_is_rejected_at_apply_with_what_to_write_instead() {
    let shop = Shop::open("admission").await;
    let resource = |service: &str| json!({"service": service, "port": 19532});
    let marked = |name: &str, value: &str| json!({"header": {"name": name, "value": value}});
    let cases: [(&str, Value, &str); 11] = [
        ("/alternates", json!([resource("a")]), "an alternate is the lead itself"),
        ("/alternates", json!([resource("b"), resource("b")]), "an alternate is named twice"),
        ("/alternates", json!([]), "spec.alternates"),
        ("/target", json!({}), "name exactly one target"),
        (
            "/target",
            json!({"service": "journal", "httpRoute": {"name": "x", "rule": "y"}}),
            "name exactly one target",
        ),
        ("/target", json!({"service": "a"}), "target.service is the lead or an alternate"),
        ("/objective", json!({"leadLoad": "0.95"}), "must lie below saturation"),
        ("/shadow", marked("dry run", "yes"), "write letters, digits and hyphens, for example x-dry-run"),
        ("/shadow", marked("x-dry-run:", "yes"), "write letters, digits and hyphens, for example x-dry-run"),
        ("/shadow", marked("x-dry-run", "yes\n"), "write printable ASCII, for example \"yes\""),
        ("/limit", json!({"maxStep": "10%"}), "field not declared in schema"),
    ];
    for (path, value, advice) in cases {
        let mut route = objects::route("bad");
        route["spec"][path.trim_start_matches('/')] = value.clone();
        let error = shop.apply_route(&route).await.expect_err(&format!("{path} = {value} was accepted"));
        assert!(error.to_string().contains(advice), "{path} = {value}: {error}");
    }
}

#[tokio::test]
async fn a_route_is_programmed_within_three_seconds() {
    let shop = Shop::with_backends("programmed").await;
    shop.publish_personas(0.2).await;
    shop.apply_route(&objects::route("journal")).await.unwrap();
    eventually(PROMISED, "the route is programmed", async || {
        shop.flag(RouteCondition::Programmed).await == "True"
    })
    .await;
    assert_eq!(shop.listed("journal-a-ipv4").await, Some(4));
    assert_eq!(shop.status().await.lead_share.unwrap().permille(), 1000);
    for (type_, flag) in [(RouteCondition::Accepted, "True"), (RouteCondition::Contested, "False")] {
        assert_eq!(shop.flag(type_).await, flag, "{type_}");
    }
    // It does not wait for the watch that brings the personas.
    eventually(SOON, "the personas count", async || shop.flag(RouteCondition::PersonasFresh).await == "True")
        .await;
    assert_eq!(shop.status().await.phase, Phase::Steady);
}

#[tokio::test]
async fn a_saturated_lead_sheds_and_says_why() {
    let shop = Shop::with_backends("saturated").await;
    shop.publish_personas(0.2).await;
    shop.apply_route(&objects::route("journal")).await.unwrap();
    let shed = async || {
        shop.publish_personas(1.2).await;
        shop.listed("journal-b-ipv4").await.is_some_and(|endpoints| endpoints > 0)
    };
    eventually(SOON, "the alternate gets entries", shed).await;
    let decided =
        async || shop.status().await.last_decision.is_some_and(|d| d.why.contains("must go elsewhere"));
    eventually(SOON, "the reason is told", decided).await;
    let events: Api<Event> = Api::namespaced(shop.admin.clone(), &shop.namespace);
    let told = async || {
        let events = events.list(&ListParams::default()).await.unwrap();
        events.iter().any(|event| event.reason.as_deref() == Some("Shifting"))
    };
    eventually(SOON, "the event is told", told).await;
}

#[tokio::test]
async fn what_the_router_saw_stays_in_the_status_and_closes_the_gate() {
    let shop = Shop::with_backends("shadowed").await;
    let mut route = objects::route("journal");
    route["spec"]["shadow"] = json!({"required": true});
    shop.apply_route(&route).await.unwrap();
    shop.publish_personas(0.2).await;
    let shadow_ready = RouteCondition::ShadowReady;
    let held = async || shop.flag(shadow_ready).await == "False";
    eventually(SOON, "nothing is known of the alternate", held).await;
    let now = Timestamp::now();
    shop.tell_as_router(json!({
        "shadow": [{
            "resource": "b", "observer": "router-0", "at": now, "readiness": "Ready", "samples": 240,
            "latencyRatio": {"low": "0.9", "high": "1.1"}, "excessErrors": {"low": "-0.01", "high": "0.002"},
        }],
        "outcomes": [{
            "resource": "b", "class": "audit", "observer": "router-0", "at": now, "affinity": 83, "samples": 500,
            "errorRatio": "0", "meanServiceTime": "0.021",
        }],
    }))
    .await;
    let open = async || {
        shop.publish_personas(0.2).await;
        let status = shop.status().await;
        shop.flag(shadow_ready).await == "True"
            && status
                .shares
                .iter()
                .any(|b| b.readiness == ShadowReadiness::Ready && b.score_parts.affinity == 83)
    };
    eventually(SOON, "the verdict opens the gate and the outcome ranks", open).await;
    let status = shop.status().await;
    assert_eq!((status.shadow.len(), status.outcomes.len()), (1, 1), "the operator leaves them alone");
}

#[tokio::test]
async fn slices_edited_by_hand_are_put_back() {
    let shop = Shop::with_backends("edited").await;
    shop.apply_route(&objects::route("journal")).await.unwrap();
    eventually(SOON, "the lead is listed", async || shop.listed("journal-a-ipv4").await == Some(4)).await;
    let slices: Api<EndpointSlice> = Api::namespaced(shop.admin.clone(), &shop.namespace);
    let mut edited = slices.get("journal-a-ipv4").await.unwrap();
    edited.endpoints.truncate(1);
    slices.replace("journal-a-ipv4", &PostParams::default(), &edited).await.unwrap();
    let deleted = slices.delete("journal-b-ipv4", &DeleteParams::default()).await;
    assert!(deleted.is_ok());
    eventually(SOON, "both are back", async || {
        shop.listed("journal-a-ipv4").await == Some(4) && shop.listed("journal-b-ipv4").await == Some(0)
    })
    .await;
}

#[tokio::test]
async fn what_a_route_names_and_does_not_find_is_told() {
    let shop = Shop::with_backends("unknown").await;
    let mut route = objects::route("journal");
    route["spec"]["alternates"][0]["service"] = json!("typo");
    shop.apply_route(&route).await.unwrap();
    eventually(SOON, "the name is told", async || {
        shop.message(RouteCondition::ResolvedRefs).await.contains("Service `typo` does not exist")
    })
    .await;
    assert_eq!(shop.flag(RouteCondition::ResolvedRefs).await, "False");
    assert_eq!(shop.listed("journal-a-ipv4").await, None);

    shop.apply_route(&objects::route("journal")).await.unwrap();
    eventually(SOON, "the corrected route works", async || shop.listed("journal-a-ipv4").await == Some(4))
        .await;
    shop.apply_route(&route).await.unwrap();
    eventually(SOON, "the route in force stays in force", async || {
        shop.flag(RouteCondition::ResolvedRefs).await == "False"
            && shop.flag(RouteCondition::Programmed).await == "True"
    })
    .await;
    assert_eq!(shop.listed("journal-a-ipv4").await, Some(4));
}

#[tokio::test]
async fn a_target_with_a_selector_is_refused() {
    let shop = Shop::with_backends("selector").await;
    shop.apply_service("journal", "in", 80, Some("app")).await;
    shop.apply_route(&objects::route("journal")).await.unwrap();
    eventually(SOON, "it is told", async || {
        shop.message(RouteCondition::ResolvedRefs).await.contains("remove its selector")
    })
    .await;
    assert_eq!(shop.listed("journal-a-ipv4").await, None);
}

#[tokio::test]
async fn nodes_are_told_what_to_observe_and_what_is_forecast_of_them() {
    let shop = Shop::with_backends("personas").await;
    shop.publish_personas(0.2).await;
    shop.apply_route(&objects::route("journal")).await.unwrap();
    let personas: Api<ResourcePersona> = Api::all(shop.admin.clone());
    eventually(SOON, "both are written", async || {
        let persona = personas.get(&shop.node("a")).await.unwrap();
        let observes = persona.spec.workloads.iter().any(|w| w.service == "a" && w.pods.len() == 4);
        let forecast = persona.status.and_then(|status| status.forecast);
        observes && forecast.is_some_and(|f| f.horizons.iter().any(|h| h.after.to_string() == "60s"))
    })
    .await;
}

#[tokio::test]
async fn a_deleted_route_leaves_traffic_as_it_was() {
    let shop = Shop::with_backends("deleted").await;
    shop.apply_route(&objects::route("journal")).await.unwrap();
    eventually(SOON, "it is listed", async || shop.listed("journal-a-ipv4").await == Some(4)).await;
    let series = format!(r#"foreshift_share_programmed{{namespace="{}""#, shop.namespace);
    let operator = Cluster::shared().operator();
    eventually(SOON, "it is measured", async || operator.metrics().contains(&series)).await;
    let routes: Api<JournalRoute> = Api::namespaced(shop.admin.clone(), &shop.namespace);
    routes.delete("journal", &DeleteParams::default()).await.unwrap();
    eventually(SOON, "its metrics go", async || !operator.metrics().contains(&series)).await;
    assert_eq!(shop.listed("journal-a-ipv4").await, Some(4));
    assert!(operator.resident_mebibytes() < MEMORY, "{} MiB", operator.resident_mebibytes());
}

#[tokio::test]
async fn of_two_operators_one_leads_and_the_other_takes_over_from_one_that_ends() {
    let shop = Shop::open("lease").await;
    let leases: Api<Lease> = Api::namespaced(shop.admin.clone(), &shop.namespace);
    let holder = async || {
        let lease = leases.get_opt("foreshift-operator").await.unwrap()?;
        lease.spec?.holder_identity
    };
    Cluster::shared().allow_lease(&shop.admin, &shop.namespace).await;
    let start = |name: &str| Operator::start(Cluster::shared(), name, &shop.namespace);
    let mut one = start("one");
    eventually(SOON, "one leads", async || holder().await.as_deref() == Some("one")).await;
    let two = start("two");
    eventually(SOON, "two is ready without leading", async || two.is_ready()).await;
    assert_eq!(holder().await.as_deref(), Some("one"));
    assert_eq!(one.terminate().await, Some(0), "SIGTERM ends it well");
    eventually(SOON, "two takes over", async || holder().await.as_deref() == Some("two")).await;
}

#[tokio::test]
async fn a_route_that_does_not_fit_its_type_does_not_blind_the_operator() {
    let shop = Shop::with_backends("guard").await;
    // The schema bounds lengths, not the size of a duration: this one passes it and no number holds it.
    let mut odd = objects::route("odd");
    odd["spec"]["limits"] = json!({"holdDown": "99999999999h"});
    odd["spec"]["target"]["service"] = json!("elsewhere");
    shop.apply_route(&odd).await.unwrap();
    shop.apply_route(&objects::route("journal")).await.unwrap();
    eventually(SOON, "the other route works", async || shop.listed("journal-a-ipv4").await == Some(4)).await;
    let all: Api<JournalRoute> = Api::namespaced(shop.admin.clone(), &shop.namespace);
    let patch = json!({"metadata": {"labels": {"touched": "yes"}}});
    let touched = all.patch("journal", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(touched.labels()["touched"], "yes");
}
