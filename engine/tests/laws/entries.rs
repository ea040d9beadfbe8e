//! Single entries: who gets one, and what the resources are held to.

use std::time::Duration;

use foreshift_engine::{
    assign::{Assignment, Candidates, Outcome, Reason, Tick, Ticket, assign_entry},
    policy::Policy,
    resource::{Freshness, Readiness, Resource},
};
use proptest::prelude::*;

use crate::worlds::{alternates, sensible};

fn prepare(candidates: &mut Candidates, now: Duration, lead: &Resource, alternates: &[Resource]) {
    let policy = Policy::default();
    let tick =
        Tick { now, lead, alternates, present: &[], warm: &[], unseen: &[], part: 1.0, policy: &policy };
    candidates.prepare(&tick, 1, |_, _| f64::NAN);
}

/// Sends entries of these sizes, each a millisecond after the other and each done after `service` milliseconds;
/// answers who got each.
fn names(lead: &Resource, alternates: &[Resource], sizes: &[f64], service: u64) -> Vec<(String, Reason)> {
    let mut candidates = Candidates::default();
    prepare(&mut candidates, Duration::ZERO, lead, alternates);
    let mut in_flight: Vec<(u64, Ticket)> = vec![];
    (0..)
        .zip(sizes)
        .map(|(ms, &size)| {
            let now = Duration::from_millis(ms);
            while in_flight.first().is_some_and(|(done, _)| *done <= ms) {
                candidates.finish(in_flight.remove(0).1, Outcome::Acknowledged, now);
            }
            let Assignment { resource, reason } = assign_entry(&candidates, 0, now, |_| size, &[]);
            in_flight.push((ms + service, candidates.start(resource, size, now)));
            (candidates.name(resource).to_owned(), reason)
        })
        .collect()
}

proptest! {
    #[test]
    fn the_order_of_the_alternates_does_not_matter_to_entries(
        lead in sensible("lead"), mut alternates in alternates(),
        sizes in prop::collection::vec(0.001..0.1_f64, 1..60), service in 1_u64..40,
    ) {
        let chosen = names(&lead, &alternates, &sizes, service);
        alternates.reverse();
        prop_assert_eq!(names(&lead, &alternates, &sizes, service), chosen);
    }

    #[test]
    fn no_entry_goes_to_a_resource_that_fails_its_gates_while_another_passes(
        lead in sensible("lead"), alternates in alternates(), sizes in prop::collection::vec(0.001..0.1_f64, 1..60),
    ) {
        let lead_can = lead.endpoints > 0 && !lead.drained;
        let open = |r: &Resource| {
            r.endpoints > 0 && !r.drained && r.readiness != Readiness::NotReady && r.freshness == Freshness::Fresh
        };
        let somebody = lead_can || alternates.iter().any(open);
        for (name, reason) in names(&lead, &alternates, &sizes, 20) {
            let passes = alternates.iter().find(|a| a.name == name).map_or(lead_can, open);
            prop_assert!(passes || !somebody, "{name} by {reason:?}");
            prop_assert_eq!(reason == Reason::LastResort, !somebody);
        }
    }

    #[test]
    fn nobody_is_given_more_than_its_objective_while_another_has_room(
        lead in sensible("lead"), alternates in alternates(), sizes in prop::collection::vec(0.001..0.02_f64, 1..2000),
    ) {
        let objective = Policy::default().objective.alternate_load;
        let seconds = sizes.len() as f64 / 1000.0;
        let chosen = names(&lead, &alternates, &sizes, 5);
        for resource in alternates.iter().chain([&lead]) {
            let given: f64 = chosen.iter().zip(&sizes)
                .filter(|((name, reason), _)| {
                    *name == resource.name && matches!(reason, Reason::LeadHasHeadroom | Reason::BestAlternate)
                })
                .map(|(_, size)| size)
                .sum();
            let rate = (objective - resource.background) * resource.capacity;
            // One second's worth at once, and the entry that fills it up.
            prop_assert!(given <= rate * (seconds + 1.0) + 0.02, "{} got {given} at {rate}", resource.name);
        }
    }
}
