//! Foreshift must not get worse than it was when its bounds were recorded.

use std::path::Path;

use foreshift_simulator::{
    cluster::ShippedModel,
    golden::{self, Bounds},
};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))
}

#[test]
fn every_scenario_says_what_it_shows() {
    let shipped = golden::shipped(folder()).unwrap();
    assert!(shipped.len() >= 13, "{} scenarios", shipped.len());
    for scenario in shipped {
        assert!(scenario.shows.len() > 20, "{}: `{}`", scenario.name, scenario.shows);
    }
}

#[test]
fn foreshift_stays_within_its_recorded_bounds_in_every_scenario() {
    let model = ShippedModel::load().unwrap();
    let bounds = Bounds::read(folder()).unwrap();
    let mut broken = Vec::new();
    for scenario in golden::shipped(folder()).unwrap() {
        let report = golden::measured(&scenario, &model).unwrap();
        broken.extend(bounds.broken(&scenario.name, &report));
    }
    let what_to_do = "mend it, or say in docs/simulator.md why it is worth it and run `foreshift-simulator golden --record`";
    assert!(broken.is_empty(), "{}\n{what_to_do}", broken.join("\n"));
}
