use super::*;
use crate::{
    allocate::tests::resource,
    policy::Policy,
    resource::{Freshness, Readiness, Resource},
};

const TYPICAL: f64 = 0.01;

struct Route {
    candidates: Candidates,
    policy: Policy,
    lead: Resource,
    alternates: Vec<Resource>,
    present: Vec<u16>,
    warm: Vec<f64>,
    part: f64,
}

impl Route {
    fn new(alternates: &[&str]) -> Self {
        let four_cores = |name: &&str| Resource { capacity: 4.0, ..resource(name, 0.0) };
        let mut route = Self {
            candidates: Candidates::default(),
            policy: Policy::default(),
            lead: four_cores(&"lead"),
            alternates: alternates.iter().map(four_cores).collect(),
            present: vec![],
            warm: vec![],
            part: 1.0,
        };
        route.prepare(0.0);
        route
    }

    fn prepare(&mut self, now: f64) {
        let tick = Tick {
            now: Duration::from_secs_f64(now),
            lead: &self.lead,
            alternates: &self.alternates,
            present: &self.present,
            warm: &self.warm,
            unseen: &[],
            part: self.part,
            policy: &self.policy,
        };
        self.candidates.prepare(&tick, 1, |_, _| f64::NAN);
    }

    fn choose(&self, now: f64, work: f64) -> Assignment {
        assign_entry(&self.candidates, 0, Duration::from_secs_f64(now), |_| work, &[])
    }

    fn send(&mut self, now: f64, work: f64) -> (Assignment, Ticket) {
        let assignment = self.choose(now, work);
        let ticket = self.candidates.start(assignment.resource, work, Duration::from_secs_f64(now));
        (assignment, ticket)
    }

    fn fill(&mut self, resource: usize, entries: usize) -> Vec<Ticket> {
        (0..entries).map(|_| self.candidates.start(resource, TYPICAL, Duration::ZERO)).collect()
    }
}

fn is(assignment: Assignment, resource: usize, reason: Reason) {
    assert_eq!(assignment, Assignment { resource, reason });
}

#[test]
fn the_lead_takes_entries_while_it_has_room_then_the_best_alternate_does() {
    let mut route = Route::new(&["a", "b"]);
    route.alternates[1].scores.affinity = 90.0;
    route.prepare(0.0);
    let places: Vec<usize> = (0..10).map(|_| route.send(0.0, TYPICAL).0.resource).collect();
    assert_eq!(places, [0, 0, 0, 0, 2, 2, 2, 2, 1, 1], "four cores at 0.75 have 4.6 entries in flight");
}

#[test]
fn a_finished_entry_makes_room_again() {
    let mut route = Route::new(&["a"]);
    let mut tickets = route.fill(0, 4);
    is(route.choose(0.0, TYPICAL), 1, Reason::BestAlternate);
    let ticket = tickets.pop().unwrap();
    let service = route.candidates.finish(ticket, Outcome::Acknowledged, Duration::from_millis(10));
    assert!((service.unwrap() - 0.01).abs() < 1e-3, "four cores serve four entries at full speed");
    is(route.choose(0.0, TYPICAL), 0, Reason::LeadHasHeadroom);
}

#[test]
fn nobody_has_room_so_the_one_that_is_done_first_takes_it() {
    let mut route = Route::new(&["a", "b"]);
    let _tickets = [route.fill(0, 8), route.fill(1, 7), route.fill(2, 6)];
    is(route.choose(0.0, TYPICAL), 2, Reason::ByHeadroom);
}

#[test]
fn the_lead_is_held_to_its_objective_by_the_second_even_if_it_answers_at_once() {
    let mut route = Route::new(&["a"]);
    let mut given = 0.0;
    for n in 0..2000 {
        let now = f64::from(n) / 500.0;
        let (assignment, ticket) = route.send(now, TYPICAL);
        route.candidates.finish(ticket, Outcome::Acknowledged, Duration::from_secs_f64(now));
        given += if assignment.resource == 0 { TYPICAL } else { 0.0 };
    }
    assert!((given - 5.0 * 3.0).abs() < 0.1, "three cores for four seconds and one second at once: {given}");
}

