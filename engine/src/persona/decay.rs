//! Averages and counts that forget: what happened one half-life ago weighs half.

use std::time::Duration;

use super::within;

/// A time-weighted average with exponential decay.
///
/// `sum / weight` is the average of what was seen; `weight` says how much was seen: 0 is nothing, 1 is more
/// than the half-life remembers. The two numbers are all there is to keep over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decayed {
    sum: f64,
    weight: f64,
}

/// A count of events with exponential decay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecayedCount(f64);

impl Decayed {
    /// From the two numbers of [`Self::parts`]; what cannot have come from there starts afresh.
    #[must_use]
    pub fn from_parts(sum: f64, weight: f64) -> Self {
        let sound = sum.is_finite() && (0.0..=1.0).contains(&weight);
        if sound { Self { sum, weight } } else { Self::default() }
    }

    /// The weighted sum and the weight (0 to 1).
    #[must_use]
    pub fn parts(self) -> (f64, f64) {
        (self.sum, self.weight)
    }

    /// `value` held during the last `elapsed`. What is not finite is left out.
    pub fn observe(&mut self, value: f64, elapsed: Duration, half_life: Duration) {
        if value.is_finite() {
            let keep = kept(elapsed, half_life);
            self.sum = self.sum * keep + value * (1.0 - keep);
            self.weight = self.weight * keep + (1.0 - keep);
        }
    }

    /// Nothing was seen during `elapsed`: what is known counts less.
    pub fn fade(&mut self, elapsed: Duration, half_life: Duration) {
        let keep = kept(elapsed, half_life);
        self.sum *= keep;
        self.weight *= keep;
    }

    /// The average, drawn towards `prior` by as much as was not seen.
    #[must_use]
    pub fn mean(self, prior: f64) -> f64 {
        self.sum + prior * (1.0 - self.weight)
    }
}

impl DecayedCount {
    /// From what [`Self::get`] gave; what cannot be a count becomes zero.
    #[must_use]
    pub fn new(count: f64) -> Self {
        Self(within(count, 0.0, f64::MAX, 0.0))
    }

    /// `events` more, after `elapsed`.
    pub fn observe(&mut self, events: f64, elapsed: Duration, half_life: Duration) {
        *self = Self::new(self.0 * kept(elapsed, half_life) + within(events, 0.0, f64::MAX, 0.0));
    }

    /// The count, 0 or more.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// What is left of a weight after `elapsed`; a half-life of zero remembers nothing.
fn kept(elapsed: Duration, half_life: Duration) -> f64 {
    if half_life.is_zero() { 0.0 } else { (-elapsed.as_secs_f64() / half_life.as_secs_f64()).exp2() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_LIFE: Duration = Duration::from_hours(6);

    #[test]
    fn after_one_half_life_the_past_weighs_half_whatever_the_step() {
        for seconds in [1, 7, 600, 21_600] {
            let mut ready = Decayed::from_parts(1.0, 1.0);
            for _ in 0..(21_600 / seconds) {
                ready.observe(0.0, Duration::from_secs(seconds), HALF_LIFE);
            }
            assert!((ready.mean(0.0) - 0.5).abs() < 0.01, "{seconds}: {}", ready.mean(0.0));
        }
    }

    #[test]
    fn what_was_not_seen_is_the_prior() {
        let mut ready = Decayed::default();
        assert_eq!(ready.mean(1.0), 1.0);
        ready.observe(0.0, HALF_LIFE, HALF_LIFE);
        assert_eq!(ready.mean(1.0), 0.5);
        ready.fade(HALF_LIFE, HALF_LIFE);
        assert_eq!(ready.mean(1.0), 0.75);
    }

    #[test]
    fn a_restart_is_forgotten_by_half_in_a_half_life() {
        let mut restarts = DecayedCount::default();
        restarts.observe(4.0, Duration::ZERO, HALF_LIFE);
        restarts.observe(0.0, HALF_LIFE, HALF_LIFE);
        assert_eq!(restarts.get(), 2.0);
    }

    #[test]
    fn numbers_that_no_average_has_start_afresh() {
        for (sum, weight) in [(f64::NAN, 0.5), (0.1, f64::NAN), (f64::INFINITY, 0.5), (0.5, 1.5), (0.5, -0.1)]
        {
            assert_eq!(Decayed::from_parts(sum, weight), Decayed::default());
        }
    }

    proptest! {
        #[test]
        fn an_average_stays_between_what_went_in(
            values in prop::collection::vec((0.0..1.0_f64, 0_u64..100_000), 0..50), prior in 0.0..1.0_f64,
        ) {
            let mut average = Decayed::default();
            for (value, seconds) in values {
                average.observe(value, Duration::from_secs(seconds), HALF_LIFE);
            }
            let (sum, weight) = average.parts();
            prop_assert_eq!(Decayed::from_parts(sum, weight), average);
            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&average.mean(prior)));
        }

        #[test]
        fn no_input_makes_a_count_negative_or_nan(events: f64, seconds in 0_u64..1_000_000, half_life in 0_u64..1000) {
            let mut count = DecayedCount::new(events);
            count.observe(events, Duration::from_secs(seconds), Duration::from_secs(half_life));
            prop_assert!(count.get() >= 0.0);
        }
    }
}
