//! From a point forecast to quantiles, by what it missed lately.
//!
//! Each head has a ring of recent misses; their empirical quantiles are added to the point forecast. Until enough
//! misses are known the margin is that of a random walk whose steps are as large as the recent ones.

use std::collections::VecDeque;

use foreshift_engine::forecast::{HORIZON_STEPS, Quantiles};

use crate::margins::Margins;
use crate::{HEADS, LAST_HORIZON, LEVELS, Prediction, outcome, push_bounded};

/// Weight of a new step in the mean size of a step.
const MOVEMENT_WEIGHT: f64 = 0.1;

/// A step is taken to be at least this share of the load, so that a single sample has a margin, too.
const LEAST_MOVEMENT: f64 = 0.03;

/// Standard deviation over mean absolute value of a normal variable.
const DEVIATION_OF_MEAN: f64 = 1.2533;

/// Quantiles of the standard normal distribution at [`LEVELS`].
const NORMAL: [f64; LEVELS.len()] = [0.0, 1.2816, 2.3263];

/// A rule that carries a series on.
pub trait PointForecast {
    /// Takes the next load.
    fn observe(&mut self, load: f64);
    /// The expected load so many steps on, never negative.
    fn ahead(&self, steps: u32) -> f64;
    /// Forgets the series, as after a gap.
    fn restart(&mut self);
}

/// A point forecast with margins learned from its own misses; bounded memory.
#[derive(Clone, Debug)]
pub struct Baseline<P> {
    point: P,
    recent: VecDeque<f64>,
    waiting: VecDeque<[f64; HEADS]>,
    margins: Margins,
    movement: f64,
}

impl<P: PointForecast> Baseline<P> {
    /// A baseline that has seen nothing.
    #[must_use]
    pub fn new(point: P) -> Self {
        Self {
            point,
            recent: VecDeque::with_capacity(LAST_HORIZON),
            waiting: VecDeque::with_capacity(LAST_HORIZON),
            margins: Margins::default(),
            movement: 0.0,
        }
    }

    /// Takes the next load, which must be finite, and learns from the forecast that has just come due.
    pub fn observe(&mut self, load: f64) {
        if let Some(&last) = self.recent.back() {
            let step = (load - last).abs();
            self.movement += MOVEMENT_WEIGHT * (step - self.movement);
        }
        self.point.observe(load);
        push_bounded(&mut self.recent, LAST_HORIZON, load);
        let points = self.points();
        let due = push_bounded(&mut self.waiting, LAST_HORIZON, points);
        if let (Some(points), Some(truth)) = (due, outcome(self.recent.make_contiguous())) {
            self.margins.learn(std::array::from_fn(|head| truth[head] - points[head]));
        }
    }

    /// Quantiles of load at each head.
    #[must_use]
    pub fn predict(&self) -> Prediction {
        let points = self.points();
        let step = self.movement.max(LEAST_MOVEMENT * points[0]) * DEVIATION_OF_MEAN;
        std::array::from_fn(|head| {
            let margins = self.margins.of(head).unwrap_or_else(|| {
                let steps = HORIZON_STEPS.get(head).copied().unwrap_or(LAST_HORIZON as u32);
                NORMAL.map(|quantile| quantile * step * f64::from(steps).sqrt())
            });
            let [p50, p90, p99] = margins.map(|margin| (points[head] + margin).max(0.0));
            Quantiles { p50, p90, p99 }
        })
    }

    /// Starts over after a gap; what the misses taught stays.
    pub fn restart(&mut self) {
        self.point.restart();
        self.recent.clear();
        self.waiting.clear();
    }

    fn points(&self) -> [f64; HEADS] {
        let peak = (1..=LAST_HORIZON as u32).map(|steps| self.point.ahead(steps)).fold(0.0, f64::max);
        let mut points = [peak; HEADS];
        for (point, &steps) in points.iter_mut().zip(&HORIZON_STEPS) {
            *point = self.point.ahead(steps);
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holt, LastValue, Smoothing};

    #[test]
    fn a_single_sample_already_has_a_margin() {
        let mut baseline = Baseline::new(LastValue::default());
        baseline.observe(0.5);
        let [first, .., eighth, _] = baseline.predict();
        assert!(first.p50 == 0.5 && first.p90 > 0.5 && first.p99 > first.p90);
        assert!(eighth.p90 > first.p90, "uncertainty grows with the horizon");
    }

    #[test]
    fn margins_follow_what_was_missed() {
        let mut baseline = Baseline::new(LastValue::default());
        (0..200).for_each(|step| baseline.observe(0.5 + 0.1 * f64::from(step % 2)));
        let [first, ..] = baseline.predict();
        assert!((first.p90 - 0.7).abs() < 1e-6, "a step of 0.1 up is seen every other time: {first:?}");
    }

    #[test]
    fn a_restart_keeps_the_margins_and_drops_the_series() {
        let mut baseline = Baseline::new(Holt::new(Smoothing::default()));
        (0..100).for_each(|step| baseline.observe(1.0 + 0.2 * f64::from(step % 2)));
        let before = baseline.predict()[0];
        baseline.restart();
        baseline.observe(0.3);
        let after = baseline.predict()[0];
        assert!(after.p50 < 0.6 && (after.p99 - after.p50 - (before.p99 - before.p50)).abs() < 0.05);
    }
}
