//! What every figure means, in one place: definitions, units, and how seeds are put together.
//!
//! All figures leave the settling time out. With several seeds, latencies are those of all entries together,
//! `entries` and `lost` are sums, the first shift is the median, and everything else is the mean over the seeds.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    fleet::Layout,
    policies::Kind,
    tally::{RouteSecond, Second, Tally},
};

/// A second counts as saturated from this utilisation of the lead's fullest node on, as in the demo on a real cluster.
pub const SATURATED: f64 = 0.95;

/// The lead has begun to shift when its share is at or below this, for [`SHIFTED_FOR`] seconds where it is counted.
const SHIFTED: f64 = 0.98;
const SHIFTED_FOR: usize = 2;

/// Seconds over which offered load is averaged before it is held against a threshold.
const SMOOTH: usize = 5;

/// Seconds over which realised shares are averaged where none are programmed.
const REALISED: usize = 10;

/// A change of the lead's share counts as a shift from this size on.
const LEAST_SHIFT: f64 = 0.02;

/// A shift is false if the offered load stays under the lead's objective from this many seconds before to this many after.
const NEEDED_BEFORE: usize = 10;
const NEEDED_AFTER: usize = 60;

/// The figures of one policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Work sent to nodes beyond what they can do in that second (antagonists and losses taken off), summed over nodes
    /// and seconds, over all work: 0 is none, 0.1 is a tenth of all work.
    pub excess_work_ratio: f64,
    /// Seconds in which a lead's fullest node is used to 95 % or more.
    pub saturated_seconds: f64,
    /// Part of the entries that did not go to their route's lead, 0 to 1.
    pub mean_alternate_share: f64,
    /// Seconds from the first shift (the lead's share at or below 98 %) to the moment at which the lead would have
    /// saturated with everything on it (5 s mean of offered load at `saturation`); negative when the shift came later.
    /// `null` where either never happens, and for policies that always spread.
    pub first_shift_lead_time_s: Option<f64>,
    /// Median latency in milliseconds, of acknowledged and lost entries; a lost one took the client's timeout, one
    /// that was answered with an error has none (a fast error is no fast success).
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
    /// 99.9th percentile of the same.
    pub p999_ms: f64,
    /// Entries answered with an error or not at all, over all entries.
    pub error_ratio: f64,
    /// Mean utilisation of the fullest node over the mean of all nodes: 1 is even.
    pub max_over_mean_load: f64,
    /// Price of the core hours that entries used, per million entries, in the scenario's currency.
    pub cost: f64,
    /// Half the sum of all changes of shares in a minute, 1 when everything moved once; of the shares in force, or of
    /// 10 s means of what entries really did where no shares are programmed (chance alone then makes some churn).
    pub share_churn_per_min: f64,
    /// Moves of 2 % or more away from the lead that nothing called for (offered load under the lead's objective from
    /// 10 s before to 60 s after), over all such moves; 0 without any, `null` for policies that always spread.
    pub false_shift_ratio: Option<f64>,
    /// Entries that arrived.
    pub entries: u64,
    /// Entries that were never answered: given up by the client, or gone with a node.
    pub lost: u64,
}

/// The figures of several seeds, put together.
#[must_use]
pub fn of(tallies: &[Tally], layout: &Layout, kind: Kind) -> Figures {
    let each: Vec<Figures> = tallies.iter().map(|tally| one(tally, layout, kind)).collect();
    let mean = |of: fn(&Figures) -> f64| each.iter().map(of).sum::<f64>() / each.len().max(1) as f64;
    let mut latency: Option<Histogram<u64>> = None;
    for tally in tallies {
        match &mut latency {
            // Both have the same bounds.
            Some(all) => all.add(&tally.latency).unwrap_or_default(),
            None => latency = Some(tally.latency.clone()),
        }
    }
    let at =
        |quantile: f64| latency.as_ref().map_or(0.0, |all| all.value_at_quantile(quantile) as f64 / 1000.0);
    let moves: Vec<f64> = each.iter().filter_map(|figures| figures.false_shift_ratio).collect();
    Figures {
        excess_work_ratio: mean(|f| f.excess_work_ratio),
        saturated_seconds: mean(|f| f.saturated_seconds),
        mean_alternate_share: mean(|f| f.mean_alternate_share),
        first_shift_lead_time_s: median(each.iter().filter_map(|f| f.first_shift_lead_time_s).collect()),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        error_ratio: mean(|f| f.error_ratio),
        max_over_mean_load: mean(|f| f.max_over_mean_load),
        cost: mean(|f| f.cost),
        share_churn_per_min: mean(|f| f.share_churn_per_min),
        false_shift_ratio: (!moves.is_empty()).then(|| moves.iter().sum::<f64>() / moves.len() as f64),
        entries: each.iter().map(|f| f.entries).sum(),
        lost: each.iter().map(|f| f.lost).sum(),
    }
}

