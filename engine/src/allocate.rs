//! Fills alternates in order of score, each only to its objective.

use crate::{
    policy::Policy,
    resource::{Freshness, Readiness, Resource, Scores},
    score::calculate_score,
};

/// Where a shed share goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// Part of the route's work for each alternate, in the order given; sums to `shed - unplaced`.
    pub shares: Vec<f64>,
    /// What found no room.
    pub unplaced: f64,
}

/// What is asked of the alternates.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Part of the route's work to place, 0 to 1.
    pub shed: f64,
    /// All of the route's work at the planning horizon, in cores.
    pub demand: f64,
    /// Share of each alternate now, permille.
    pub present: &'a [u16],
    /// Work of other routes not yet seen on each alternate, in cores.
    pub unseen: &'a [f64],
    /// What an entry takes on each alternate over what it takes on the lead; 1 where it ends.
    pub work: &'a [f64],
}

/// Stability under which an alternate gets nothing new (one bad hour in a
/// half-life of six brings a node to about this).
pub const STABILITY_FLOOR: f64 = 20.0;

/// Nobody is left out of a spread: a full resource counts as if this much of it were free.
const LEAST_HEADROOM: f64 = 0.05;

/// Cores that a resource counts for in a spread, at least and at most, whatever is known of its capacity.
pub(crate) const LEAST_CAPACITY: f64 = 1e-3;
pub(crate) const MOST_CAPACITY: f64 = 1e6;

/// Scores that differ by less than this are as good: who holds a share keeps its place, and equals share.
const STICKINESS: f64 = 5.0;

/// The alternate to fill first: the best score among those that may take new entries and have room.
#[must_use]
pub fn find_best_alternate(alternates: &[Resource], policy: &Policy) -> Option<usize> {
    takers(alternates, &[], policy, |i| alternates[i].scores).into_iter().find(|&i| {
        let Resource { background, capacity, .. } = alternates[i];
        room(background, capacity, 0.0, policy.objective.alternate_load) > 0.0
    })
}

/// Fills alternates in order of score, each to `alternate_load` at most. Those that are as good share by their room: a share that
/// all lies with one of them is lost with it, and overfills it when its entries take more than was thought.
#[must_use]
pub fn fill(alternates: &[Resource], ask: Ask<'_>, policy: &Policy) -> Allocation {
    let mut shares = vec![0.0; alternates.len()];
    let mut left = ask.shed.clamp(0.0, 1.0);
    let ranked = ranked(alternates, ask.present, policy, |i| alternates[i].scores);
    let as_good = |a: &Ranked, b: &Ranked| a.holds == b.holds && a.score - b.score < STICKINESS;
    for equals in ranked.chunk_by(as_good) {
        let most: Vec<f64> =
            equals.iter().map(|r| most(&alternates[r.index], r.index, &ask, policy)).collect();
        let room: f64 = most.iter().sum();
        let part = if room > left { left / room } else { 1.0 };
        for (taker, most) in equals.iter().zip(most) {
            shares[taker.index] = (most * part).min(left);
            left -= shares[taker.index];
        }
    }
    Allocation { shares, unplaced: left.max(0.0) }
}

/// The largest share that an alternate has room for, 0 to 1.
fn most(alternate: &Resource, i: usize, ask: &Ask<'_>, policy: &Policy) -> f64 {
    let unseen = ask.unseen.get(i).copied().unwrap_or(0.0);
    let room = room(alternate.background, alternate.capacity, unseen, policy.objective.alternate_load);
    let work = ask.work.get(i).copied().unwrap_or(1.0);
    let mut most = (room / (ask.demand * work).max(1e-9)).min(1.0);
    if alternate.freshness != Freshness::Fresh {
        most = most.min(f64::from(ask.present.get(i).copied().unwrap_or(0)) / 1000.0);
    }
    most.min(f64::from(policy.limits.max_share_per_alternate) / 1000.0)
}

