//! The shadow mode of one route, entry by entry.

use proptest::prelude::*;

use super::{super::Interval, *};
use crate::allocate::tests::resource;

/// A route that is followed second by second; one endpoint of each alternate, so a hundred copies warm one.
struct Route {
    mirror: Mirror,
    shadow: Shadow,
    phase: Phase,
    lead: Resource,
    alternates: Vec<Resource>,
    warm: Vec<Option<f64>>,
    second: u64,
}

impl Route {
    fn new(names: &[&str]) -> Self {
        let alternates = names.iter().map(|name| Resource { endpoints: 1, ..resource(name, 0.1) });
        let mut route = Self {
            mirror: Mirror::default(),
            // One window that never ends.
            shadow: Shadow {
                every: Duration::from_hours(1),
                duration: Duration::from_hours(1),
                ..Shadow::default()
            },
            phase: Phase::Steady,
            lead: resource("lead", 0.5),
            alternates: alternates.collect(),
            warm: Vec::new(),
            second: 0,
        };
        route.tick();
        route
    }

    fn warm(names: &[&str]) -> Self {
        let mut route = Self::new(names);
        route.warm = vec![Some(1.0); names.len()];
        route.tick();
        route
    }

    fn tick(&mut self) {
        self.second += 1;
        self.mirror.prepare(&Tick {
            now: Duration::from_secs(3_600_000 + self.second),
            shadow: &self.shadow,
            seed: 7,
            phase: self.phase,
            policy: &Policy::default(),
            lead: &self.lead,
            alternates: &self.alternates,
            warm: &self.warm,
            present: &[],
            served: &[],
            part: 1.0,
        });
    }

    /// Offers entries that all find room; ends every copy as it says.
    fn offer(&mut self, entries: u32, copy: Option<f64>) -> Vec<Order> {
        let mut orders = Vec::new();
        for n in 0..entries {
            if let Ok(order) =
                self.mirror.order(&(n + 1000 * self.second as u32).to_le_bytes(), true, |_| true)
            {
                let name = self.alternates[order.alternate].name.clone();
                self.mirror.ended(&name, order.purpose, Some(0.01), copy);
                orders.push(order);
            }
        }
        orders
    }
}

#[test]
fn a_cold_alternate_gets_every_entry_until_it_is_warm_and_its_share_waits_so_long() {
    let mut route = Route::new(&["b"]);
    assert_eq!((route.mirror.percent(), route.mirror.holds_share(0)), (100.0, true));
    let orders = route.offer(1000, Some(0.5));
    assert!(orders.iter().take(100).all(|order| order.purpose == Purpose::WarmUp));
    assert!(orders.len() == 100, "a trial begins when it is known to be warm: {}", orders.len());
    route.tick();
    assert_eq!((route.mirror.percent(), route.mirror.holds_share(0)), (5.0, false));
    let view = route.mirror.alternates().next().unwrap();
    assert_eq!((view.is_warm, view.copies, view.primed), (true, 0, (100, 100)));
}

#[test]
fn copies_for_a_trial_are_as_many_as_asked_for_and_go_round() {
    let mut route = Route::warm(&["b", "c", "d"]);
    let orders = route.offer(6000, Some(0.01));
    assert!((250..350).contains(&orders.len()), "{}", orders.len());
    for alternate in 0..3 {
        let got = orders.iter().filter(|order| order.alternate == alternate).count();
        assert!(got.abs_diff(orders.len() / 3) <= 1, "{got} of {}", orders.len());
    }
}

#[test]
fn while_entries_compete_for_room_only_what_is_cold_is_sent_copies() {
    let mut warm = Route::warm(&["b"]);
    let ordered = |route: &mut Route, calm, room| {
        let mut order = |n: u32| route.mirror.order(&n.to_le_bytes(), calm, |_| room);
        (0..200).filter_map(|n| order(n).ok()).count()
    };
    assert_eq!((ordered(&mut warm, false, true), ordered(&mut warm, true, false)), (0, 0));
    assert_eq!(warm.mirror.order(b"an entry", false, |_| true), Err(Skip::NotChosen));
    let mut cold = Route::new(&["b"]);
    assert_eq!(cold.mirror.order(b"an entry", false, |_| false), Err(Skip::NoRoom));
    assert_eq!(ordered(&mut cold, false, true), MOST_UNDER_WAY as usize);
}