fn one(tally: &Tally, layout: &Layout, kind: Kind) -> Figures {
    let seconds = &tally.seconds;
    let entries = tally.entries.max(1) as f64;
    let loads: Vec<f64> = tally
        .used
        .iter()
        .zip(&layout.nodes)
        .map(|(used, node)| used / node.cores / seconds.len().max(1) as f64)
        .collect();
    let mean_load = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
    let cost: f64 = tally
        .own
        .iter()
        .zip(&layout.nodes)
        .map(|(own, node)| own / 3600.0 * layout.resources[usize::from(node.resource)].core_hour)
        .sum();
    let routes: Vec<Vec<&RouteSecond>> = (0..layout.pools.len())
        .map(|route| seconds.iter().filter_map(|second| second.routes.get(route)).collect())
        .collect();
    let keeps = kind == Kind::KeepsLead;
    let (needless, moves) = routes
        .iter()
        .zip(&layout.pools)
        .map(|(seconds, pool)| false_shifts(seconds, pool.lead_load))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Figures {
        excess_work_ratio: seconds.iter().map(|second| second.excess).sum::<f64>() / tally.work.max(1e-9),
        saturated_seconds: seconds.iter().filter(|second| saturated(second)).count() as f64,
        mean_alternate_share: routes.iter().flatten().map(|s| f64::from(elsewhere(s))).sum::<f64>() / entries,
        first_shift_lead_time_s: routes
            .iter()
            .zip(&layout.pools)
            .filter(|_| keeps)
            .filter_map(|(seconds, pool)| lead_time(seconds, pool.saturation))
            .reduce(f64::min),
        p50_ms: 0.0,
        p99_ms: 0.0,
        p999_ms: 0.0,
        error_ratio: (tally.errors + tally.lost) as f64 / entries,
        max_over_mean_load: loads.iter().copied().fold(0.0, f64::max) / mean_load.max(1e-9),
        cost: cost / entries * 1e6,
        share_churn_per_min: routes.iter().map(|seconds| churn(seconds)).sum(),
        false_shift_ratio: keeps.then(|| f64::from(needless) / f64::from(moves.max(1))),
        entries: tally.entries,
        lost: tally.lost,
    }
}

fn saturated(second: &Second) -> bool {
    second.routes.iter().any(|route| route.lead_load >= SATURATED)
}

fn elsewhere(second: &RouteSecond) -> u32 {
    second.entries.iter().skip(1).sum()
}

/// The lead's share in a second: the one in force, else what entries did.
fn lead_share(second: &RouteSecond) -> f64 {
    if let Some(shares) = &second.shares {
        return shares.first().copied().unwrap_or(1.0);
    }
    let all: u32 = second.entries.iter().sum();
    if all == 0 { 1.0 } else { 1.0 - f64::from(elsewhere(second)) / f64::from(all) }
}

/// The offered load of the last seconds, averaged.
fn smooth(seconds: &[&RouteSecond]) -> Vec<f64> {
    (0..seconds.len())
        .map(|i| {
            let window = &seconds[(i + 1).saturating_sub(SMOOTH)..=i];
            window.iter().map(|second| second.offered).sum::<f64>() / window.len() as f64
        })
        .collect()
}

fn lead_time(seconds: &[&RouteSecond], saturation: f64) -> Option<f64> {
    let saturates = smooth(seconds).iter().position(|&load| load >= saturation)?;
    let shifted = |window: &[&RouteSecond]| window.iter().all(|second| lead_share(second) <= SHIFTED);
    let first = seconds.windows(SHIFTED_FOR).position(shifted)?;
    Some(saturates as f64 - first as f64)
}

