//! Laws of the planner: they hold for any numbers, any clock and any history.

use std::time::Duration;

use foreshift_engine::{
    decision::Decision,
    forecast::{Forecast, Quantile, Quantiles, Rung},
    plan::{Input, Memory, Outlook, plan},
    policy::{FailurePolicy, Limits, Objective, Policy, WarmUp, Weights},
    resource::{Freshness, Readiness, Resource, Scores},
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Any float, NaN and infinities included, with sensible ones often enough.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..2.0_f64, 1 => prop::num::f64::ANY]
}

prop_compose! {
    fn scores()(affinity in number(), stability in prop_oneof![0.0..100.0_f64, number()], cost in number()) -> Scores {
        Scores { affinity, stability, cost }
    }
}

fn freshness() -> impl Strategy<Value = Freshness> {
    prop_oneof![4 => Just(Freshness::Fresh), 1 => Just(Freshness::Aged), 1 => Just(Freshness::Absent)]
}

fn readiness() -> impl Strategy<Value = Readiness> {
    prop_oneof![Just(Readiness::Ready), Just(Readiness::NotReady), Just(Readiness::Inconclusive)]
}

prop_compose! {
    fn resource(name: String)(
        capacity in number(), load in number(), background in number(), own_cores in number(),
        endpoints in 0_u32..5, scores in scores(), freshness in freshness(), readiness in readiness(),
        drained in prop::bool::weighted(0.1),
    ) -> Resource {
        Resource {
            name: name.clone(), capacity, load, background, own_cores, endpoints, scores, freshness, readiness, drained,
        }
    }
}

prop_compose! {
    fn forecast()(
        period in 0_u64..60, last in number(), level in number(), values in prop::array::uniform5((number(), number(), number())),
        rung in prop_oneof![Just(Rung::Model), Just(Rung::Holt), Just(Rung::LastValue), Just(Rung::Reactive)],
    ) -> Forecast {
        let [a, b, c, d, peak] = values.map(|(p50, p90, p99)| Quantiles { p50, p90, p99 });
        Forecast { period: Duration::from_secs(period), last, level, steps: [a, b, c, d], peak, rung }
    }
}

prop_compose! {
    fn policy()(
        loads in (number(), number(), number()), horizon in 0_u64..100,
        quantile in prop_oneof![Just(Quantile::P50), Just(Quantile::P90), Just(Quantile::P99)],
        weights in (number(), number(), number()), limits in (0_u16..=1000, 0_u16..=1000, 0_u64..60, 0_u16..=1000),
        warm in (0_u64..60, number(), number()),
        failure in prop_oneof![Just(FailurePolicy::FailOpen), Just(FailurePolicy::LeadOnly)],
    ) -> Policy {
        let (lead_load, alternate_load, saturation) = loads;
        Policy {
            objective: Objective {
                lead_load, alternate_load, saturation, horizon: Duration::from_secs(horizon), quantile,
            },
            weights: Weights { affinity: weights.0, stability: weights.1, cost: weights.2 },
            limits: Limits {
                min_lead_share: limits.0,
                max_step: limits.1,
                hold_down: Duration::from_secs(limits.2),
                max_share_per_alternate: limits.3,
            },
            warm_up: WarmUp { duration: Duration::from_secs(warm.0), minimum: warm.1, aggression: warm.2 },
            failure,
        }
    }
}

/// What one tick of any world looks like.
type World = (Resource, Vec<Resource>, Outlook, Vec<f64>, u64);

fn world() -> impl Strategy<Value = World> {
    let alternates = (1_usize..5)
        .prop_flat_map(|n| (0..n).map(|i| resource(format!("alternate-{i}"))).collect::<Vec<_>>());
    let outlook = (forecast(), forecast()).prop_map(|(fine, coarse)| Outlook { fine, coarse });
    // Shadow entries judge alternates only.
    let lead =
        resource("lead".into()).prop_map(|lead| Resource { readiness: Readiness::Inconclusive, ..lead });
    (lead, alternates, outlook, prop::collection::vec(number(), 0..6), any::<u64>())
}

fn tick(world: &World, policy: &Policy, memory: Memory) -> (Decision, Memory) {
    let (lead, alternates, outlook, unseen, now) = world;
    let now = Duration::from_secs(*now);
    plan(&Input { now, lead, alternates, outlook, unseen, policy }, memory)
}

fn calm(name: &str, load: f64) -> Resource {
    Resource {
        name: name.into(),
        capacity: 1.0,
        load,
        background: 0.0,
        own_cores: load,
        endpoints: 4,
        scores: Scores::default(),
        freshness: Freshness::Fresh,
        readiness: Readiness::Inconclusive,
        drained: false,
    }
}

fn steady(load: f64, spread: f64) -> Outlook {
    let quantiles = Quantiles { p50: load, p90: load + spread, p99: load + 2.0 * spread };
    let series = |seconds| Forecast {
        period: Duration::from_secs(seconds),
        last: load,
        level: load,
        steps: [quantiles; 4],
        peak: quantiles,
        rung: Rung::Model,
    };
    Outlook { fine: series(2), coarse: series(15) }
}

/// The lead's share after each tick of a closed loop in which `offered(tick)` arrives.
fn drive(ticks: u64, offered: impl Fn(u64) -> f64) -> Vec<u16> {
    let policy = Policy::default();
    let mut memory = Memory::default();
    let mut share = 1.0;
    (0..ticks)
        .map(|t| {
            let load = offered(t);
            let lead = calm("lead", load * share);
            let alternates = [calm("a", load * (1.0 - share))];
            let outlook = steady(load, 0.05);
            let input = Input {
                now: SECOND * t as u32,
                lead: &lead,
                alternates: &alternates,
                outlook: &outlook,
                unseen: &[],
                policy: &policy,
            };
            let (decision, next) = plan(&input, std::mem::take(&mut memory));
            memory = next;
            share = f64::from(decision.lead_share()) / 1000.0;
            decision.lead_share()
        })
        .collect()
}

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
