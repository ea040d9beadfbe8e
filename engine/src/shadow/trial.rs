//! Counts copies against originals and judges them by confidence intervals.

use std::time::Duration;

use super::Shadow;
use crate::resource::Readiness;

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_963_985;

/// Latencies in seconds that count as they are; beyond them they tell nothing more.
const LATENCIES: (f64, f64) = (1e-9, 1e6);

/// What became of an entry: the seconds to its acknowledgement, or `None` if it failed. A failure has no latency, so
/// failing fast never looks like being fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    /// On the resource that it was meant for.
    Original(Option<f64>),
    /// On the alternate that is tried.
    Copy(Option<f64>),
}

/// What was seen of one alternate within a window (or several, until entries are enough).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trial {
    originals: Sample,
    copies: Sample,
}

/// A range that holds the true value with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end; infinite while nothing bounds it.
    pub high: f64,
}

/// What the copies told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Ready when both intervals lie within their limits, not ready when one lies beyond.
    pub readiness: Readiness,
    /// When it was reached, on the caller's clock.
    pub at: Duration,
    /// Copies counted.
    pub entries: u32,
    /// Part of the copies that failed less the part of the originals that did, -1 to 1.
    pub excess_errors: Interval,
    /// Typical latency of the copies over that of the originals, 0 or more.
    pub latency_ratio: Interval,
}

/// Entries, errors, and mean and spread of the logarithms of latencies (Welford, 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    entries: u32,
    errors: u32,
    mean: f64,
    squares: f64,
}

impl Trial {
    /// Counts one entry. A latency that is not a number counts as a failure.
    pub fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Original(latency) => self.originals.observe(latency),
            Observation::Copy(latency) => self.copies.observe(latency),
        }
    }

    /// The verdict on what was counted. To be asked once a window: who asks until the answer pleases gets it by chance.
    ///
    /// Errors by Newcombe's interval for the difference of two ratios, which is Wilson's where no original fails
    /// (Newcombe, "Interval estimation for the difference between independent proportions", 1998, method 10);
    /// latencies by the interval for the ratio of geometric means, which are medians where latencies are log-normal
    /// (as in the FDA's "Statistical approaches to establishing bioequivalence", 2001, with Welch's variance).
    #[must_use]
    pub fn judge(&self, shadow: &Shadow, at: Duration) -> Verdict {
        let excess_errors = self.excess_errors();
        let latency_ratio = self.latency_ratio();
        let enough = self.copies.entries.min(self.originals.entries) >= shadow.min_entries.max(1);
        let sides =
            [excess_errors.against(shadow.max_error_ratio), latency_ratio.against(shadow.max_latency_ratio)];
        let readiness = if !enough {
            Readiness::Inconclusive
        } else if sides.contains(&Readiness::NotReady) {
            Readiness::NotReady
        } else if sides == [Readiness::Ready; 2] {
            Readiness::Ready
        } else {
            Readiness::Inconclusive
        };
        Verdict { readiness, at, entries: self.copies.entries, excess_errors, latency_ratio }
    }

    /// Copies counted so far.
    #[must_use]
    pub fn copies(&self) -> u32 {
        self.copies.entries
    }

    fn excess_errors(&self) -> Interval {
        let (copies, originals) = (self.copies.errors(), self.originals.errors());
        let excess = copies.0 - originals.0;
        let low = (copies.0 - copies.1.low).hypot(originals.1.high - originals.0);
        let high = (copies.1.high - copies.0).hypot(originals.0 - originals.1.low);
        Interval { low: excess - low, high: excess + high }
    }

    fn latency_ratio(&self) -> Interval {
        match (self.copies.variance_of_mean(), self.originals.variance_of_mean()) {
            (Some(copies), Some(originals)) => {
                let difference = self.copies.mean - self.originals.mean;
                let width = Z * (copies + originals).sqrt();
                Interval { low: (difference - width).exp(), high: (difference + width).exp() }
            }
            _ => Interval { low: 0.0, high: f64::INFINITY },
        }
    }
}

impl Interval {
    fn against(self, limit: f64) -> Readiness {
        if self.low > limit {
            Readiness::NotReady
        } else if self.high <= limit {
            Readiness::Ready
        } else {
            Readiness::Inconclusive
        }
    }
}

impl Sample {
    fn observe(&mut self, latency: Option<f64>) {
        self.entries = self.entries.saturating_add(1);
        let Some(seconds) = latency.filter(|seconds| !seconds.is_nan()) else {
            self.errors = self.errors.saturating_add(1);
            return;
        };
        let log = seconds.clamp(LATENCIES.0, LATENCIES.1).ln();
        let before = log - self.mean;
        self.mean += before / self.acknowledged().max(1.0);
        self.squares += before * (log - self.mean);
    }

    fn acknowledged(&self) -> f64 {
        f64::from(self.entries - self.errors)
    }