#[test]
fn where_entries_need_a_core_for_a_tenth_of_their_time_the_lead_has_ten_times_as_many() {
    let mut route = Route::new(&["a"]);
    let mut kept = 0.0;
    for n in 0..60_000_u32 {
        let now = f64::from(n) / 1000.0;
        if n % 1000 == 0 {
            // The lead's entries of the last second, as its persona tells.
            route.lead.own_cores = 0.1 * kept;
            route.prepare(now);
            kept = 0.0;
        }
        let (assignment, ticket) = route.send(now, TYPICAL);
        route.candidates.finish(ticket, Outcome::Acknowledged, Duration::from_secs_f64(now));
        kept += if assignment.resource == 0 { TYPICAL } else { 0.0 };
    }
    assert!(
        (9.9..10.1).contains(&kept),
        "all of a thousand a second, which keep one of four cores busy: {kept}"
    );
    let in_flight = (0..100).take_while(|_| route.send(60.0, TYPICAL).0.resource == 0).count();
    assert!((25..40).contains(&in_flight), "three cores at work with ten entries each: {in_flight}");
}

#[test]
fn a_full_lead_is_not_believed_to_do_more_for_the_same_cores() {
    let kept = |load: f64| {
        let mut route = Route::new(&["a", "b"]);
        let mut kept = 0.0;
        for n in 0..24_000_u32 {
            let now = f64::from(n) / 800.0;
            if n % 800 == 0 {
                // Each needs half of its time a core, and all four together have no more than there are.
                (route.lead.own_cores, route.lead.load) = (f64::min(0.5 * kept, 4.0), load);
                route.prepare(now);
                kept = 0.0;
            }
            let (assignment, ticket) = route.send(now, TYPICAL);
            route.candidates.finish(ticket, Outcome::Acknowledged, Duration::from_secs_f64(now));
            kept += if assignment.resource == 0 { TYPICAL } else { 0.0 };
        }
        kept
    };
    let (busy, full) = (kept(0.75), kept(1.5));
    assert!((5.5..7.0).contains(&busy), "three cores of entries that need half of one each: {busy}");
    assert!(full < 0.8 * busy, "{full}, {busy}");
}

#[test]
fn a_cold_alternate_takes_a_part_of_what_it_takes_when_warm() {
    let mut route = Route::new(&["a", "b"]);
    route.alternates[0].scores.affinity = 90.0;
    route.warm = vec![0.5, 1.0];
    route.prepare(0.0);
    let _tickets = route.fill(0, 4);
    let places: Vec<usize> = (0..4).map(|_| route.send(0.0, TYPICAL).0.resource).collect();
    assert_eq!(places, [1, 1, 2, 2]);
}

#[test]
fn one_huge_entry_does_not_close_a_resource_to_small_ones() {
    let mut route = Route::new(&["a"]);
    let _small = route.fill(0, 1);
    let _huge = route.candidates.start(0, 1.0, Duration::ZERO);
    is(route.choose(0.0, TYPICAL), 0, Reason::LeadHasHeadroom);
}

#[test]
fn an_entry_waits_only_while_it_is_not_among_the_slowest_and_somebody_else_is_prompt() {
    let mut route = Route::new(&["a", "b", "c", "d", "e"]);
    // One entry in fifty takes five times as long as the others.
    for n in 0..2000_u32 {
        let work = if n % 50 == 0 { 5.0 * TYPICAL } else { TYPICAL };
        let ticket = route.candidates.start(0, work, Duration::ZERO);
        route.candidates.finish(ticket, Outcome::Cancelled, Duration::ZERO);
    }
    route.prepare(10.0);
    let busy = |route: &mut Route, resource| {
        [(); 4].map(|()| route.candidates.start(resource, 2.0 * TYPICAL, Duration::from_secs(10)))
    };
    let _lead = busy(&mut route, 0);
    is(route.choose(10.0, TYPICAL / 2.0), 0, Reason::LeadHasHeadroom);
    is(route.choose(10.0, 5.0 * TYPICAL), 1, Reason::BestAlternate);
    let _others = [1, 2, 3].map(|alternate| busy(&mut route, alternate));
    is(route.choose(10.0, 5.0 * TYPICAL), 4, Reason::BestAlternate);
    let _fourth = busy(&mut route, 4);
    is(route.choose(10.0, 5.0 * TYPICAL), 0, Reason::LeadHasHeadroom);
}

