//! Who gets a share: it sums, it is a number, it passes the gates, it stays below the objective.

use foreshift_engine::{
    allocate::{Ask, fill, may_take},
    decision::{Decision, Suppression},
    plan::Memory,
    policy::Policy,
    resource::{Freshness, Readiness, Resource},
};
use proptest::prelude::*;

use crate::worlds::{alternates, calm, policy, sensible, steady, tick, world};

proptest! {
    #[test]
    fn shares_sum_to_the_whole_and_every_number_is_one(
        worlds in prop::collection::vec(world(), 1..6), policy in policy(),
    ) {
        let mut memory = Memory::default();
        for world in &worlds {
            let (decision, next) = tick(world, &policy, memory);
            memory = next;
            prop_assert_eq!(decision.shares.iter().map(|s| u32::from(s.permille)).sum::<u32>(), 1000);
            prop_assert_eq!(decision.shares.iter().map(|s| u32::from(s.target)).sum::<u32>(), 1000);
            prop_assert!(decision.shares.iter().all(|s| (0.0..=100.0).contains(&s.score)), "{:?}", decision);
            prop_assert!(decision.shares.iter().all(|s| s.warm.is_none_or(|w| (0.0..=1.0).contains(&w))));
            prop_assert!(decision.shares.iter().all(|s| s.predicted.is_finite()), "{:?}", decision);
            prop_assert!(!decision.why().contains("NaN"), "{}", decision.why());
        }
    }

    #[test]
    fn the_same_input_gives_the_same_decision(world in world(), policy in policy()) {
        let [one, two] = [(); 2].map(|()| format!("{:?}", tick(&world, &policy, Memory::default())));
        prop_assert_eq!(one, two);
    }

    #[test]
    fn the_order_of_the_alternates_does_not_matter(mut world in world(), policy in policy()) {
        world.3.clear();
        let (decision, _) = tick(&world, &policy, Memory::default());
        world.1.reverse();
        let (mut reversed, _) = tick(&world, &policy, Memory::default());
        reversed.shares[1..].reverse();
        let shares = |d: &Decision| d.shares.iter().map(|s| (s.resource.clone(), s.target)).collect::<Vec<_>>();
        for ((name, a), (other, b)) in shares(&decision).into_iter().zip(shares(&reversed)) {
            prop_assert_eq!(name, other);
            // Equal remainders may round the one way or the other.
            prop_assert!(a.abs_diff(b) <= 1, "{} against {}", a, b);
        }
    }

    #[test]
    fn what_may_take_nothing_gets_nothing_while_another_can(
        worlds in prop::collection::vec(world(), 1..6), policy in policy(),
    ) {
        let mut memory = Memory::default();
        for world in &worlds {
            let (decision, next) = tick(world, &policy, memory);
            memory = next;
            let lead_can = world.0.endpoints > 0 && !world.0.drained;
            for (share, alternate) in decision.shares[1..].iter().zip(&world.1) {
                let barred = alternate.endpoints == 0 || alternate.drained || alternate.readiness == Readiness::NotReady;
                prop_assert!(
                    !barred || !lead_can || share.permille == 0 || world.0.freshness != Freshness::Fresh,
                    "{} got {}", share.resource, share.permille
                );
            }
        }
    }

    #[test]
    fn nothing_fresh_goes_to_what_nobody_knows_while_another_can_take_it(
        lead in sensible("lead"), alternates in alternates(), offered in 0.0..4.0_f64,
    ) {
        let lead = Resource { freshness: Freshness::Fresh, drained: false, endpoints: 4, ..lead };
        let mut memory = Memory::default();
        for second in 0..8 {
            let world = (lead.clone(), alternates.clone(), steady(offered, 0.05), vec![], second);
            let (decision, next) = tick(&world, &Policy::default(), memory);
            memory = next;
            for (share, alternate) in decision.shares[1..].iter().zip(&alternates) {
                prop_assert!(may_take(alternate, 0) || share.permille == 0, "{} got {}", share.resource, share.permille);
            }
        }
    }

    #[test]
    fn no_alternate_is_filled_beyond_its_objective_and_none_with_room_is_left_out(
        alternates in alternates(), shed in 0.0..1.0_f64, demand in 0.0..20.0_f64, unseen in prop::array::uniform3(0.0..2.0_f64),
        work in prop::array::uniform3(0.125..8.0_f64),
    ) {
        let policy = Policy::default();
        let ask = Ask { shed, demand, present: &[], unseen: &unseen, work: &work };
        let filled = fill(&alternates, ask, &policy);
        prop_assert!((filled.shares.iter().sum::<f64>() + filled.unplaced - shed).abs() < 1e-9);
        for (((share, alternate), unseen), work) in filled.shares.iter().zip(&alternates).zip(unseen).zip(work) {
            let load = alternate.background + (share * demand * work + unseen) / alternate.capacity;
            prop_assert!(*share <= 0.0 || load <= policy.objective.alternate_load + 1e-9, "{alternate:?} at {load}");
            let full = load >= policy.objective.alternate_load - 1e-9 || *share >= 1.0;
            prop_assert!(filled.unplaced < 1e-9 || full || !may_take(alternate, 0), "{alternate:?} at {load}");
        }
    }

    #[test]
    fn a_plan_fills_no_alternate_beyond_its_objective_while_another_has_room(
        lead in sensible("lead"), alternates in alternates(), offered in 0.0..4.0_f64,
    ) {
        let lead = Resource { freshness: Freshness::Fresh, drained: false, endpoints: 4, ..lead };
        let (policy, mut memory) = (Policy::default(), Memory::default());
        for second in 0..40 {
            let world = (lead.clone(), alternates.clone(), steady(offered, 0.05), vec![], second);
            let (decision, next) = tick(&world, &policy, memory);
            memory = next;
            if decision.insufficient {
                break;
            }
            for (share, alternate) in decision.shares[1..].iter().zip(&alternates) {
                // The target: while others warm up, an alternate may hold what it had. Shares are whole permille.
                let movable = (offered + 0.05 - lead.background).max(0.0);
                let permille = movable * lead.capacity / alternate.capacity / 1000.0;
                let load = alternate.background + f64::from(share.target) * permille;
                prop_assert!(
                    share.target == 0 || load <= policy.objective.alternate_load + permille + 1e-9,
                    "{} at {load}", share.resource
                );
            }
        }
    }
}

#[test]
fn a_lead_that_nobody_knows_holds_and_fails_open() {
    let unknown = |name: &str| Resource { freshness: Freshness::Absent, ..calm(name, 0.0) };
    let world = (unknown("lead"), vec![unknown("a")], steady(2.0, 0.0), vec![], 0);
    let (decision, _) = tick(&world, &Policy::default(), Memory::default());
    assert_eq!(decision.suppressed_by, Some(Suppression::NoPersonas));
    assert_eq!(decision.lead_share(), 1000);
}
