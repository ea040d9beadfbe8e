//! How shares move: calmly, and the right way.

use foreshift_engine::{
    decision::Trigger,
    plan::Memory,
    policy::Policy,
    resource::{Freshness, Resource},
};
use proptest::prelude::*;

use crate::worlds::{alternates, drive, sensible, steady, tick};

/// By how much p90 lies above the median.
const SPREAD: f64 = 0.05;

/// The lead as one that can be planned for.
fn ready(lead: Resource) -> Resource {
    Resource { freshness: Freshness::Fresh, drained: false, endpoints: 4, ..lead }
}

/// The work (in loads of the lead) that is shed in the end when `offered` stays as it is; `None` if room is wanting:
/// what is spread then depends on the way there.
fn shed(lead: &Resource, alternates: &[Resource], offered: f64) -> Option<f64> {
    let (mut memory, mut lead) = (Memory::default(), lead.clone());
    let movable = (offered - lead.background).max(0.0);
    let (mut share, mut insufficient) = (1.0, false);
    for second in 0..60 {
        lead.load = lead.background + movable * share;
        let world = (lead.clone(), alternates.to_vec(), steady(offered, SPREAD), vec![], second);
        let (decision, next) = tick(&world, &Policy::default(), memory);
        (memory, share) = (next, f64::from(decision.shares[0].target) / 1000.0);
        insufficient |= decision.insufficient;
    }
    (!insufficient).then_some((1.0 - share) * movable)
}

/// Whether an alternate holds more than it has room for, in permille of what is offered.
fn squeezed(lead: &Resource, alternates: &[Resource], held: &[u16], offered: f64) -> bool {
    let demand = (offered + SPREAD - lead.background).max(0.0) * lead.capacity;
    alternates.iter().zip(held).any(|(alternate, &held)| {
        let room = (Policy::default().objective.alternate_load - alternate.background) * alternate.capacity;
        demand * f64::from(held) / 1000.0 > room - 1e-3 * demand
    })
}

proptest! {
    #[test]
    fn constant_demand_settles_and_stays_settled(offered in 0.0..1.4_f64) {
        let shares = drive(300, |_| offered);
        let changes = shares[120..].windows(2).filter(|pair| pair[0] != pair[1]).count();
        prop_assert_eq!(changes, 0, "{:?}", &shares[120..]);
    }

    #[test]
    fn more_demand_never_means_less_shed(low in 0.1..1.4_f64, more in 0.0..0.5_f64) {
        let settled = |offered| *drive(150, |_| offered).last().unwrap();
        prop_assert!(settled(low + more) <= settled(low) + 1);
    }

    #[test]
    fn more_lead_load_never_means_less_work_shed_while_somebody_has_room(
        lead in sensible("lead"), alternates in alternates(), low in 0.0..3.0_f64, more in 0.0..1.0_f64,
    ) {
        let lead = ready(lead);
        if let (Some(before), Some(after)) = (shed(&lead, &alternates, low), shed(&lead, &alternates, low + more)) {
            // Shares are whole permille, rounded twice.
            prop_assert!(after >= before - 0.003 * (low + more), "{before} of {low}, {after} of {}", low + more);
        }
    }

    #[test]
    fn a_tick_moves_the_lead_by_a_step_unless_room_is_wanting_and_a_minute_gives_back_twice_at_most(
        lead in sensible("lead"), alternates in alternates(),
        offered in prop::collection::vec(0.0..2.0_f64, 8..24), hold in 1_usize..20,
    ) {
        let (policy, mut memory) = (Policy::default(), Memory::default());
        let mut lead = ready(lead);
        let (mut before, mut moves) = (1000_u16, vec![]);
        let mut held = vec![0; alternates.len()];
        for second in 0..offered.len() * hold {
            let offered = offered[second / hold];
            lead.load = lead.background.max(offered * f64::from(before) / 1000.0);
            let world = (lead.clone(), alternates.clone(), steady(offered, SPREAD), vec![], second as u64);
            let (decision, next) = tick(&world, &policy, memory);
            memory = next;
            let target = decision.shares[0].target;
            let gentle = decision.trigger != Some(Trigger::Saturation) && !decision.insufficient;
            if gentle && second > 0 {
                let most = policy.limits.max_step + 1;
                prop_assert!(before.saturating_sub(target) <= most, "{before} to {target}");
                // What an alternate has no room for goes back at once to a lead that has.
                let squeezed = squeezed(&lead, &alternates, &held, offered);
                prop_assert!(squeezed || target.saturating_sub(before) <= most, "{before} to {target}");
            }
            held = decision.shares[1..].iter().map(|share| share.target).collect();
            let way = i32::from(target) - i32::from(before);
            moves.push(if decision.trigger == Some(Trigger::Headroom) { way.signum() } else { way.min(0).signum() });
            before = target;
        }
        // `holdDown` is half a minute; what moves for want of room anywhere is no giving back.
        for minute in moves.windows(60) {
            let ways: Vec<i32> = minute.iter().copied().filter(|&way| way != 0).collect();
            let back = ways.windows(2).filter(|pair| *pair == [-1, 1]).count();
            prop_assert!(back <= 2, "{back} times in a minute: {ways:?}");
        }
    }
}

proptest! {
    #[test]
    fn the_share_of_an_alternate_that_fell_silent_never_grows_and_goes_where_there_is_room(
        alternates in alternates(), offered in 0.8..1.4_f64,
    ) {
        let (policy, mut memory) = (Policy::default(), Memory::default());
        let alternates: Vec<Resource> = alternates.into_iter().map(ready).collect();
        let lead = ready(Resource { capacity: 1.0, background: 0.0, ..alternates[0].clone() });
        let mut lead = Resource { name: "lead".into(), ..lead };
        let (mut share, mut before, mut last) = (1.0, u16::MAX, 0);
        for second in 0..60 {
            let mut seen = alternates.clone();
            lead.load = offered * share;
            if second >= 30 {
                seen[1].freshness = if second < 50 { Freshness::Aged } else { Freshness::Absent };
            }
            let world = (lead.clone(), seen, steady(offered, SPREAD), vec![], second);
            let (decision, next) = tick(&world, &policy, memory);
            (memory, share) = (next, f64::from(decision.shares[0].permille) / 1000.0);
            if second >= 30 {
                last = decision.shares[2].target;
                prop_assert!(last <= before, "{before} to {last}: {decision:?}");
                before = last;
            }
            if decision.insufficient {
                return Ok(());
            }
        }
        prop_assert_eq!(last, 0);
    }
}

#[test]
fn a_square_wave_moves_the_target_at_most_twice_a_period() {
    let period = 240;
    let shares = drive(4 * period, |t| if t % period < period / 2 { 0.4 } else { 1.2 });
    let directions: Vec<i32> = shares
        .windows(2)
        .map(|pair| i32::from(pair[1]) - i32::from(pair[0]))
        .filter(|&change| change != 0)
        .map(i32::signum)
        .collect();
    let turns = directions.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns <= 7, "{turns} turns in four periods: {directions:?}");
}
