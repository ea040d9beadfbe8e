//! From personas and endpoints to resources and the work that was measured on them.

use foreshift_engine::resource::Freshness;
use foreshift_view::{
    observe,
    resources::{Attribution, Measured, measure},
};
use foreshift_view_fixtures::{NOW, World, node};

const ALL: Attribution = Attribution { part: 1.0, idle: 0.0 };

fn measured(world: &World, service: &str, attribution: Attribution) -> Measured {
    let route = world.route("journal");
    let observed = observe(&world.caches, &route, &[], NOW);
    measure("shop", service, &observed, attribution)
}

fn world() -> World {
    World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 2)
}

#[test]
fn a_resource_is_made_from_the_persona_of_its_node() {
    let world = world();
    world.put_persona(node("n1").cores(2.0).at_load(0.6).running("a", 1.0).persona(NOW));
    let a = measured(&world, "a", ALL);
    assert_eq!((a.resource.endpoints, a.resource.freshness), (4, Freshness::Fresh));
    assert!((a.resource.load - 0.6).abs() < 1e-9 && (a.resource.capacity - 2.0).abs() < 1e-9);
    assert!((a.resource.background - 0.1).abs() < 1e-9, "1 core of 2 is the route's: {:?}", a.resource);
}

#[test]
fn a_node_without_a_persona_makes_a_resource_absent() {
    let b = measured(&world(), "b", ALL).resource;
    assert_eq!((b.endpoints, b.freshness), (2, Freshness::Absent));
}

#[test]
fn pods_that_reach_their_own_limit_first_count_by_it() {
    let world = world();
    world.put_persona(node("n1").cores(4.0).at_load(0.3).running("a", 0.8).limited_to(1.0).persona(NOW));
    let a = measured(&world, "a", ALL).resource;
    assert!((a.load - 0.8).abs() < 1e-9 && (a.capacity - 1.0).abs() < 1e-9);
    assert!(a.background < 1e-9);
}

#[test]
fn idle_use_and_the_work_of_other_routes_are_background() {
    let world = world();
    world.put_persona(node("n1").cores(1.0).at_load(0.5).running("a", 0.5).persona(NOW));
    let a = measured(&world, "a", Attribution { part: 0.5, idle: 0.1 });
    assert!((a.used - 0.5).abs() < 1e-9 && (a.own - 0.2).abs() < 1e-9);
    assert!((a.resource.background - 0.3).abs() < 1e-9);
}
