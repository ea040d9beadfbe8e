//! Linear autoregression, fitted online by recursive least squares with forgetting (Ljung and Söderström, 1983).
//!
//! It expects the next step from the last few, and carries itself on. On series with short cycles or strong reversion
//! it is the baseline to beat.

use std::collections::VecDeque;

use crate::{LAST_HORIZON, PointForecast, push_bounded};

/// Loads that it looks back on.
const ORDER: usize = 8;

/// Distances of the earlier loads from the last, and a constant.
const INPUTS: usize = ORDER;

/// How much an equation counts one step later: half after some 700.
const FORGETTING: f64 = 0.999;

/// Value of the constant input; small, as loads drift slowly.
const CONSTANT: f64 = 0.1;

/// Variance of the coefficients before anything was seen.
const PRIOR: f64 = 10.0;

/// Variance beyond which the fit starts over: a series without movement says nothing, and forgetting goes on.
const MOST: f64 = 1e6;

/// Forecasts may go this much beyond the highest load of late.
const HEADROOM: f64 = 2.0;

/// How fast that highest load is forgotten.
const FADING: f64 = 0.995;

/// Coefficients and the loads they need.
#[derive(Clone, Debug)]
pub struct Autoregression {
    /// Newest last.
    loads: VecDeque<f64>,
    coefficients: [f64; INPUTS],
    covariance: [[f64; INPUTS]; INPUTS],
    highest: f64,
    path: [f64; LAST_HORIZON],
}

impl Default for Autoregression {
    fn default() -> Self {
        Self {
            loads: VecDeque::with_capacity(ORDER),
            coefficients: [0.0; INPUTS],
            covariance: prior(),
            highest: 0.0,
            path: [0.0; LAST_HORIZON],
        }
    }
}

fn prior() -> [[f64; INPUTS]; INPUTS] {
    std::array::from_fn(|row| std::array::from_fn(|column| if row == column { PRIOR } else { 0.0 }))
}

/// Distances from the newest load, newest first, then the constant.
fn inputs(newest_first: &[f64; ORDER]) -> [f64; INPUTS] {
    std::array::from_fn(|at| match newest_first.get(at + 1) {
        Some(load) => load - newest_first[0],
        None => CONSTANT,
    })
}

fn dot(a: &[f64; INPUTS], b: &[f64; INPUTS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Autoregression {
    fn newest_first(&self) -> Option<[f64; ORDER]> {
        (self.loads.len() == ORDER).then(|| std::array::from_fn(|age| self.loads[ORDER - 1 - age]))
    }

    fn fit(&mut self, x: &[f64; INPUTS], step: f64) {
        let gain = self.covariance.map(|row| dot(&row, x));
        let scale = 1.0 / (FORGETTING + dot(&gain, x));
        let surprise = (step - dot(&self.coefficients, x)) * scale;
        for (row, (coefficient, &gain_here)) in self.coefficients.iter_mut().zip(&gain).enumerate() {
            *coefficient += gain_here * surprise;
            for (column, &other) in gain.iter().enumerate() {
                let value = &mut self.covariance[row][column];
                *value = (*value - gain_here * other * scale) / FORGETTING;
            }
        }
        let sound = |value: f64| value.is_finite() && value.abs() < MOST;
        if !self.covariance.as_flattened().iter().all(|&value| sound(value)) {
            self.covariance = prior();
        }
        if !self.coefficients.iter().all(|&value| sound(value)) {
            self.coefficients = [0.0; INPUTS];
        }
    }

    fn carry_on(&mut self, mut newest_first: [f64; ORDER]) {
        for next in &mut self.path {
            let step = dot(&self.coefficients, &inputs(&newest_first));
            *next = (newest_first[0] + step).clamp(0.0, HEADROOM * self.highest);
            newest_first.rotate_right(1);
            newest_first[0] = *next;
        }
    }
}

impl PointForecast for Autoregression {
    fn observe(&mut self, load: f64) {
        if let Some(newest_first) = self.newest_first() {
            self.fit(&inputs(&newest_first), load - newest_first[0]);
        }
        self.highest = load.max(FADING * self.highest);
        push_bounded(&mut self.loads, ORDER, load);
        match self.newest_first() {
            Some(newest_first) => self.carry_on(newest_first),
            None => self.path = [load; LAST_HORIZON],
        }
    }

    fn ahead(&self, steps: u32) -> f64 {
        let index = (steps as usize).clamp(1, LAST_HORIZON) - 1;
        self.path[index]
    }

    fn restart(&mut self) {
        self.loads.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(loads: impl IntoIterator<Item = f64>) -> Autoregression {
        let mut model = Autoregression::default();
        loads.into_iter().for_each(|load| model.observe(load));
        model
    }

    #[test]
    fn a_short_cycle_is_learned() {
        let wave = |step: u32| 0.6 + 0.3 * (f64::from(step) * 0.9).sin();
        let model = after((0..400).map(wave));
        for ahead in [1, 2, 4, 8] {
            assert!((model.ahead(ahead) - wave(399 + ahead)).abs() < 1e-3, "{ahead} steps ahead");
        }
    }

    #[test]
    fn a_flat_series_stays_flat_and_forgets_nothing_it_needs() {
        let model = after(
            std::iter::repeat_n(0.5, 50_000).chain((0..30).map(|step| 0.5 + 0.01 * f64::from(step % 3))),
        );
        assert!((0.4..0.7).contains(&model.ahead(8)), "{}", model.ahead(8));
    }

    #[test]
    fn a_forecast_never_runs_away() {
        let model = after((0..60).map(|step| 1.12_f64.powi(step)));
        let last = 1.12_f64.powi(59);
        assert!((0.0..2.001 * last).contains(&model.ahead(8)), "{} after {last}", model.ahead(8));
    }
}