/// Shares by step: every second where they are programmed, every ten seconds where they are counted.
fn steps(seconds: &[&RouteSecond]) -> Vec<(usize, Vec<f64>)> {
    if seconds.iter().any(|second| second.shares.is_some()) {
        return seconds.iter().enumerate().filter_map(|(i, s)| Some((i, s.shares.clone()?))).collect();
    }
    let mean = |window: &[&RouteSecond]| {
        let members = window.first().map_or(0, |second| second.entries.len());
        let count = |member: usize| window.iter().map(|s| f64::from(s.entries[member])).sum::<f64>();
        let counts: Vec<f64> = (0..members).map(count).collect();
        let all: f64 = counts.iter().sum();
        (all > 0.0).then(|| counts.iter().map(|c| c / all).collect::<Vec<f64>>())
    };
    let windows = seconds.chunks(REALISED).enumerate();
    windows.filter_map(|(i, window)| Some((i * REALISED, mean(window)?))).collect()
}

fn churn(seconds: &[&RouteSecond]) -> f64 {
    let change = |pair: &[(usize, Vec<f64>)]| -> f64 {
        pair[0].1.iter().zip(&pair[1].1).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
    };
    let moved: f64 = steps(seconds).windows(2).map(change).sum();
    moved / (seconds.len().max(1) as f64 / 60.0)
}

/// Moves away from the lead that nothing called for, and all of them.
fn false_shifts(seconds: &[&RouteSecond], objective: f64) -> (u32, u32) {
    let load = smooth(seconds);
    let (mut needless, mut moves) = (0, 0);
    for pair in steps(seconds).windows(2) {
        if pair[0].1[0] - pair[1].1[0] < LEAST_SHIFT {
            continue;
        }
        moves += 1;
        let from = pair[1].0.saturating_sub(NEEDED_BEFORE);
        let to = (pair[1].0 + NEEDED_AFTER).min(load.len());
        if load[from..to].iter().all(|&load| load < objective) {
            needless += 1;
        }
    }
    (needless, moves)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(offered: f64, lead: f64) -> RouteSecond {
        RouteSecond {
            offered,
            shares: Some(vec![lead, 1.0 - lead]),
            entries: vec![0, 0],
            lead_load: offered * lead,
        }
    }

    fn refs(seconds: &[RouteSecond]) -> Vec<&RouteSecond> {
        seconds.iter().collect()
    }

    #[test]
    fn the_lead_time_is_from_the_first_shift_to_where_the_lead_alone_would_have_saturated() {
        let ramp: Vec<_> =
            (0..100).map(|t| second(f64::from(t) / 100.0, if t < 60 { 1.0 } else { 0.8 })).collect();
        // The 5 s mean reaches 0.9 when the load itself is at 0.92.
        assert_eq!(lead_time(&refs(&ramp), 0.9), Some(92.0 - 60.0));
        let calm: Vec<_> = (0..100).map(|_| second(0.5, 0.8)).collect();
        assert_eq!(lead_time(&refs(&calm), 0.9), None);
    }

    #[test]
    fn a_share_that_moves_there_and_back_churns_twice() {
        let mut seconds: Vec<_> = (0..60).map(|_| second(0.5, 1.0)).collect();
        seconds[30].shares = Some(vec![0.5, 0.5]);
        assert!((churn(&refs(&seconds)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_shift_that_nothing_calls_for_is_false_and_one_ahead_of_need_is_not() {
        let rising = |to: f64| -> Vec<RouteSecond> {
            (0..120).map(|t| second(if t < 80 { 0.5 } else { to }, if t < 60 { 1.0 } else { 0.8 })).collect()
        };
        assert_eq!(false_shifts(&refs(&rising(0.9)), 0.75), (0, 1));
        assert_eq!(false_shifts(&refs(&rising(0.6)), 0.75), (1, 1));
    }

    #[test]
    fn where_no_shares_are_programmed_entries_tell_them() {
        let counted: Vec<_> = (0..40)
            .map(|t| RouteSecond {
                entries: if t < 20 { vec![10, 0] } else { vec![5, 5] },
                ..RouteSecond::default()
            })
            .collect();
        let steps = steps(&refs(&counted));
        assert_eq!(steps.len(), 4);
        assert_eq!(steps[3].1, [0.5, 0.5]);
        assert!((churn(&refs(&counted)) - 0.5 / (40.0 / 60.0)).abs() < 1e-9);
    }
}