    /// The part that failed, and Wilson's score interval for it (Wilson, "Probable inference, the law of succession,
    /// and statistical inference", 1927).
    fn errors(&self) -> (f64, Interval) {
        let n = f64::from(self.entries);
        if n <= 0.0 {
            return (0.0, Interval { low: 0.0, high: 1.0 });
        }
        let (ratio, z2) = (f64::from(self.errors) / n, Z * Z);
        let centre = (ratio + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let width = Z / (1.0 + z2 / n) * (ratio * (1.0 - ratio) / n + z2 / (4.0 * n * n)).sqrt();
        (
            ratio,
            Interval { low: (centre - width).clamp(0.0, ratio), high: (centre + width).clamp(ratio, 1.0) },
        )
    }

    fn variance_of_mean(&self) -> Option<f64> {
        let n = self.acknowledged();
        (n > 1.0).then(|| self.squares.max(0.0) / (n - 1.0) / n)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Latencies spread around `typical` by a factor of up to two, with every `nth` entry an error.
    fn trial(entries: u32, originals: (f64, u32), copies: (f64, u32)) -> Trial {
        let mut trial = Trial::default();
        for n in 1..=entries {
            let spread = 2.0_f64.powf((f64::from(n) * 0.618_034).fract() * 2.0 - 1.0);
            let seen = |(typical, nth): (f64, u32)| (nth == 0 || n % nth != 0).then_some(typical * spread);
            trial.observe(Observation::Original(seen(originals)));
            trial.observe(Observation::Copy(seen(copies)));
        }
        trial
    }

    fn verdict(trial: Trial) -> Readiness {
        trial.judge(&Shadow::default(), Duration::ZERO).readiness
    }

    #[test]
    fn an_alternate_is_ready_once_chance_is_ruled_out() {
        assert_eq!(verdict(trial(99, (0.01, 0), (0.01, 0))), Readiness::Inconclusive);
        assert_eq!(verdict(trial(100, (0.01, 0), (0.01, 0))), Readiness::Inconclusive, "1 % may be chance");
        assert_eq!(verdict(trial(400, (0.01, 0), (0.01, 0))), Readiness::Ready);
    }

    #[test]
    fn an_alternate_that_fails_or_is_slow_is_not_ready() {
        assert_eq!(verdict(trial(100, (0.01, 0), (0.01, 10))), Readiness::NotReady);
        assert_eq!(verdict(trial(400, (0.01, 0), (0.02, 0))), Readiness::NotReady);
        assert_eq!(verdict(trial(400, (0.01, 0), (0.0145, 0))), Readiness::Inconclusive);
    }

    #[test]
    fn failing_fast_is_not_being_fast() {
        assert_eq!(verdict(trial(400, (0.01, 0), (1e-6, 4))), Readiness::NotReady);
        let all_fail = trial(400, (0.01, 0), (1e-6, 1)).judge(&Shadow::default(), Duration::ZERO);
        assert_eq!(all_fail.readiness, Readiness::NotReady);
        assert_eq!(all_fail.latency_ratio, Interval { low: 0.0, high: f64::INFINITY });
    }

    #[test]
    fn entries_that_fail_as_originals_too_are_not_held_against_the_alternate() {
        assert_ne!(verdict(trial(4000, (0.01, 20), (0.01, 20))), Readiness::NotReady);
        assert_eq!(verdict(trial(20_000, (0.01, 20), (0.01, 20))), Readiness::Ready);
    }

    #[test]
    fn intervals_are_those_of_the_books() {
        let sample = |entries, errors| Sample { entries, errors, ..Sample::default() };
        let near = |got: Interval, low: f64, high: f64| {
            assert!((got.low - low).abs() < 5e-4 && (got.high - high).abs() < 5e-4, "{got:?}");
        };
        // Newcombe (1998): 56/70 against 48/80 gives 0.0524 to 0.3339 by method 10.
        let trial = Trial { copies: sample(70, 56), originals: sample(80, 48) };
        near(trial.excess_errors(), 0.0524, 0.3339);
        // Wilson's interval for 0 of 100.
        near(sample(100, 0).errors().1, 0.0, 0.0370);
    }

    proptest! {
        #[test]
        fn no_counts_and_no_latencies_give_a_number_that_is_none(
            seen in prop::collection::vec((any::<bool>(), prop::option::of(prop::num::f64::ANY)), 0..50),
            min_entries in 0_u32..10, max_error_ratio: f64, max_latency_ratio: f64,
        ) {
            let mut trial = Trial::default();
            for (copy, latency) in seen {
                trial.observe(if copy { Observation::Copy(latency) } else { Observation::Original(latency) });
            }
            let shadow = Shadow { min_entries, max_error_ratio, max_latency_ratio, ..Shadow::default() };
            let got = trial.judge(&shadow, Duration::ZERO);
            for interval in [got.excess_errors, got.latency_ratio] {
                prop_assert!(interval.low <= interval.high, "{:?}", got);
            }
        }
    }
}
