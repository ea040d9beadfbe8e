//! Adaptive conformal calibration of p90 and p99 (after Gibbs and Candès, 2021).
//!
//! The spread above the median is stretched after every miss and eased after every hit, in the ratio that leaves
//! it alone when exactly the promised share of loads stays below. So coverage returns to its promise whatever the
//! series does, without a model of why it was lost.

use foreshift_engine::forecast::Quantiles;

use crate::{HEADS, LEVELS};

/// A quick step: a miss of p90 stretches its spread by 1.8 %, a hit eases it by 0.2 %.
pub(crate) const QUICK: f64 = 0.02;

/// A gentle step, for a forecast that is nearly calibrated: what is corrected in haste costs sharpness.
pub(crate) const GENTLE: f64 = 0.004;

/// Bounds of the stretch, as logarithm: from half to four times the spread of the model.
const STRETCH: std::ops::RangeInclusive<f64> = -0.7..=1.4;

/// How far the spreads of one series are stretched; starts with the model's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration<const H: usize = HEADS> {
    gamma: f64,
    stretch: [[f64; 2]; H],
}

impl<const H: usize> Default for Calibration<H> {
    fn default() -> Self {
        Self::new(QUICK)
    }
}

impl<const H: usize> Calibration<H> {
    /// One that moves by the given step.
    #[must_use]
    pub fn new(gamma: f64) -> Self {
        Self { gamma, stretch: [[0.0; 2]; H] }
    }

    /// The prediction with calibrated p90 and p99; p50 stays.
    #[must_use]
    pub fn apply(&self, prediction: &[Quantiles; H]) -> [Quantiles; H] {
        let mut calibrated = *prediction;
        for (quantiles, [p90, p99]) in calibrated.iter_mut().zip(&self.stretch) {
            let median = quantiles.p50;
            quantiles.p90 = median + (quantiles.p90 - median) * p90.exp();
            quantiles.p99 = (median + (quantiles.p99 - median) * p99.exp()).max(quantiles.p90);
        }
        calibrated
    }

    /// Learns from a calibrated prediction that has come due.
    pub fn learn(&mut self, calibrated: &[Quantiles; H], truth: &[f64; H]) {
        for ((stretch, quantiles), &truth) in self.stretch.iter_mut().zip(calibrated).zip(truth) {
            for ((stretch, value), level) in
                stretch.iter_mut().zip([quantiles.p90, quantiles.p99]).zip(&LEVELS[1..])
            {
                let missed = if truth > value { 1.0 } else { 0.0 };
                *stretch = (*stretch + self.gamma * (missed - (1.0 - level)))
                    .clamp(*STRETCH.start(), *STRETCH.end());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Coverage of p90 over the second half of a series of evenly spread loads, for a model with the given spread.
    fn coverage(spread: f64) -> f64 {
        let model = [Quantiles { p50: 1.0, p90: 1.0 + spread, p99: 1.0 + 2.0 * spread }; HEADS];
        let mut calibration = Calibration::<HEADS>::default();
        let mut covered = 0;
        for step in 0_u32..4000 {
            let calibrated = calibration.apply(&model);
            let truth = 0.5 + f64::from(step * 617 % 1000) / 1000.0;
            covered += u32::from(step >= 2000 && truth <= calibrated[0].p90);
            calibration.learn(&calibrated, &[truth; HEADS]);
        }
        f64::from(covered) / 2000.0
    }

    #[test]
    fn coverage_returns_to_its_promise_from_both_sides() {
        for spread in [0.15, 0.4, 0.7] {
            assert!((coverage(spread) - 0.9).abs() < 0.01, "spread {spread}: {}", coverage(spread));
        }
    }

    #[test]
    fn quantiles_stay_ordered_when_only_p90_is_stretched() {
        let mut calibration = Calibration::<HEADS>::default();
        let model = [Quantiles { p50: 1.0, p90: 1.5, p99: 1.6 }; HEADS];
        (0..500).for_each(|step| calibration.learn(&model, &[if step % 5 == 0 { 1.55 } else { 1.0 }; HEADS]));
        let [first, ..] = calibration.apply(&model);
        assert!(first.p50 <= first.p90 && first.p90 <= first.p99, "{first:?}");
    }
}