/// Spreads everything over all resources that can take entries, by what each has left below saturation: what is
/// done when nobody has room. `resources` holds the lead first. Sums to 1 if any resource has endpoints.
#[must_use]
pub fn spread(resources: &[&Resource], policy: &Policy) -> Vec<f64> {
    let weight = |r: &Resource, strict: bool| {
        if r.endpoints == 0 || (strict && (r.drained || r.readiness == Readiness::NotReady)) {
            return 0.0;
        }
        headroom(r.background, r.capacity, policy.objective.saturation)
    };
    let normal = |weights: Vec<f64>| {
        let sum: f64 = weights.iter().sum();
        (sum > 0.0 && sum.is_finite()).then(|| weights.iter().map(|w| w / sum).collect::<Vec<_>>())
    };
    normal(resources.iter().map(|r| weight(r, true)).collect())
        .or_else(|| normal(resources.iter().map(|r| weight(r, false)).collect()))
        .unwrap_or_else(|| {
            resources.iter().enumerate().map(|(i, _)| if i == 0 { 1.0 } else { 0.0 }).collect()
        })
}

/// The gates: whether a resource that now has `present` permille may have any share.
#[must_use]
pub fn may_take(resource: &Resource, present: u16) -> bool {
    resource.endpoints > 0
        && !resource.drained
        && resource.readiness != Readiness::NotReady
        && (present > 0
            || (resource.freshness == Freshness::Fresh && resource.scores.stability >= STABILITY_FLOOR))
}

/// An alternate that passes its gates.
struct Ranked {
    score: f64,
    index: usize,
    /// Whether it has a share.
    holds: bool,
}

/// The alternates that pass their gates, best first: by score, with those that hold a share before those that are
/// hardly better. `present` is the share of each in permille (none where it ends), `scores` those to rank by.
pub(crate) fn takers(
    alternates: &[Resource],
    present: &[u16],
    policy: &Policy,
    scores: impl Fn(usize) -> Scores,
) -> Vec<usize> {
    ranked(alternates, present, policy, scores).into_iter().map(|ranked| ranked.index).collect()
}

fn ranked(
    alternates: &[Resource],
    present: &[u16],
    policy: &Policy,
    scores: impl Fn(usize) -> Scores,
) -> Vec<Ranked> {
    let present = |i: usize| present.get(i).copied().unwrap_or(0);
    let mut ranked: Vec<Ranked> = (0..alternates.len())
        .filter(|&index| may_take(&alternates[index], present(index)))
        .map(|index| {
            let holds = present(index) > 0;
            let score =
                calculate_score(&scores(index), &policy.weights) + if holds { STICKINESS } else { 0.0 };
            Ranked { score, index, holds }
        })
        .collect();
    ranked.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| alternates[a.index].name.cmp(&alternates[b.index].name))
    });
    ranked
}

/// Cores left below `objective` (a load), without those that are spoken for.
pub(crate) fn room(background: f64, capacity: f64, unseen: f64, objective: f64) -> f64 {
    ((objective - background) * capacity - unseen).max(0.0)
}

/// Cores left below `limit` (a load); nobody has none.
pub(crate) fn headroom(background: f64, capacity: f64, limit: f64) -> f64 {
    within(limit - background, LEAST_HEADROOM, 1.0) * within(capacity, LEAST_CAPACITY, MOST_CAPACITY)
}

