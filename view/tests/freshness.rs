//! How old a persona is, whatever the node's clock says.

use foreshift_api::ResourcePersona;
use foreshift_engine::resource::Freshness;
use foreshift_view::freshness::Sightings;
use foreshift_view_fixtures::{NOW, later, node};

#[test]
fn a_busy_persona_ages_within_seconds_and_a_quiet_one_within_minutes() {
    let sightings = Sightings::default();
    let busy = node("n1").running("a", 0.4).at_load(0.5).persona(NOW);
    let quiet = node("n2").at_load(0.1).persona(NOW);
    let seen = |persona, seconds| sightings.freshness(persona, later(seconds));
    assert_eq!((seen(&busy, 6), seen(&quiet, 6)), (Freshness::Fresh, Freshness::Fresh));
    assert_eq!((seen(&busy, 7), seen(&quiet, 170)), (Freshness::Aged, Freshness::Fresh));
    assert_eq!((seen(&busy, 181), seen(&quiet, 181)), (Freshness::Absent, Freshness::Absent));
}

#[test]
fn a_node_whose_clock_is_behind_is_as_fresh_as_its_reports() {
    let mut sightings = Sightings::default();
    let behind = |seconds: i64| node("n1").running("a", 0.4).at_load(0.5).persona(later(seconds - 60));
    sightings.note(&behind(0), NOW);
    assert_eq!(sightings.freshness(&behind(0), NOW), Freshness::Aged, "nothing has moved yet");
    sightings.note(&behind(2), later(2));
    assert_eq!(sightings.freshness(&behind(2), later(3)), Freshness::Fresh);
    assert_eq!(sightings.freshness(&behind(2), later(9)), Freshness::Aged);
}

#[test]
fn a_node_whose_clock_is_ahead_ages_by_its_reports_too() {
    let mut sightings = Sightings::default();
    let ahead = |seconds: i64| node("n1").running("a", 0.4).at_load(0.5).persona(later(seconds + 3600));
    sightings.note(&ahead(0), NOW);
    sightings.note(&ahead(2), later(2));
    assert_eq!(sightings.freshness(&ahead(2), later(3)), Freshness::Fresh);
}

#[test]
fn a_persona_without_an_observation_is_absent() {
    assert_eq!(Sightings::default().freshness(&ResourcePersona::default(), NOW), Freshness::Absent);
}
