//! Worlds to plan in: any numbers at all, or sensible ones.

use std::time::Duration;

use foreshift_engine::{
    decision::Decision,
    forecast::{Forecast, Quantile, Quantiles, Rung},
    plan::{Input, Memory, Outlook, plan},
    policy::{FailurePolicy, Limits, Objective, Policy, WarmUp, Weights},
    resource::{Freshness, Readiness, Resource, Scores},
};
use proptest::prelude::*;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Any float, NaN and infinities included, with sensible ones often enough.
pub(crate) fn number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..2.0_f64, 1 => prop::num::f64::ANY]
}

prop_compose! {
    pub(crate) fn scores()(affinity in number(), stability in prop_oneof![0.0..100.0_f64, number()], cost in number()) -> Scores {
        Scores { affinity, stability, cost }
    }
}

pub(crate) fn freshness() -> impl Strategy<Value = Freshness> {
    prop_oneof![4 => Just(Freshness::Fresh), 1 => Just(Freshness::Aged), 1 => Just(Freshness::Absent)]
}

pub(crate) fn readiness() -> impl Strategy<Value = Readiness> {
    prop_oneof![Just(Readiness::Ready), Just(Readiness::NotReady), Just(Readiness::Inconclusive)]
}

prop_compose! {
    pub(crate) fn resource(name: String)(
        capacity in number(), load in number(), background in number(), own_cores in number(),
        entries in prop::option::of(number()), error_ratio in prop_oneof![3 => Just(0.0), 1 => number()],
        endpoints in 0_u32..5, scores in scores(), freshness in freshness(), readiness in readiness(),
        drained in prop::bool::weighted(0.1),
    ) -> Resource {
        Resource {
            name: name.clone(), capacity, load, background, own_cores, entries, error_ratio, endpoints, scores, freshness,
            readiness, drained,
        }
    }
}

prop_compose! {
    pub(crate) fn forecast()(
        period in 0_u64..60, last in number(), level in number(), values in prop::array::uniform5((number(), number(), number())),
        rung in prop_oneof![Just(Rung::Model), Just(Rung::Holt), Just(Rung::LastValue), Just(Rung::Reactive)],
    ) -> Forecast {
        let [a, b, c, d, peak] = values.map(|(p50, p90, p99)| Quantiles { p50, p90, p99 });
        Forecast { period: Duration::from_secs(period), last, level, steps: [a, b, c, d], peak, rung }
    }
}

prop_compose! {
    pub(crate) fn policy()(
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
pub(crate) type World = (Resource, Vec<Resource>, Outlook, Vec<f64>, u64);

pub(crate) fn world() -> impl Strategy<Value = World> {
    let alternates = (1_usize..5)
        .prop_flat_map(|n| (0..n).map(|i| resource(format!("alternate-{i}"))).collect::<Vec<_>>());
    let outlook = (forecast(), forecast()).prop_map(|(fine, coarse)| Outlook { fine, coarse });
    // Shadow entries judge alternates only.
    let lead =
        resource("lead".into()).prop_map(|lead| Resource { readiness: Readiness::Inconclusive, ..lead });
    (lead, alternates, outlook, prop::collection::vec(number(), 0..6), any::<u64>())
}

pub(crate) fn tick(world: &World, policy: &Policy, memory: Memory) -> (Decision, Memory) {
    let (lead, alternates, outlook, unseen, now) = world;
    let now = Duration::from_secs(*now);
    let (in_force, age) = (&[][..], SECOND * 3);
    plan(&Input { now, lead, alternates, outlook, unseen, in_force, age, policy }, memory)
}

pub(crate) fn calm(name: &str, load: f64) -> Resource {
    Resource {
        name: name.into(),
        capacity: 1.0,
        load,
        background: 0.0,
        own_cores: load,
        entries: None,
        error_ratio: 0.0,
        endpoints: 4,
        scores: Scores::default(),
        freshness: Freshness::Fresh,
        readiness: Readiness::Inconclusive,
        drained: false,
    }
}

pub(crate) fn steady(load: f64, spread: f64) -> Outlook {
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
pub(crate) fn drive(ticks: u64, offered: impl Fn(u64) -> f64) -> Vec<u16> {
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
                in_force: &[],
                age: SECOND * 3,
                policy: &policy,
            };
            let (decision, next) = plan(&input, std::mem::take(&mut memory));
            memory = next;
            share = f64::from(decision.lead_share()) / 1000.0;
            decision.lead_share()
        })
        .collect()
}

/// A resource with numbers that a persona can have, of any standing.
pub(crate) fn sensible(name: &'static str) -> impl Strategy<Value = Resource> {
    let numbers = (0.25..8.0_f64, 0.0..0.7_f64, 0.0..100.0_f64, 40.0..100.0_f64, 0.0..100.0_f64);
    (numbers, freshness(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)).prop_map(
        move |((capacity, background, affinity, stability, cost), freshness, drained, gone)| Resource {
            capacity,
            background,
            load: background,
            own_cores: 0.0,
            endpoints: if gone { 0 } else { 4 },
            scores: Scores { affinity, stability, cost },
            freshness,
            drained,
            ..calm(name, 0.0)
        },
    )
}

/// Three alternates as [`sensible`] makes them.
pub(crate) fn alternates() -> impl Strategy<Value = Vec<Resource>> {
    (sensible("a"), sensible("b"), sensible("c")).prop_map(|(a, b, c)| vec![a, b, c])
}
