//! One run in figures, made from its samples, its requests and the journals. Pure.

use serde::{Deserialize, Serialize};

use crate::{calibrate::Capacity, journal::Balance, sample::Sample, shape::Curve, tally::Total};

/// A run in figures. Counts are of entries unless they say otherwise, times are in the run's own seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Seconds in which the lead's load was at or over [`SATURATED`].
    pub saturated_seconds: u32,
    /// Median latency of acknowledged requests, from when each was due.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile of the same.
    pub p999_ms: Option<f64>,
    /// Offered, sent or not.
    pub sent: u64,
    /// Acknowledged by a resource.
    pub acknowledged: u64,
    /// Found in the journals afterwards, each counted once.
    pub stored: u64,
    /// Acknowledged, and in no journal.
    pub lost: u64,
    /// Copies in the journals beyond the first.
    pub duplicated: u64,
    /// How long before the lead-only run saturates the first share moved; null when one of the two did not happen.
    pub first_shift_lead_time_s: Option<f64>,
    /// Part of the acknowledged entries that alternates stored.
    pub shifted_share: f64,
    /// The least part that had to move to keep the lead at its objective, by the offered rate and the cost of a request
    /// in this run.
    pub needed_share: f64,
    /// How often the programmed shares changed.
    pub share_changes: usize,
    /// When the first share moved away from the lead.
    pub first_shift_s: Option<f64>,
    /// When the lead saturated: the first of three seconds in a row at or over [`SUSTAINED`].
    pub saturated_from_s: Option<f64>,
    /// Requests that got no acknowledgement, of all that were due.
    pub failed_requests: f64,
    /// CPU cost of a request over the one that the capacity was measured with: what else the machine does changes it.
    pub cost_ratio: f64,
    /// Part of the machine's CPU time that its host gave to others meanwhile.
    pub stolen_time: f64,
    /// From the apply of the route to shares that it has read back.
    pub programmed_after_s: f64,
}

/// What a run left behind.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// A sample a second.
    pub samples: &'a [Sample],
    /// When shares changed, in seconds of the run, and the lead's share from then on.
    pub changes: &'a [(f64, f64)],
    /// The requests.
    pub total: &'a Total,
    /// The entries in the journals.
    pub balance: Balance,
    /// What was offered, in parts of `capacity`.
    pub curve: &'a Curve,
    /// What the lead carries.
    pub capacity: Capacity,
    /// Load at which the route keeps the lead.
    pub objective: f64,
}

/// Load from which a second counts as saturated; the route's own default.
pub const SATURATED: f64 = 0.90;

/// Load that means saturation when it lasts for [`SUSTAINED_SAMPLES`].
pub const SUSTAINED: f64 = 0.95;

/// Samples in a row that tell saturation from a spike.
pub const SUSTAINED_SAMPLES: usize = 3;

impl Outcome {
    /// The figures of a run, all but those that other runs or the start gave.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        let Record { samples, changes, total, balance, .. } = *record;
        let batch = u64::from(total.batch);
        let acknowledged = total.counts.acknowledged * batch;
        let cost_ratio = cost_ratio(samples, record.capacity.idle_load);
        let stolen = samples.iter().map(|s| s.stolen).sum::<f64>() / samples.len().max(1) as f64;
        Self {
            saturated_seconds: samples.iter().filter(|s| s.load[0] >= SATURATED).count() as u32,
            p50_ms: total.latency_ms(0.5),
            p99_ms: total.latency_ms(0.99),
            p999_ms: total.latency_ms(0.999),
            sent: total.counts.sent * batch,
            acknowledged,
            stored: balance.stored,
            lost: balance.lost,
            duplicated: balance.duplicated,
            first_shift_lead_time_s: None,
            shifted_share: balance.moved as f64 / acknowledged.max(1) as f64,
            needed_share: record.curve.share_above(record.capacity.level_at(record.objective) / cost_ratio),
            share_changes: changes.len(),
            first_shift_s: changes.iter().find(|(_, lead)| *lead < 1.0).map(|(t, _)| *t),
            saturated_from_s: saturated_from(samples),
            failed_requests: total.counts.failed() as f64 / total.counts.sent.max(1) as f64,
            cost_ratio,
            stolen_time: stolen,
            programmed_after_s: 0.0,
        }
    }
}

/// By the seconds in which no node was saturated: under saturation a request costs less, or is not served at all.
fn cost_ratio(samples: &[Sample], idle_load: f64) -> f64 {
    let calm = samples.iter().filter(|s| s.load.iter().all(|load| *load < SATURATED));
    let (used, offered) = calm.fold((0.0, 0.0), |(used, offered), s| {
        let load: f64 = s.load.iter().map(|load| (load - idle_load).max(0.0)).sum();
        (used + load, offered + s.offered * (1.0 - idle_load))
    });
    if used > 0.0 && offered > 0.0 { used / offered } else { 1.0 }
}

fn saturated_from(samples: &[Sample]) -> Option<f64> {
    samples
        .windows(SUSTAINED_SAMPLES)
        .find(|window| window.iter().all(|s| s.load[0] >= SUSTAINED))
        .and_then(|window| window.first())
        .map(|s| s.t)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::{Ending, Tally};

    fn samples(loads: &[f64]) -> Vec<Sample> {
        let sample =
            |(i, &load): (usize, &f64)| Sample { t: i as f64, load: [load, 0.0, 0.0], ..Sample::default() };
        loads.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn a_spike_of_two_seconds_is_no_saturation_but_its_seconds_count() {
        let spike = samples(&[0.5, 0.97, 0.97, 0.5, 0.92]);
        assert_eq!(saturated_from(&spike), None);
        let lasting = samples(&[0.5, 0.97, 0.5, 0.96, 0.95, 1.0, 1.0]);
        assert_eq!(saturated_from(&lasting), Some(3.0));
    }

    #[test]
    fn the_cost_of_a_request_is_taken_from_calm_seconds_of_all_nodes() {
        let second = |offered, load| Sample { offered, load, ..Sample::default() };
        let samples = [second(1.0, [0.55, 0.35, 0.1]), second(1.6, [1.0, 0.1, 0.1])];
        assert!((cost_ratio(&samples, 0.1) - 0.7 / 0.9).abs() < 1e-9);
        assert!((cost_ratio(&[], 0.1) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn figures_are_of_entries_and_shares_of_what_was_acknowledged() {
        let tally = Tally::new(10);
        for n in 0..4 {
            tally.sent();
            let ending =
                if n < 3 { Ending::Acknowledged(Duration::from_millis(2)) } else { Ending::TimedOut };
            tally.ended(n, ending);
        }
        let outcome = Outcome::of(&Record {
            samples: &samples(&[0.5, 0.91, 0.95]),
            changes: &[(12.0, 0.8), (40.0, 1.0)],
            total: &tally.total(),
            balance: Balance { stored: 30, lost: 0, duplicated: 0, moved: 6 },
            curve: &Curve::flat(10.0, 1.0),
            capacity: Capacity { requests_per_second: 10.0, idle_load: 0.0, quota_cores: None },
            objective: 0.75,
        });
        assert_eq!((outcome.sent, outcome.acknowledged, outcome.saturated_seconds), (40, 30, 2));
        assert_eq!((outcome.share_changes, outcome.first_shift_s), (2, Some(12.0)));
        assert!((outcome.shifted_share - 0.2).abs() < 1e-9 && (outcome.needed_share - 0.25).abs() < 1e-9);
        assert!((outcome.failed_requests - 0.25).abs() < 1e-9);
    }
}
