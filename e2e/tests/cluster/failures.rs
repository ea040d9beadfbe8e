//! When something of ours, or of the cluster's, dies, traffic goes on.

use std::time::{Duration, Instant};

use foreshift_api::condition::RouteCondition;
use foreshift_e2e::{
    drive::{CLIENT_TIMEOUT, Way},
    error::{ask, until},
    journal::balance,
    route::{self, Run, is_true, why_not},
    shape::Curve,
    shares::ShareWatch,
    stage::TARGET,
};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{Api, ResourceExt as _, api::PostParams};

use crate::world::{World, cluster};

/// The alternate whose node loses its power. The node of the other one must keep it: entries come from its network.
const HELPER: usize = 1;

#[tokio::test]
async fn traffic_goes_on_while_no_operator_runs() {
    let world = World::enter().await;
    let pods = world.driver.fresh_stage().await.unwrap();
    let watch = ShareWatch::start(&world.client());
    world.driver.all_on_the_lead(&Run::Foreshift.route().unwrap(), &watch).await.unwrap();
    let replicas = world.operator().await.spec.and_then(|spec| spec.replicas).unwrap();

    let in_force = watch.now();
    let sender =
        world.driver.send("orphaned", Way::default(), &Curve::flat(20.0, 0.4), Instant::now()).await.unwrap();
    world.scale_operator(0).await;
    let total = sender.finish().await.unwrap();
    let unchanged = watch.now() == in_force;
    world.scale_operator(replicas).await;

    let stored = world.driver.reader().read(&pods, "orphaned").await.unwrap();
    assert!(unchanged);
    assert_eq!(total.counts.acknowledged, total.counts.sent, "{:?}", total.counts);
    assert_eq!(balance(&total, &stored).lost, 0);
}

#[tokio::test]
async fn a_power_cut_of_an_alternate_takes_its_endpoints_away_and_loses_nothing() {
    let world = World::enter().await;
    let Some(local) = world.driver.local.clone() else {
        eprintln!("skipped: power can be cut on the local cluster only");
        return;
    };
    let pods = world.driver.fresh_stage().await.unwrap();
    let watch = ShareWatch::start(&world.client());
    let mut route = Run::Foreshift.route().unwrap();
    route.spec.alternates.truncate(1);
    world.driver.all_on_the_lead(&route, &watch).await.unwrap();

    // More than the objective, so that an alternate helps, and no more than the lead carries without it.
    let sender =
        world.driver.send("cut", Way::default(), &Curve::flat(180.0, 0.8), Instant::now()).await.unwrap();
    until("the alternate to get a share", Duration::from_secs(45), async || {
        Ok(if watch.now()[HELPER] > 0 { Ok(()) } else { Err(format!("{:?}", watch.now())) })
    })
    .await
    .unwrap();
    let node = world.driver.stage.nodes()[HELPER].clone();
    cluster(&["node", "off", &node]);
    let gone = until("its endpoints to go", Duration::from_secs(75), async || {
        Ok(if watch.now()[HELPER] == 0 { Ok(()) } else { Err(format!("{:?}", watch.now())) })
    })
    .await;
    // What was on its way to the dead node has failed by then, and every node has heard.
    let fails_within = CLIENT_TIMEOUT + Duration::from_secs(2);
    tokio::time::sleep(fails_within).await;
    let target = world.driver.stage.address(TARGET).await.unwrap().ip();
    let forgotten = local.forget_connections(target).await;
    tokio::time::sleep(fails_within).await;
    let tally = sender.tally();
    tally.take_recent();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let afterwards = tally.take_recent().counts;
    let total = sender.stop().await.unwrap();
    cluster(&["node", "on", &node]);
    world.all_nodes_take_pods().await;
    gone.unwrap();
    forgotten.unwrap();

    let stored = world.driver.reader().read(&pods, "cut").await.unwrap();
    assert_eq!(balance(&total, &stored).lost, 0);
    assert!(afterwards.acknowledged > 0);
    assert_eq!(afterwards.failed(), 0, "{afterwards:?}");
}

#[tokio::test]
async fn a_corrupt_model_is_refused_and_the_operator_goes_on_without_it() {
    let world = World::enter().await;
    let operator = world.operator().await;
    let namespace = operator.namespace().unwrap();
    let configs: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    let shipped = ask("the model", configs.get(&model_config(&operator))).await.unwrap();
    let mut corrupt = shipped.clone();
    corrupt.metadata.resource_version = None;
    corrupt.binary_data = Some([("load.onnx".to_owned(), ByteString(b"no model".to_vec()))].into());

    replace(&configs, &corrupt).await;
    world.restart_operator().await;
    route::apply(&world.client(), &Run::Foreshift.route().unwrap()).await.unwrap();
    let refused = until("the forecast to fall back", Duration::from_secs(30), async || {
        let route = route::get(&world.client()).await?.expect("the route is there");
        let trusted = is_true(&route, RouteCondition::ForecastTrusted);
        let said = why_not(&route).contains(RouteCondition::ForecastTrusted.name());
        Ok(if !trusted && said { Ok(()) } else { Err(why_not(&route)) })
    })
    .await;
    let pods = world.operator_pods().await;
    let restarts: i32 = pods
        .iter()
        .flat_map(|pod| pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()))
        .map(|container| container.restart_count)
        .sum();

    let mut original = shipped;
    original.metadata.resource_version = None;
    replace(&configs, &original).await;
    world.restart_operator().await;
    refused.unwrap();
    assert_eq!(restarts, 0);
}

/// The ConfigMap that the operator mounts as its models.
fn model_config(operator: &k8s_openapi::api::apps::v1::Deployment) -> String {
    let volumes =
        operator.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()?.volumes.as_ref()).unwrap();
    let models = volumes.iter().find(|volume| volume.name == "models").unwrap();
    models.config_map.as_ref().unwrap().name.clone()
}

async fn replace(configs: &Api<ConfigMap>, config: &ConfigMap) {
    ask("change the model", configs.replace(&config.name_any(), &PostParams::default(), config))
        .await
        .unwrap();
}
