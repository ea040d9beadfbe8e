//! A series on a regular grid of unix time, so that the windows of all nodes line up.

use std::{collections::VecDeque, ops::Range, time::Duration};

/// Steps that a window holds; what the forecaster reads.
pub const STEPS: usize = 32;

/// Seconds since 1970 that a clock may show; beyond them a float no longer tells steps apart.
const UNIX_TIMES: Range<f64> = 0.0..1e12;

/// Values beyond this are cut off, so that no sum over a window overflows.
const LARGEST: f64 = 1e15;

/// A window of the last [`STEPS`] steps of a series; each step is the time-weighted mean of what fell into it.
///
/// Step `n` covers the unix time from `(n - 1) * period` to `n * period`.
#[derive(Clone, Debug)]
pub struct Grid {
    period: f64,
    steps: VecDeque<f64>,
    newest: i64,
    /// Unix time up to which the series is known.
    until: Option<f64>,
    /// Seconds of the open step that are known, and the integral over them.
    covered: f64,
    integral: f64,
    last: f64,
}

impl Grid {
    /// An empty window; a period below one millisecond is one millisecond.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self {
            period: period.as_secs_f64().max(0.001),
            steps: VecDeque::with_capacity(STEPS),
            newest: 0,
            until: None,
            covered: 0.0,
            integral: 0.0,
            last: 0.0,
        }
    }

    /// A window that goes on where an earlier one ended: its values, oldest first, and its newest step.
    #[must_use]
    pub fn resumed(period: Duration, values: impl IntoIterator<Item = f64>, newest: i64) -> Self {
        let mut grid = Self::new(period);
        let end = newest as f64 * grid.period;
        if UNIX_TIMES.contains(&end) {
            (grid.until, grid.newest) = (Some(end), newest);
            for value in values.into_iter().filter(|value| value.is_finite()) {
                grid.last = value.clamp(-LARGEST, LARGEST);
                grid.keep(grid.last);
            }
        }
        grid
    }

    /// The series was `value` on average from the last push to `unix` seconds. True when a step was completed.
    ///
    /// The value is spread over all steps that the time touches, so that samples may come late, early or not
    /// at all. The first push starts the clock. A value that is not finite repeats the one before; time that
    /// runs backwards is ignored, and after a jump of more than a window the series starts afresh.
    pub fn push(&mut self, unix: f64, value: f64) -> bool {
        if !UNIX_TIMES.contains(&unix) {
            return false;
        }
        if value.is_finite() {
            self.last = value.clamp(-LARGEST, LARGEST);
        }
        let window = self.period * STEPS as f64;
        let from = match self.until {
            Some(until) if (until - window..until).contains(&unix) => return false,
            Some(until) if unix >= until => until.max(unix - window),
            _ => {
                self.steps.clear();
                (self.covered, self.integral) = (0.0, 0.0);
                self.until = Some(unix);
                return false;
            }
        };
        self.fill(from, unix)
    }

    /// The newest complete step: unix time of its end over the period. `None` while there is none.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        (!self.steps.is_empty()).then_some(self.newest)
    }

    /// Value of the newest complete step.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.steps.back().copied()
    }

    /// The complete steps, oldest first; at most [`STEPS`].
    #[must_use]
    pub fn values(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.steps.iter().copied()
    }

    fn fill(&mut self, mut from: f64, to: f64) -> bool {
        let mut completed = false;
        let mut step = (from / self.period).floor() as i64 + 1;
        if self.until.is_some_and(|until| from > until) {
            (self.covered, self.integral) = (0.0, 0.0);
        }
        loop {
            let end = step as f64 * self.period;
            let reached = to.min(end);
            self.covered += reached - from;
            self.integral += (reached - from) * self.last;
            self.until = Some(to);
            if to < end {
                return completed;
            }
            let mean = if self.covered > 0.0 { self.integral / self.covered } else { self.last };
            self.newest = step;
            self.keep(mean);
            (self.covered, self.integral) = (0.0, 0.0);
            completed = true;
            from = end;
            step += 1;
        }
    }

    fn keep(&mut self, value: f64) {
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FINE: Duration = Duration::from_secs(2);

    fn pushed(samples: &[(f64, f64)]) -> Grid {
        let mut grid = Grid::new(FINE);
        for &(at, value) in samples {
            grid.push(at, value);
        }
        grid
    }

    fn window(grid: &Grid) -> (Option<i64>, Vec<f64>) {
        (grid.newest(), grid.values().collect())
    }

    #[test]
    fn a_step_is_the_mean_of_what_fell_into_it() {
        let grid =
            pushed(&[(100.0, 9.0), (101.0, 1.0), (102.0, 3.0), (103.0, 5.0), (104.0, 5.0), (105.0, 8.0)]);
        assert_eq!(window(&grid), (Some(52), vec![2.0, 5.0]));
    }

    #[test]
    fn a_sample_across_a_boundary_counts_on_both_sides() {
        let grid = pushed(&[(100.5, 0.0), (101.5, 1.0), (102.5, 3.0), (103.5, 3.0), (104.5, 3.0)]);
        let (newest, values) = window(&grid);
        assert_eq!(newest, Some(52));
        assert!((values[0] - (1.0 + 0.5 * 3.0) / 1.5).abs() < 1e-9, "{values:?}");
        assert!((values[1] - 3.0).abs() < 1e-9);
    }

    #[test]
    fn gaps_are_filled_and_a_long_one_costs_no_more_than_a_window() {
        let grid = pushed(&[(100.0, 1.0), (102.0, 1.0), (108.0, 4.0)]);
        assert_eq!(window(&grid), (Some(54), vec![1.0, 4.0, 4.0, 4.0]));
        let grid = pushed(&[(100.0, 1.0), (102.0, 1.0), (1e9, 4.0)]);
        assert_eq!(window(&grid), (Some(500_000_000), vec![4.0; STEPS]));
    }

    #[test]
    fn a_clock_set_back_a_little_is_waited_for_and_one_set_back_a_lot_starts_afresh() {
        let mut grid = pushed(&[(100.0, 1.0), (102.0, 1.0)]);
        assert!(!grid.push(101.0, 9.0));
        assert_eq!(window(&grid), (Some(51), vec![1.0]));
        assert!(!grid.push(20.0, 9.0));
        assert_eq!(grid.newest(), None);
        assert!(grid.push(22.0, 2.0));
        assert_eq!(window(&grid), (Some(11), vec![2.0]));
    }

    #[test]
    fn a_value_that_is_no_number_repeats_the_one_before() {
        let grid = pushed(&[(100.0, 1.0), (101.0, 1.0), (102.0, f64::NAN)]);
        assert_eq!(window(&grid), (Some(51), vec![1.0]));
    }

    #[test]
    fn a_window_cannot_be_resumed_from_nonsense() {
        for newest in [i64::MIN, -1, i64::MAX] {
            let mut grid = Grid::resumed(FINE, [1.0], newest);
            grid.push(100.0, 2.0);
            assert!(grid.push(102.0, 2.0));
            assert_eq!(window(&grid), (Some(51), vec![2.0]));
        }
    }

    #[test]
    fn a_resumed_window_goes_on_and_bridges_the_time_away() {
        let mut grid = Grid::resumed(FINE, [1.0, 2.0], 51);
        assert_eq!(window(&grid), (Some(51), vec![1.0, 2.0]));
        assert!(grid.push(106.0, 3.0));
        assert_eq!(window(&grid), (Some(53), vec![1.0, 2.0, 3.0, 3.0]));
    }

    proptest! {
        #[test]
        fn steps_are_consecutive_and_values_stay_in_range_whatever_the_timing(
            gaps in prop::collection::vec((0.0..9.0_f64, 0.0..1.0_f64), 1..200),
        ) {
            let mut grid = Grid::new(FINE);
            let mut at = 1_000.0;
            let mut before = None;
            for (gap, value) in gaps {
                at += gap;
                let completed = grid.push(at, value);
                prop_assert!(grid.values().all(|value| (-1e-9..=1.0 + 1e-9).contains(&value)));
                prop_assert!(grid.values().len() <= STEPS);
                prop_assert_eq!(completed, grid.newest() != before);
                if let Some(newest) = grid.newest() {
                    prop_assert_eq!(newest, (at / 2.0).floor() as i64);
                }
                before = grid.newest();
            }
        }

        #[test]
        fn no_input_panics(samples in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20)) {
            let grid = pushed(&samples);
            prop_assert!(grid.values().all(f64::is_finite));
        }
    }
}
