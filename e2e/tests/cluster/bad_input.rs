//! What makes no sense is refused with a sentence, and what is in force stays in force.

use std::time::Duration;

use foreshift_api::{JournalRoute, condition::RouteCondition};
use foreshift_e2e::{
    error::{ask, until},
    route::{self, Run, is_true},
    shares::ShareWatch,
    stage::{NAMESPACE, TARGET},
};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_route_that_makes_no_sense_is_refused_at_apply_with_a_sentence() {
    let world = World::enter().await;
    let [lead, b] = ["journal-a", "journal-b"].map(|service| json!({"service": service, "port": 19532}));
    for (pointer, value, sentence) in [
        ("/spec/alternates", json!([lead]), "an alternate is the lead itself"),
        ("/spec/alternates", json!([b, b]), "an alternate is named twice"),
        ("/spec/alternates", json!([]), "should have at least 1 items"),
        ("/spec/target", json!({}), "name exactly one target"),
        (
            "/spec/target",
            json!({"service": "journal", "httpRoute": {"name": "journal", "rule": "ingest"}}),
            "name exactly one target",
        ),
        ("/spec/target/service", json!("journal-a"), "target.service is the lead or an alternate"),
        ("/spec/leed", json!("journal-a"), "leed"),
        ("/spec/limits", json!({"minLeadShare": "150%"}), "minLeadShare"),
        (
            "/spec/shadow",
            json!({"header": {"name": "dry run", "value": "yes"}}),
            "write letters, digits and hyphens, for example x-dry-run",
        ),
        ("/spec/objective", json!({"leadLoad": "0.95"}), "must lie below saturation"),
    ] {
        let refusal = dry_run(&world.client(), &changed(pointer, value)).await.expect_err(pointer);
        assert!(refusal.contains(sentence), "{pointer}: {refusal}");
    }
}

#[tokio::test]
async fn a_route_to_services_that_do_not_fit_says_what_is_wrong_and_the_shares_in_force_stay() {
    let world = World::enter().await;
    world.driver.fresh_stage().await.unwrap();
    let watch = ShareWatch::start(&world.client());
    let good = Run::Foreshift.route().unwrap();
    world.driver.all_on_the_lead(&good, &watch).await.unwrap();
    let in_force = watch.now();

    let mut missing = good.clone();
    missing.spec.alternates[0].service = "journal-nowhere".into();
    apply_without_waiting(&world.client(), &missing).await;
    refused_for(&world.client(), "journal-nowhere").await;
    assert_eq!(watch.now(), in_force);

    let taken = service_with_selector(&world.client()).await;
    let mut selector = good.clone();
    selector.spec.target.service = Some(taken.clone());
    apply_without_waiting(&world.client(), &selector).await;
    refused_for(&world.client(), "selector").await;
    let services: Api<Service> = Api::namespaced(world.client(), NAMESPACE);
    ask("delete a Service", services.delete(&taken, &DeleteParams::default())).await.unwrap();
    assert_eq!(watch.now(), in_force);

    route::apply(&world.client(), &good).await.unwrap();
}

/// The route of the demo with one value changed or added.
fn changed(pointer: &str, value: Value) -> Value {
    let mut route = serde_json::to_value(Run::Foreshift.route().unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    route.pointer_mut(parent).unwrap()[key] = value;
    route
}

/// What the API server says to a route, without changing anything.
async fn dry_run(client: &Client, route: &Value) -> Result<(), String> {
    let resource = ApiResource::erase::<JournalRoute>(&());
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    let params = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("foreshift-e2e").force()
    };
    let answer = routes.patch("nonsense", &params, &Patch::Apply(renamed(route, "nonsense"))).await;
    answer.map(|_| ()).map_err(|error| error.to_string())
}

fn renamed(route: &Value, name: &str) -> Value {
    let mut route = route.clone();
    route["metadata"]["name"] = json!(name);
    route
}

async fn apply_without_waiting(client: &Client, route: &JournalRoute) {
    let params = PatchParams::apply("foreshift-demo").force();
    ask("apply a route", route::routes(client).patch(TARGET, &params, &Patch::Apply(route))).await.unwrap();
}

/// Waits until the route says, in a sentence with `word` in it, why it is not accepted or not resolved.
async fn refused_for(client: &Client, word: &str) {
    until(format!("a refusal for {word}"), Duration::from_secs(15), async || {
        let route = route::get(client).await?.expect("the route is there");
        let accepted =
            is_true(&route, RouteCondition::Accepted) && is_true(&route, RouteCondition::ResolvedRefs);
        let sentences = route::why_not(&route);
        Ok(if !accepted && sentences.contains(word) { Ok(()) } else { Err(sentences) })
    })
    .await
    .unwrap();
}

async fn service_with_selector(client: &Client) -> String {
    let name = "journal-taken".to_owned();
    let service: Service = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "journal-a"}, "ports": [{"name": "http", "port": 19532}]},
    }))
    .unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let params = PatchParams::apply("foreshift-e2e").force();
    ask("make a Service", services.patch(&name, &params, &Patch::Apply(&service))).await.unwrap();
    name
}
