//! One forecast from several, by what each has been worth lately: online aggregation of experts.
//!
//! Every quantile of every head has weights of its own. An expert gains weight as the loss would have fallen with
//! more of it (exponential weights on linearised pinball loss, with a rate that fits itself; Wintenberger, 2017), so
//! the blend comes near the best *mixture*, which is often better than any expert: on a cluster whose loads the
//! network has never seen, it starts with the network and ends with whatever forecasts best.

use foreshift_engine::forecast::Quantiles;

use crate::LEVELS;

/// How much a gain counts one step later: half after some 350 steps, so that a change of habit changes the weights.
const FORGETTING: f64 = 0.998;

/// Learning rate over the spread of recent gains. On long traces 2 is as good; in the ten minutes of a simulated
/// scenario it follows every turn, and flapping demand then saturates the lead for longer.
const RATE: f64 = 0.5;

/// Weights of `N` experts on the quantiles of `H` heads; bounded memory.
#[derive(Clone, Debug)]
pub struct Blend<const N: usize, const H: usize> {
    prior: [f64; N],
    quantiles: [[Weights<N>; LEVELS.len()]; H],
}

/// What the experts have gained at one quantile.
#[derive(Clone, Copy, Debug)]
struct Weights<const N: usize> {
    gains: [f64; N],
    spread: f64,
}

impl<const N: usize, const H: usize> Blend<N, H> {
    /// Starts with the given weights, all above zero.
    #[must_use]
    pub fn new(weights: [f64; N]) -> Self {
        let empty = Weights { gains: [0.0; N], spread: 0.0 };
        Self { prior: weights.map(f64::ln), quantiles: [[empty; LEVELS.len()]; H] }
    }

    /// The weighted mean of what the experts say, quantile by quantile.
    #[must_use]
    pub fn mix(&self, experts: &[[Quantiles; H]; N]) -> [Quantiles; H] {
        std::array::from_fn(|head| {
            let mean = |level: usize| {
                let weights = self.quantiles[head][level].shares(&self.prior);
                weights
                    .iter()
                    .zip(experts)
                    .map(|(weight, expert)| weight * values(&expert[head])[level])
                    .sum()
            };
            let [p50, p90, p99]: [f64; LEVELS.len()] = std::array::from_fn(mean);
            // Weights differ between quantiles, so their order must be seen to.
            let p90 = p90.max(p50);
            Quantiles { p50, p90, p99: p99.max(p90) }
        })
    }

    /// Learns from what the experts said, what was made of it, and what came.
    pub fn learn(&mut self, experts: &[[Quantiles; H]; N], mixed: &[Quantiles; H], truth: &[f64; H]) {
        for (head, levels) in self.quantiles.iter_mut().enumerate() {
            let mixed = values(&mixed[head]);
            for (at, (weights, level)) in levels.iter_mut().zip(LEVELS).enumerate() {
                let slope = if truth[head] < mixed[at] { 1.0 - level } else { -level };
                let gains: [f64; N] =
                    std::array::from_fn(|who| slope * (mixed[at] - values(&experts[who][head])[at]));
                weights.learn(&gains);
            }
        }
    }

    /// Mean weight of each expert over all quantiles; they sum to 1.
    #[must_use]
    pub fn shares(&self) -> [f64; N] {
        let mut shares = [0.0; N];
        let all = self.quantiles.as_flattened();
        for weights in all {
            let share = weights.shares(&self.prior);
            shares.iter_mut().zip(share).for_each(|(sum, weight)| *sum += weight / all.len() as f64);
        }
        shares
    }
}

impl<const N: usize> Weights<N> {
    fn learn(&mut self, gains: &[f64; N]) {
        let widest = gains.iter().fold(0.0_f64, |most, gain| most.max(gain * gain));
        self.spread = FORGETTING * self.spread + widest;
        for (sum, gain) in self.gains.iter_mut().zip(gains) {
            *sum = FORGETTING * *sum + gain;
        }
    }

    fn shares(&self, prior: &[f64; N]) -> [f64; N] {
        let rate = if self.spread > 0.0 { RATE / self.spread.sqrt() } else { 0.0 };
        let scores: [f64; N] = std::array::from_fn(|who| prior[who] + rate * self.gains[who]);
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights = scores.map(|score| (score - highest).exp());
        let total: f64 = weights.iter().sum();
        weights.map(|weight| weight / total)
    }
}

fn values(quantiles: &Quantiles) -> [f64; LEVELS.len()] {
    [quantiles.p50, quantiles.p90, quantiles.p99]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HEADS, Prediction, pinball};

    fn saying(p50: f64) -> Prediction {
        [Quantiles { p50, p90: p50 + 0.2, p99: p50 + 0.4 }; HEADS]
    }

    #[test]
    fn it_starts_with_the_weights_it_was_given() {
        let blend = Blend::new([0.75, 0.25]);
        assert!((blend.mix(&[saying(1.0), saying(2.0)])[0].p50 - 1.25).abs() < 1e-12);
    }

    #[test]
    fn weight_goes_to_whoever_is_right_and_comes_back() {
        let mut blend = Blend::new([0.5, 0.5]);
        let experts = [saying(1.0), saying(2.0)];
        for (right, who) in [(2.0, 1), (1.0, 0)] {
            for step in 0_u32..1000 {
                let mixed = blend.mix(&experts);
                blend.learn(&experts, &mixed, &[right + 0.1 * (f64::from(step % 3) - 1.0); HEADS]);
            }
            assert!((blend.mix(&experts)[0].p50 - right).abs() < 0.1, "expert {who}: {:?}", blend.shares());
        }
    }

    #[test]
    fn two_that_err_to_either_side_are_better_together() {
        let mut blend = Blend::new([0.5, 0.5]);
        let experts = [saying(0.8), saying(1.2)];
        let (mut together, mut alone) = (0.0, 0.0);
        for step in 0_u32..500 {
            let truth = [1.0 + 0.02 * f64::from(step % 5) - 0.04; HEADS];
            let mixed = blend.mix(&experts);
            together += pinball(&mixed, &truth);
            alone += pinball(&experts[0], &truth).min(pinball(&experts[1], &truth));
            blend.learn(&experts, &mixed, &truth);
        }
        assert!(together < 0.8 * alone, "{together} against {alone}");
    }

    #[test]
    fn quantiles_stay_ordered_whatever_the_weights() {
        let mut blend = Blend::new([0.5, 0.5]);
        let experts = [saying(0.3), saying(3.0)];
        for step in 0_u32..400 {
            let mixed = blend.mix(&experts);
            let [head, ..] = mixed;
            assert!(head.p50 <= head.p90 && head.p90 <= head.p99);
            blend.learn(&experts, &mixed, &[if step % 10 == 0 { 0.5 } else { 2.9 }; HEADS]);
        }
    }
}
