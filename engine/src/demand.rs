//! Offered load: what the lead's load would be if every entry of the route went to it.
//!
//! Shares change what each resource does, not what clients send. Summing the route's work over all its resources
//! therefore gives a series that our own moves do not disturb, so a forecast of it cannot chase its own tail.

/// One resource's part in the sum, on a regular grid that all resources share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Index of the newest value on the grid (unix time over the period).
    pub step: i64,
    /// Values, oldest first, one a step.
    pub values: Vec<f64>,
}

impl Series {
    /// The value at a step: the nearest known one outside the window, `None` without any.
    #[must_use]
    pub fn at(&self, step: i64) -> Option<f64> {
        let last = self.values.len().checked_sub(1)?;
        let behind = usize::try_from(self.step.saturating_sub(step).max(0)).unwrap_or(usize::MAX);
        self.values.get(last.saturating_sub(behind)).copied().filter(|v| v.is_finite())
    }
}

/// What an alternate does for the route.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The work of its pods, in cores.
    pub series: Series,
    /// What they use without any entries, in cores.
    pub idle: f64,
    /// What an entry takes there over what it takes on the lead ([`crate::work`]).
    pub work: f64,
    /// Whether it has a share now, so that its work must be known before the sum is.
    pub sharing: bool,
}

/// The offered load on the lead's grid: the lead's own load plus what the alternates did for the route, in units
/// of the lead's capacity.
///
/// `lead` is node load (1.0 is full); `capacity` is the lead's, in cores. A step is taken only when every alternate with a share
/// has reported it, or a step later: a share that moved has left the lead's persona before it arrives in the
/// alternate's, and the sum must not dip.
#[must_use]
pub fn offered(lead: &Series, capacity: f64, moved: &[Moved]) -> Series {
    let first = lead.step - lead.values.len() as i64 + 1;
    let mut values: Vec<f64> = (first..=lead.step)
        .map(|step| {
            let own = lead.at(step).unwrap_or(0.0).max(0.0);
            let work = |m: &Moved| (m.series.at(step).unwrap_or(0.0) - m.idle).max(0.0) / m.work.max(1e-3);
            let elsewhere: f64 = moved.iter().map(work).sum();
            own + if capacity > 0.0 { elsewhere / capacity } else { 0.0 }
        })
        .collect();
    let mut step = lead.step;
    if values.len() > 1 && moved.iter().any(|m| m.sharing && m.series.step < step) {
        values.pop();
        step -= 1;
    }
    Series { step, values }
}

/// What a resource's pods use while the route gives them nothing: learned only then, forgotten never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IdleUse {
    cores: f64,
    quiet_ticks: u32,
}

impl IdleUse {
    /// Ticks without a share before use counts as idle: what was sent before must be worked off.
    const SETTLE_TICKS: u32 = 10;

    /// The learned value, in cores.
    #[must_use]
    pub fn cores(&self) -> f64 {
        self.cores
    }

    /// Takes note of one tick.
    pub fn observe(&mut self, has_share: bool, used_cores: f64) {
        if has_share || !used_cores.is_finite() {
            self.quiet_ticks = 0;
            return;
        }
        self.quiet_ticks = self.quiet_ticks.saturating_add(1);
        if self.quiet_ticks > Self::SETTLE_TICKS {
            self.cores += 0.1 * (used_cores.max(0.0) - self.cores);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(step: i64, values: &[f64]) -> Series {
        Series { step, values: values.to_vec() }
    }

    fn moved(series: Series, idle: f64) -> Moved {
        Moved { series, idle, work: 1.0, sharing: false }
    }

    #[test]
    fn work_that_takes_longer_elsewhere_counts_by_what_it_would_be_on_the_lead() {
        let slow = Moved { work: 3.0, ..moved(series(0, &[0.6]), 0.0) };
        assert!((offered(&series(0, &[0.5]), 1.0, &[slow]).values[0] - 0.7).abs() < 1e-9);
    }

    #[test]
    fn a_move_leaves_the_offered_load_as_it_was() {
        let lead = series(10, &[0.8, 0.8, 0.4, 0.4]);
        let alternate = series(10, &[0.0, 0.0, 0.2, 0.2]);
        let sum = offered(&lead, 0.5, &[moved(alternate, 0.0)]);
        assert_eq!(sum.step, 10);
        for value in sum.values {
            assert!((value - 0.8).abs() < 1e-9);
        }
    }

    #[test]
    fn windows_that_end_at_different_steps_are_laid_over_each_other() {
        let lead = series(10, &[0.5, 0.5, 0.5]);
        let behind = series(9, &[0.0, 0.1, 0.2]);
        let sum = offered(&lead, 1.0, &[moved(behind, 0.0)]);
        let expected = [0.6, 0.7, 0.7];
        assert!(sum.values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{sum:?}");
    }

    #[test]
    fn the_sum_waits_one_step_for_an_alternate_that_has_a_share() {
        let lead = series(100, &[0.8, 0.8, 0.4]);
        let sum = |sharing| offered(&lead, 1.0, &[Moved { sharing, ..moved(series(99, &[0.0, 0.0]), 0.0) }]);
        assert_eq!(sum(true), series(99, &[0.8, 0.8]));
        assert_eq!(sum(false).step, 100);
    }

    #[test]
    fn what_an_alternate_does_anyway_is_no_demand_of_the_route() {
        let mut idle = IdleUse::default();
        for _ in 0..100 {
            idle.observe(false, 0.1);
        }
        let sum = offered(&series(0, &[0.5]), 1.0, &[moved(series(0, &[0.3]), idle.cores())]);
        assert!((sum.values[0] - 0.7).abs() < 1e-3);
        idle.observe(true, 5.0);
        assert!(idle.cores() < 0.11, "nothing is learned while a share is there");
    }

    #[test]
    fn empty_and_broken_windows_count_as_nothing() {
        let sum = offered(&series(3, &[0.5, f64::NAN]), 0.0, &[moved(series(0, &[]), 0.0)]);
        assert_eq!(sum.values, [0.5, 0.0]);
    }
}