#[test]
fn what_hangs_gets_no_more_copies_and_what_is_withdrawn_gives_its_place_back() {
    let mut route = Route::new(&["b"]);
    let order = |route: &mut Route| route.mirror.order(b"an entry", true, |_| true);
    let ordered = (0..100).filter(|_| order(&mut route).is_ok()).count();
    assert_eq!(ordered, MOST_UNDER_WAY as usize);
    assert_eq!(order(&mut route), Err(Skip::NoRoom));
    route.mirror.withdrawn("b");
    route.mirror.withdrawn("who is that");
    assert!(order(&mut route).is_ok());
}

#[test]
fn moving_shares_and_full_alternates_hold_copies_back() {
    let mut route = Route::warm(&["b"]);
    route.phase = Phase::Shifting;
    route.tick();
    assert_eq!(route.offer(1000, Some(0.01)), []);
    assert_eq!(route.mirror.alternates().next().unwrap().hold, Some(Hold::Shifting));
    let mut full = Route::new(&["b"]);
    full.alternates[0].load = 0.8;
    full.tick();
    assert_eq!((full.offer(1000, Some(0.01)), full.mirror.percent()), (vec![], 5.0));
}

#[test]
fn a_first_share_does_not_wait_under_saturation_nor_for_copies_that_do_not_come() {
    let mut route = Route::new(&["b"]);
    route.lead.load = 0.95;
    route.tick();
    assert!(!route.mirror.holds_share(0));
    let mut stalled = Route::new(&["b"]);
    stalled.mirror.lead_is_short();
    stalled.tick();
    assert!(stalled.mirror.holds_share(0));
    (0..5).for_each(|_| stalled.tick());
    assert!(!stalled.mirror.holds_share(0), "nobody sends copies, as with an API only");
}

#[test]
fn verdicts_come_at_the_end_of_windows_and_gate_until_they_expire() {
    let mut route = Route::warm(&["b"]);
    route.shadow = Shadow {
        every: Duration::from_secs(10),
        duration: Duration::from_secs(5),
        percent: 100.0,
        ..route.shadow
    };
    for _ in 0..20 {
        route.tick();
        route.offer(100, None);
    }
    assert_eq!(route.mirror.readiness(0), Readiness::NotReady);
    let verdict = route.mirror.alternates().next().unwrap().verdict.unwrap();
    assert!(
        verdict.excess_errors.low > 0.5
            && verdict.latency_ratio == Interval { low: 0.0, high: f64::INFINITY }
    );
    (0..31).for_each(|_| route.tick());
    assert_eq!(route.mirror.readiness(0), Readiness::Inconclusive, "a verdict holds for three periods");
}

#[test]
fn an_alternate_that_leaves_is_forgotten_and_one_that_stays_keeps_what_it_showed() {
    let mut route = Route::warm(&["b", "c"]);
    route.offer(2000, Some(0.01));
    let copies = |route: &Route| -> Vec<u32> { route.mirror.alternates().map(|view| view.copies).collect() };
    let before = copies(&route);
    route.alternates.remove(0);
    route.tick();
    assert_eq!(copies(&route), before[1..]);
    route.alternates.insert(0, Resource { endpoints: 1, ..resource("b", 0.1) });
    route.tick();
    assert_eq!(copies(&route)[0], 0);
}

proptest! {
    #[test]
    fn no_input_makes_more_copies_than_may_be_under_way(
        percent: f64, min_entries: u32, endpoints in 0_u32..100, part: f64,
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), prop::option::of(prop::num::f64::ANY), 0_u8..4), 0..200),
    ) {
        let mut route = Route::new(&["b", "c"]);
        route.shadow = Shadow { percent, min_entries, ..route.shadow };
        route.alternates[0].endpoints = endpoints;
        let _ = needed(&route.shadow, endpoints, part);
        for (n, (calm, room, took, what)) in steps.into_iter().enumerate() {
            match what {
                0 => route.tick(),
                1 => route.mirror.ended("b", Purpose::Trial, took, took),
                2 => route.mirror.withdrawn("c"),
                _ => drop(route.mirror.order(&n.to_le_bytes(), calm, |_| room)),
            }
            for view in route.mirror.alternates() {
                prop_assert!(view.under_way <= MOST_UNDER_WAY);
            }
        }
    }
}
