//! The state as frontends see it.

use std::net::SocketAddr;

use foreshift_engine::{
    assign as engine,
    decision::Phase,
    resource::{Freshness, Node, Readiness, Resource, Scores},
};

use super::*;
use crate::snapshot::{Member, RouteKey, RouteSnapshot};

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn member(name: &str, cores: f64, ports: &[u16]) -> Member {
    let node = Node {
        capacity: cores,
        load: 0.0,
        own_cores: 0.0,
        entries: None,
        error_ratio: 0.0,
        endpoints: ports.len() as u32,
        scores: Scores::default(),
        freshness: Freshness::Fresh,
        drained: false,
    };
    let endpoints: Vec<SocketAddr> = ports.iter().map(|&port| address(port)).collect();
    Member {
        resource: Resource::from_nodes(name, &[node], Readiness::Inconclusive),
        shadow_endpoints: endpoints.clone(),
        endpoints,
        protocol: Protocol::default(),
        shadow_protocol: Protocol::default(),
        share: 0,
        warm: Some(1.0),
    }
}

fn snapshot(members: Vec<Member>) -> RouteSnapshot {
    let spec: foreshift_api::JournalRouteSpec = serde_json::from_value(serde_json::json!({
        "lead": {"service": "a", "port": 80},
        "alternates": [{"service": "b", "port": 80}],
        "target": {"service": "journal"},
    }))
    .unwrap();
    let route = RouteKey { namespace: "shop".into(), name: "journal".into() };
    let policy = foreshift_view::policy::policy(&spec);
    let at = Duration::from_hours(500_000);
    RouteSnapshot { route, at, policy, spec, phase: Phase::Steady, members, part: 1.0 }
}

/// A route with these resources, each with plenty of room and one endpoint.
pub(crate) fn snapshot_of(names: &[&str]) -> RouteSnapshot {
    snapshot(names.iter().zip(1..).map(|(name, port)| member(name, 1e6, &[port])).collect())
}

fn assigner(explore: f64, members: Vec<Member>) -> Assigner {
    let assigner = Assigner::new(Settings { explore, most_in_flight: 50 });
    assigner.prepare(snapshot(members));
    assigner
}

const ENTRY: Entry<'static> = Entry { id: "e", class: "audit", bytes: Some(1024), batch: false, trace: None };

#[test]
fn the_lead_has_entries_until_it_is_full_then_the_alternate_and_a_dropped_ticket_gives_its_room_back() {
    let assigner = assigner(0.0, vec![member("a", 1.0, &[1]), member("b", 1.0, &[2])]);
    let mut held = Vec::new();
    loop {
        let (choice, ticket) = assigner.assign(&ENTRY, &[], None).unwrap();
        held.push(ticket);
        if &*choice.resource == "b" {
            assert_eq!(choice.reason, Reason::Rule(engine::Reason::BestAlternate));
            assert_eq!(choice.endpoint, address(2));
            break;
        }
        assert!(held.len() < 40, "the lead is never full");
    }
    drop(held);
    assert_eq!(assigner.tally().in_flight, 0);
    assert_eq!(&*assigner.choose(&ENTRY, &[], None).unwrap().resource, "a");
    assert_eq!(&*assigner.choose(&ENTRY, &[0], None).unwrap().resource, "b", "a was tried");
}

#[test]
fn nobody_is_refused_while_there_is_an_endpoint_and_room_in_the_process() {
    let nobody = Assigner::new(Settings::default());
    assert_eq!(nobody.choose(&ENTRY, &[], None).unwrap_err(), Refusal::NoEndpoint);
    let assigner = assigner(0.0, vec![member("a", 0.1, &[1]), member("b", 0.1, &[2])]);
    let held: Vec<_> = (0..50).map(|_| assigner.assign(&ENTRY, &[], None).unwrap()).collect();
    assert_eq!(assigner.assign(&ENTRY, &[], None).unwrap_err(), Refusal::TooMany);
    drop(held);
    assert!(assigner.assign(&ENTRY, &[], None).is_ok());
}

#[test]
fn a_subset_is_kept_to_even_where_it_is_no_good_choice() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1, 2]), member("b", 8.0, &[3])]);
    assert_eq!(assigner.choose(&ENTRY, &[], Some(&[address(3)])).unwrap().endpoint, address(3));
    assert_eq!(assigner.choose(&ENTRY, &[], Some(&[address(2), address(3)])).unwrap().endpoint, address(2));
    assert_eq!(assigner.choose(&ENTRY, &[], Some(&[address(9)])).unwrap_err(), Refusal::NoEndpoint);
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_passed_over_and_errors_never_look_fast() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1, 2]), member("b", 8.0, &[3])]);
    let (choice, held) = assigner.assign(&ENTRY, &[], None).unwrap();
    held.finish(Outcome::Unreachable);
    for _ in 0..20 {
        assert_ne!(assigner.choose(&ENTRY, &[], None).unwrap().endpoint, choice.endpoint);
    }
    for _ in 0..50 {
        assigner.assign(&ENTRY, &[1], None).unwrap().1.finish(Outcome::Failed);
    }
    assert_eq!(&*assigner.choose(&ENTRY, &[], None).unwrap().resource, "b", "a fails too often");
}