#[test]
fn on_a_fifth_of_a_core_an_entry_may_wait_as_much_longer_as_it_takes_longer() {
    let mut route = Route::new(&["a"]);
    for resource in [&mut route.lead, &mut route.alternates[0]] {
        resource.capacity = 0.2;
    }
    // One entry in fifty takes five times as long as the others.
    for n in 0..2000_u32 {
        let work = if n % 50 == 0 { 5.0 * TYPICAL } else { TYPICAL };
        let ticket = route.candidates.start(0, work, Duration::ZERO);
        route.candidates.finish(ticket, Outcome::Cancelled, Duration::ZERO);
    }
    route.prepare(60.0);
    let _lead = route.candidates.start(0, TYPICAL, Duration::from_mins(1));
    is(route.choose(60.0, TYPICAL), 0, Reason::LeadHasHeadroom);
    is(route.choose(60.0, 5.0 * TYPICAL), 1, Reason::BestAlternate);
}

#[test]
fn one_of_two_routers_may_have_more_than_half_in_flight_by_chance() {
    let mut route = Route::new(&["a"]);
    route.part = 0.5;
    route.prepare(0.0);
    let taken = (0..8).filter(|_| route.send(0.0, TYPICAL).0.resource == 0).count();
    assert_eq!(taken, 4, "half of 4.6, and twice the square root of a quarter of it");
}

#[test]
fn gates_hold_for_every_alternate_until_nobody_is_left() {
    let mut route = Route::new(&["drained", "unfit", "unknown"]);
    route.lead.endpoints = 0;
    route.alternates[0].drained = true;
    route.alternates[1].readiness = Readiness::NotReady;
    route.alternates[2].freshness = Freshness::Absent;
    route.prepare(0.0);
    is(route.choose(0.0, TYPICAL), 3, Reason::LastResort);
    route.alternates[0].drained = false;
    route.prepare(1.0);
    is(route.choose(1.0, TYPICAL), 1, Reason::BestAlternate);
    let _tickets = route.fill(1, 20);
    is(route.choose(1.0, TYPICAL), 1, Reason::OnlyOneLeft);
}

#[test]
fn a_resource_that_fails_fast_is_left_alone_and_tried_again_later() {
    let mut route = Route::new(&["a", "b"]);
    route.alternates[0].scores.affinity = 90.0;
    let _lead = route.fill(0, 4);
    route.prepare(0.0);
    for n in 0..20 {
        let now = Duration::from_millis(n);
        let (_, ticket) = route.send(now.as_secs_f64(), TYPICAL);
        let outcome = if ticket.resource == 1 { Outcome::Failed } else { Outcome::Acknowledged };
        route.candidates.finish(ticket, outcome, now);
    }
    is(route.choose(0.02, TYPICAL), 2, Reason::BestAlternate);
    route.prepare(60.0);
    is(route.choose(60.0, TYPICAL), 1, Reason::BestAlternate);
}

#[test]
fn entries_that_fail_everywhere_are_not_the_resources_fault() {
    let mut route = Route::new(&["a"]);
    for n in 0..200_u64 {
        let now = Duration::from_millis(20 * n);
        let ticket = route.candidates.start(usize::from(n % 2 == 0), TYPICAL, now);
        route.candidates.finish(ticket, Outcome::Failed, now);
    }
    is(route.choose(5.0, TYPICAL), 0, Reason::LeadHasHeadroom);
}

#[test]
fn a_resource_slowed_by_a_neighbour_gets_less_before_any_persona_tells() {
    let mut route = Route::new(&["a"]);
    for n in 0..50_u64 {
        let ticket = route.candidates.start(0, TYPICAL, Duration::from_millis(40 * n));
        route.candidates.finish(ticket, Outcome::Acknowledged, Duration::from_millis(40 * n + 40));
    }
    let taken = (0..5).filter(|_| route.send(2.1, TYPICAL).0.resource == 0).count();
    assert_eq!(taken, 1, "at a quarter of the pace a quarter of the entries are in flight");
}

