//! Ridge regression on size, steps and history, kept up to date by recursive least squares: the simple rival of the
//! network, and its stand-in where there is none.

use super::history::Features;

/// A constant, the anchor, what each key's guess differs from it, size and its square, steps.
const INPUTS: usize = 11;

const FORGETTING: f64 = 0.999;
const PRIOR: f64 = 1.0;
const MOST: f64 = 1e6;

#[derive(Clone, Debug)]
pub(super) struct Ridge {
    coefficients: [f64; INPUTS],
    covariance: [[f64; INPUTS]; INPUTS],
}

impl Default for Ridge {
    fn default() -> Self {
        Self { coefficients: [0.0; INPUTS], covariance: prior() }
    }
}

fn prior() -> [[f64; INPUTS]; INPUTS] {
    std::array::from_fn(|row| std::array::from_fn(|column| if row == column { PRIOR } else { 0.0 }))
}

fn inputs(features: &Features) -> [f64; INPUTS] {
    let value = |at: usize| f64::from(features.values[at]);
    let (size, steps) = (value(21), value(22));
    let guess = |place: usize| value(3 * place);
    [1.0, guess(0), guess(1), guess(2), guess(3), guess(4), guess(6), size, size * size, steps, value(26)]
}

impl Ridge {
    /// The expected log cost.
    pub(super) fn predict(&self, features: &Features) -> f64 {
        let x = inputs(features);
        features.anchor + self.coefficients.iter().zip(x).map(|(c, x)| c * x).sum::<f64>().clamp(-3.0, 3.0)
    }

    pub(super) fn learn(&mut self, features: &Features, truth: f64) {
        let x = inputs(features);
        let gain = self.covariance.map(|row| row.iter().zip(x).map(|(p, x)| p * x).sum::<f64>());
        let scale = 1.0 / (FORGETTING + gain.iter().zip(x).map(|(g, x)| g * x).sum::<f64>());
        let guess: f64 = self.coefficients.iter().zip(x).map(|(c, x)| c * x).sum();
        let surprise = (truth - features.anchor - guess).clamp(-3.0, 3.0) * scale;
        for (row, coefficient) in self.coefficients.iter_mut().enumerate() {
            *coefficient += gain[row] * surprise;
            for (value, other) in self.covariance[row].iter_mut().zip(gain) {
                *value = (*value - gain[row] * other * scale) / FORGETTING;
            }
        }
        let sound = |value: &f64| value.is_finite() && value.abs() < MOST;
        if !self.covariance.as_flattened().iter().chain(&self.coefficients).all(sound) {
            *self = Self::default();
        }
    }
}