/// What is not a number becomes `low`.
pub(crate) fn within(value: f64, low: f64, high: f64) -> f64 {
    value.max(low).min(high)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn resource(name: &str, load: f64) -> Resource {
        Resource {
            name: name.into(),
            capacity: 1.0,
            load,
            background: load,
            own_cores: 0.0,
            entries: None,
            error_ratio: 0.0,
            endpoints: 4,
            scores: Scores::default(),
            freshness: Freshness::Fresh,
            readiness: Readiness::Inconclusive,
            drained: false,
        }
    }

    fn filled(alternates: &[Resource], shed: f64, present: &[u16]) -> Allocation {
        fill(alternates, Ask { shed, demand: 1.0, present, unseen: &[], work: &[] }, &Policy::default())
    }

    #[test]
    fn the_best_alternate_is_filled_first_and_only_to_its_objective() {
        let mut cheap = resource("cheap", 0.25);
        cheap.scores.cost = 90.0;
        let got = filled(&[resource("dear", 0.0), cheap], 0.8, &[0, 0]);
        assert!((got.shares[1] - 0.5).abs() < 1e-9);
        assert!((got.shares[0] - 0.3).abs() < 1e-9);
        assert!(got.unplaced.abs() < 1e-9);
    }

    #[test]
    fn those_that_are_as_good_share_by_their_room_and_a_better_one_is_filled_alone() {
        let scored = |name: &str, load: f64, cost: f64| {
            let mut alternate = resource(name, load);
            alternate.scores.cost = cost;
            alternate
        };
        let got = filled(&[scored("a", 0.15, 50.0), scored("b", 0.45, 60.0)], 0.3, &[0, 0]);
        assert!((got.shares[0] - 0.2).abs() < 1e-9 && (got.shares[1] - 0.1).abs() < 1e-9, "{got:?}");
        let got = filled(&[scored("a", 0.15, 50.0), scored("b", 0.45, 90.0)], 0.3, &[0, 0]);
        assert!(got.shares[0].abs() < 1e-9 && (got.shares[1] - 0.3).abs() < 1e-9, "{got:?}");
        let all = filled(&[scored("a", 0.15, 50.0), scored("b", 0.45, 60.0)], 1.0, &[100, 200]);
        assert!((all.unplaced - 0.1).abs() < 1e-9, "{all:?}");
    }

    #[test]
    fn what_finds_no_room_is_said() {
        let got = filled(&[resource("a", 0.7)], 0.3, &[0]);
        assert!((got.shares[0] - 0.05).abs() < 1e-9);
        assert!((got.unplaced - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_resource_that_holds_a_share_keeps_its_place_against_a_slightly_better_one() {
        let mut better = resource("better", 0.0);
        better.scores.cost = 60.0;
        let got = filled(&[resource("holder", 0.0), better], 0.2, &[200, 0]);
        assert_eq!(got.shares, [0.2, 0.0]);
    }

    #[test]
    fn gates_come_before_scores() {
        let gate = |change: fn(&mut Resource)| {
            let mut r = resource("a", 0.0);
            change(&mut r);
            (may_take(&r, 0), may_take(&r, 100))
        };
        assert_eq!(gate(|_| ()), (true, true));
        assert_eq!(gate(|r| r.drained = true), (false, false));
        assert_eq!(gate(|r| r.endpoints = 0), (false, false));
        assert_eq!(gate(|r| r.readiness = Readiness::NotReady), (false, false));
        assert_eq!(gate(|r| r.freshness = Freshness::Aged), (false, true));
        assert_eq!(gate(|r| r.scores.stability = 5.0), (false, true));
    }

    #[test]
    fn an_aged_alternate_holds_what_it_has_and_gets_no_more() {
        let mut aged = resource("a", 0.0);
        aged.freshness = Freshness::Aged;
        let got = filled(&[aged], 0.5, &[100]);
        assert!((got.shares[0] - 0.1).abs() < 1e-9);
    }

    #[test]
    fn work_of_other_routes_that_is_on_its_way_takes_room() {
        let ask = Ask { shed: 0.5, demand: 1.0, present: &[0], unseen: &[0.6], work: &[] };
        let got = fill(&[resource("a", 0.0)], ask, &Policy::default());
        assert!((got.shares[0] - 0.15).abs() < 1e-9);
    }

    #[test]
    fn an_alternate_whose_entries_take_three_times_the_work_gets_a_third_of_them() {
        let ask = Ask { shed: 0.5, demand: 1.0, present: &[], unseen: &[], work: &[3.0, 1.0] };
        let got = fill(&[resource("a", 0.0), resource("b", 0.0)], ask, &Policy::default());
        assert!((got.shares[0] - 0.125).abs() < 1e-9 && (got.shares[1] - 0.375).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn without_room_everybody_takes_by_what_is_left_and_nobody_is_left_out() {
        let full = resource("full", 2.0);
        let half = resource("half", 0.4);
        let shares = spread(&[&full, &half], &Policy::default());
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(shares[1] > 0.85 && shares[0] > 0.0);
        let mut gone = resource("gone", 0.0);
        gone.endpoints = 0;
        assert_eq!(spread(&[&gone], &Policy::default()), [1.0]);
    }

    #[test]
    fn the_best_alternate_is_the_one_with_the_best_score_that_may_and_can() {
        let mut best = resource("best", 0.8);
        best.scores.affinity = 100.0;
        let mut drained = resource("drained", 0.0);
        drained.drained = true;
        let all = [best, drained, resource("third", 0.1)];
        assert_eq!(find_best_alternate(&all, &Policy::default()), Some(2));
        assert_eq!(find_best_alternate(&all[..2], &Policy::default()), None);
    }
}