#[test]
fn the_lead_keeps_its_least_share_and_no_alternate_gets_more_than_its_most() {
    let mut route = Route::new(&["a"]);
    route.policy.limits.min_lead_share = 400;
    route.prepare(0.0);
    let _tickets = [route.fill(0, 10), route.fill(1, 30)];
    is(route.choose(0.0, TYPICAL), 0, Reason::LeastLeadShare);

    let mut route = Route::new(&["a", "b"]);
    route.policy.limits.max_share_per_alternate = 200;
    route.alternates[0].scores.affinity = 90.0;
    route.prepare(0.0);
    let _tickets = [route.fill(0, 8), route.fill(1, 2)];
    is(route.choose(0.0, TYPICAL), 2, Reason::BestAlternate);
}

#[test]
fn a_lead_that_others_wait_for_gets_nothing_for_the_sake_of_its_least_share() {
    let mut route = Route::new(&["a"]);
    route.policy.limits.min_lead_share = 400;
    route.prepare(0.0);
    let _tickets = [route.fill(0, 30), route.fill(1, 29)];
    // Far more than a lead at its objective has in flight, and still too small a share.
    for _ in 0..50 {
        let ticket = route.candidates.start(1, TYPICAL, Duration::ZERO);
        route.candidates.finish(ticket, Outcome::Acknowledged, Duration::ZERO);
    }
    is(route.choose(0.0, TYPICAL), 1, Reason::ByHeadroom);
}

#[test]
fn a_resource_that_failed_an_entry_does_not_get_it_again() {
    let mut route = Route::new(&["a"]);
    let _tickets = route.fill(1, 50);
    let again = |tried: &[usize]| assign_entry(&route.candidates, 0, Duration::ZERO, |_| TYPICAL, tried);
    is(again(&[0]), 1, Reason::OnlyOneLeft);
    is(again(&[0, 1]), 0, Reason::LastResort);
}

#[test]
fn a_resource_that_leaves_keeps_its_place_until_its_entries_are_done() {
    let mut route = Route::new(&["a", "b"]);
    let ticket = route.candidates.start(1, TYPICAL, Duration::ZERO);
    let left = route.alternates.remove(0);
    route.prepare(1.0);
    assert_eq!((route.candidates.place("a"), route.candidates.place("b")), (Some(1), Some(2)));
    route.candidates.finish(ticket, Outcome::Acknowledged, Duration::from_secs(1));
    route.prepare(2.0);
    assert_eq!(route.candidates.place("a"), None);
    route.alternates = vec![Resource { name: "c".into(), ..left }];
    route.prepare(3.0);
    assert_eq!(route.candidates.place("c"), Some(1), "a vacant place is used again");
}

#[test]
fn an_unknown_lead_counts_as_the_mean_of_the_others() {
    let mut route = Route::new(&["a"]);
    route.lead = Resource { capacity: 1e-3, freshness: Freshness::Absent, ..resource("lead", 0.0) };
    route.prepare(0.0);
    let taken = (0..8).filter(|_| route.send(0.0, TYPICAL).0.resource == 0).count();
    assert_eq!(taken, 4);
}

#[test]
fn classes_have_an_order_of_their_own() {
    let mut route = Route::new(&["a", "b"]);
    let tick = Tick {
        now: Duration::ZERO,
        lead: &route.lead,
        alternates: &route.alternates,
        present: &[],
        warm: &[],
        unseen: &[],
        part: 1.0,
        policy: &route.policy,
    };
    route.candidates.prepare(&tick, 2, |class, alternate| if class == alternate { 90.0 } else { 40.0 });
    let _tickets = route.fill(0, 4);
    let of = |class| assign_entry(&route.candidates, class, Duration::ZERO, |_| TYPICAL, &[]).resource;
    assert_eq!((of(0), of(1), of(7)), (1, 2, 1));
}
