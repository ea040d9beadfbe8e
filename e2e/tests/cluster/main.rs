//! Foreshift on a real cluster, as a user has it: installed by Helm, asked by `kubectl apply`, under real entries.
//!
//! Compiled only with the feature `cluster`, because it needs a cluster with Foreshift in it:
//! `e2e/cluster/cluster run --node n3 cargo test -p foreshift-e2e --features cluster --test cluster`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

mod bad_input;
mod failures;
#[path = "../../../models/tests/prometheus/server.rs"]
mod prometheus;
mod retraining;
mod world;

use std::time::{Duration, Instant};

use foreshift_api::ResourcePersona;
use foreshift_e2e::{
    drive::Way,
    error::{ask, until},
    journal::balance,
    route::{self, Run},
    shape::Curve,
    shares::ShareWatch,
    stage::RESOURCES,
};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use world::World;

#[tokio::test]
async fn every_acknowledged_entry_is_found_in_a_journal() {
    let world = World::enter().await;
    let pods = world.driver.fresh_stage().await.unwrap();
    let mut direct = world.driver;
    direct.target = Some(direct.stage.address(RESOURCES[0]).await.unwrap());
    let sender = direct.send("count", Way::default(), &Curve::flat(5.0, 0.5), Instant::now()).await.unwrap();
    let total = sender.finish().await.unwrap();
    let stored = direct.reader().read(&pods, "count").await.unwrap();
    let balance = balance(&total, &stored);
    let acknowledged = total.counts.acknowledged * u64::from(total.batch);
    assert!(acknowledged > 0);
    assert_eq!((balance.lost, balance.duplicated, balance.stored), (0, 0, acknowledged));
}

#[tokio::test]
async fn a_persona_is_on_screen_within_ten_seconds_of_its_agents_start() {
    let world = World::enter().await;
    let node = &world.driver.stage.nodes()[1];
    let pods: Api<Pod> = Api::all(world.client());
    let on_node = ListParams::default()
        .labels("app.kubernetes.io/name=foreshift,app.kubernetes.io/component=node-agent")
        .fields(&format!("spec.nodeName={node}"));
    let old = ask("the agent", pods.list(&on_node)).await.unwrap().items.pop().unwrap().metadata;
    let namespaced: Api<Pod> = Api::namespaced(world.client(), old.namespace.as_deref().unwrap());
    let name = old.name.unwrap();
    ask("end the agent", namespaced.delete(&name, &DeleteParams::default())).await.unwrap();

    let started = until("another agent", Duration::from_mins(1), async || {
        let agents = ask("the agents", pods.list(&on_node)).await?.items;
        let fresh = agents.into_iter().find(|pod| pod.metadata.uid != old.uid).and_then(started_at);
        Ok(fresh.ok_or_else(|| "not started".to_owned()))
    })
    .await
    .unwrap();
    let personas: Api<ResourcePersona> = Api::all(world.client());
    let seen = until("its persona", Duration::from_secs(30), async || {
        let persona = ask("the persona", personas.get(node)).await?;
        let observed = persona.status.and_then(|status| status.scores.and(status.observed_at));
        Ok(observed
            .filter(|at| at.0 >= started)
            .map(|_| Timestamp::now())
            .ok_or_else(|| "an old one".to_owned()))
    })
    .await
    .unwrap();
    let seconds = seen.duration_since(started).as_secs_f64();
    assert!(seconds < 10.0, "{seconds:.1} s");
}

#[tokio::test]
async fn a_route_is_programmed_within_three_seconds_of_its_apply() {
    let world = World::enter().await;
    route::delete(&world.client()).await.unwrap();
    let watch = ShareWatch::start(&world.client());
    let route = Run::Foreshift.route().unwrap();
    let programmed_after = world.driver.all_on_the_lead(&route, &watch).await.unwrap();
    assert!(programmed_after < Duration::from_secs(3), "{programmed_after:?}");
}

#[tokio::test]
async fn a_share_moves_before_the_lead_saturates_and_nothing_is_lost() {
    let world = World::enter().await;
    let curve = Curve::rise((12.0, 0.4), 45.0, (13.0, 1.2));
    let route = Run::Foreshift.route().unwrap();
    let (outcome, _) = world.driver.drive("smoke", &route, Way::default(), &curve, |_| ()).await.unwrap();
    assert_eq!((outcome.lost, outcome.duplicated), (0, 0));
    let first_shift = outcome.first_shift_s.expect("a share moves");
    assert!(outcome.saturated_from_s.is_none_or(|saturated| first_shift < saturated), "{outcome:?}");
    assert!(outcome.failed_requests < 0.01, "{outcome:?}");
    assert!(outcome.shifted_share > 0.02, "{outcome:?}");
}

fn started_at(pod: Pod) -> Option<Timestamp> {
    let containers = pod.status?.container_statuses?;
    Some(containers.first()?.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}