#[test]
fn an_entry_that_was_served_elsewhere_is_counted_there() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1]), member("b", 8.0, &[2])]);
    let (_, mut held) = assigner.assign(&ENTRY, &[], None).unwrap();
    held.served_by(address(9));
    held.served_by(address(2));
    held.finish(Outcome::Acknowledged);
    let tally = assigner.tally();
    let outcomes = |place: usize| tally.resources[place].outcomes;
    assert_eq!(tally.in_flight, 0);
    assert_eq!(outcomes(1)[Outcome::Acknowledged as usize], 1);
    assert_eq!(outcomes(0)[Outcome::Cancelled as usize], 1);
}

#[test]
fn a_sender_says_how_long_its_entry_took_and_cannot_say_longer_than_it_was_away() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1]), member("b", 8.0, &[2])]);
    let (_, held) = assigner.assign(&ENTRY, &[], None).unwrap();
    held.finish_after(Duration::from_hours(1));
    let tally = assigner.tally();
    assert_eq!((tally.in_flight, tally.resources[0].outcomes[Outcome::Acknowledged as usize]), (0, 1));
}

#[test]
fn a_small_part_explores_alternates_while_the_lead_has_room() {
    let assigner = assigner(0.03, vec![member("a", 1e6, &[1]), member("b", 1e6, &[2])]);
    for _ in 0..5000 {
        assigner.assign(&ENTRY, &[], None).unwrap().1.finish(Outcome::Acknowledged);
    }
    let tally = assigner.tally();
    let explored = tally.resources[1].reasons[Reason::Exploration.place()];
    assert!((100..200).contains(&explored), "{explored} of 5000");
    assert_eq!(tally.times.count(), 5000);
}

#[test]
fn work_is_learned_by_class_and_length_and_decisions_can_be_looked_at() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1]), member("b", 8.0, &[2])]);
    assigner.assign(&ENTRY, &[], None).unwrap().1.finish(Outcome::Acknowledged);
    let (choice, held) = assigner.assign(&ENTRY, &[], None).unwrap();
    held.finish(Outcome::Refused);
    assert!(choice.impact > 0.0);
    let recent = assigner.recent(10);
    assert_eq!((recent.len(), recent[0].class.as_str(), recent[0].id.as_str()), (2, "audit", "e"));
    let json = serde_json::to_value(&recent[0]).unwrap();
    assert_eq!((&json["reason"], &json["resource"]), (&"LeadHasHeadroom".into(), &"a".into()));
}

#[test]
fn a_batch_is_counted_and_learned_by_the_entries_that_were_in_it() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1]), member("b", 8.0, &[2])]);
    let batch = Entry { bytes: Some(50_000), batch: true, ..ENTRY };
    let (_, mut held) = assigner.assign(&batch, &[], None).unwrap();
    held.measured(50_000, Some(500));
    held.finish(Outcome::Acknowledged);
    drop(assigner.assign(&batch, &[], None).unwrap());
    let acknowledged = |tally: &Tally| tally.resources[0].entries[Outcome::Acknowledged as usize];
    let tally = assigner.tally();
    assert_eq!(acknowledged(&tally), 500);
    assert_eq!(tally.resources[0].entries[Outcome::Cancelled as usize], 1, "it never passed");
    let impact = |entry: &Entry<'_>| assigner.choose(entry, &[], None).unwrap().impact;
    let (whole, half) = (impact(&batch), impact(&Entry { bytes: Some(25_000), ..batch }));
    assert!((whole / half - 2.0).abs() < 1e-6, "{whole} is twice {half}");
    let single = impact(&Entry { bytes: Some(100), ..ENTRY });
    assert!((whole / single - 500.0).abs() < 1e-3, "{whole} is 500 times {single}");
}

#[test]
fn a_resource_that_leaves_the_route_keeps_its_tickets_and_gets_nothing_new() {
    let assigner = assigner(0.0, vec![member("a", 8.0, &[1]), member("b", 8.0, &[2])]);
    let (_, held) = assigner.assign(&ENTRY, &[], None).unwrap();
    assigner.prepare(snapshot(vec![member("c", 8.0, &[3]), member("b", 8.0, &[2])]));
    assert_eq!(&*assigner.choose(&ENTRY, &[], None).unwrap().resource, "c");
    held.finish(Outcome::Acknowledged);
    assert_eq!(assigner.tally().in_flight, 0);
}
