//! Linear quantile regression on the last loads, learned online: the baseline that has the network's inputs but none
//! of its layers.
//!
//! One linear rule for each quantile of each head, by stochastic subgradients of the pinball loss (Koenker and
//! Bassett, 1978) with `AdaGrad` steps; every new example is learned once, and a few old ones again.

use std::collections::VecDeque;

use foreshift_engine::forecast::{HORIZON_STEPS, Quantiles};

use crate::{HEADS, LAST_HORIZON, LEVELS, MAX_LOAD, Prediction, outcome, push_bounded};

/// Loads it looks back on; also what the scale is taken over.
const LOOK_BACK: usize = 16;

/// Distances of the earlier loads from the last, and a constant.
const INPUTS: usize = LOOK_BACK;

/// Examples kept to be learned again, and how many are with each new one.
const REMEMBERED: usize = 1024;
const AGAIN: usize = 4;

const RATE: f64 = 0.05;

/// Quantiles of the standard normal distribution at [`LEVELS`]: the first guess, of a random walk.
const NORMAL: [f64; LEVELS.len()] = [0.0, 1.2816, 2.3263];

#[derive(Clone, Copy, Debug)]
struct Rule {
    weights: [f64; INPUTS],
    squares: [f64; INPUTS],
}

#[derive(Clone, Copy, Debug)]
struct Inputs {
    values: [f64; INPUTS],
    last: f64,
    scale: f64,
}

/// The rules, and the loads they are waiting for.
#[derive(Debug)]
pub(super) struct QuantileRegression {
    step: Option<u64>,
    loads: VecDeque<f64>,
    rules: Vec<Rule>,
    examples: Vec<(Inputs, [f64; HEADS])>,
    learned: usize,
}

impl Default for QuantileRegression {
    fn default() -> Self {
        let rule = |index: usize| {
            let steps = HORIZON_STEPS.get(index / LEVELS.len()).copied().unwrap_or(LAST_HORIZON as u32);
            let mut weights = [0.0; INPUTS];
            weights[INPUTS - 1] = NORMAL[index % LEVELS.len()] * f64::from(steps).sqrt();
            Rule { weights, squares: [1e-2; INPUTS] }
        };
        Self {
            step: None,
            loads: VecDeque::new(),
            rules: (0..HEADS * LEVELS.len()).map(rule).collect(),
            examples: Vec::new(),
            learned: 0,
        }
    }
}

impl QuantileRegression {
    /// Takes the load of a step; after a gap it starts the series over and keeps its rules.
    pub(super) fn observe(&mut self, step: u64, load: f64) {
        if self.step.is_some_and(|last| step != last + 1) {
            self.loads.clear();
        }
        self.step = Some(step);
        push_bounded(&mut self.loads, LOOK_BACK + LAST_HORIZON, load.clamp(0.0, MAX_LOAD));
        let loads = self.loads.make_contiguous();
        if let Some((past, after)) = loads.split_at_checked(LOOK_BACK)
            && let (Some(inputs), Some(truth)) = (Inputs::of(past), outcome(after))
        {
            let slot = self.learned % REMEMBERED;
            self.learn(&inputs, &truth);
            for again in 1..=AGAIN {
                // A stride without a common factor visits all of them.
                let index = (self.learned * AGAIN + again) * 389 % self.examples.len().max(1);
                if let Some(&(inputs, truth)) = self.examples.get(index) {
                    self.learn(&inputs, &truth);
                }
            }
            self.examples.truncate(REMEMBERED);
            if slot < self.examples.len() {
                self.examples[slot] = (inputs, truth);
            } else {
                self.examples.push((inputs, truth));
            }
            self.learned += 1;
        }
    }

    pub(super) fn predict(&self) -> Prediction {
        let newest: Vec<f64> = self.loads.iter().rev().take(LOOK_BACK).rev().copied().collect();
        let Some(inputs) = Inputs::of(&newest) else {
            let last = self.loads.back().copied().unwrap_or_default();
            return [Quantiles::certain(last); HEADS];
        };
        std::array::from_fn(|head| {
            let at = |level: usize| {
                (inputs.last + inputs.scale * self.rules[head * LEVELS.len() + level].answer(&inputs))
                    .max(0.0)
            };
            let p50 = at(0);
            let p90 = at(1).max(p50);
            Quantiles { p50, p90, p99: at(2).max(p90) }
        })
    }

    fn learn(&mut self, inputs: &Inputs, truth: &[f64; HEADS]) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            let level = LEVELS[index % LEVELS.len()];
            let miss = (truth[index / LEVELS.len()] - inputs.last) / inputs.scale - rule.answer(inputs);
            let slope = if miss > 0.0 { -level } else { 1.0 - level };
            for ((weight, squares), value) in
                rule.weights.iter_mut().zip(&mut rule.squares).zip(inputs.values)
            {
                let slope = slope * value;
                *squares += slope * slope;
                *weight -= RATE * slope / squares.sqrt();
            }
        }
    }
}

impl Rule {
    fn answer(&self, inputs: &Inputs) -> f64 {
        self.weights.iter().zip(inputs.values).map(|(weight, value)| weight * value).sum()
    }
}

impl Inputs {
    fn of(past: &[f64]) -> Option<Self> {
        let past: &[f64; LOOK_BACK] = past.try_into().ok()?;
        let last = past[LOOK_BACK - 1];
        let movement =
            past.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / (LOOK_BACK - 1) as f64;
        let mean = past.iter().sum::<f64>() / LOOK_BACK as f64;
        let scale = movement + 0.02 * mean + 1e-3;
        let mut values = [1.0; INPUTS];
        values
            .iter_mut()
            .zip(past[..LOOK_BACK - 1].iter())
            .for_each(|(value, load)| *value = (load - last) / scale);
        Some(Self { values, last, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_the_spread_and_the_pull_of_noise_around_a_level() {
        let mut regression = QuantileRegression::default();
        let mut covered = 0;
        for step in 0_u64..6000 {
            let load = 0.5 + (step * 617 % 1000) as f64 / 1000.0 * 0.2;
            if step >= 4000 {
                covered += u32::from(load <= regression.predict()[0].p90);
            }
            regression.observe(step, load);
        }
        assert!((1650..=1950).contains(&covered), "{covered} of 2000");
    }

    #[test]
    fn before_it_knows_anything_it_says_as_now() {
        let mut regression = QuantileRegression::default();
        regression.observe(1, 0.4);
        assert!((regression.predict()[0].p50 - 0.4).abs() < 1e-12);
    }
}
