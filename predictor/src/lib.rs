//! Load forecasts: an ONNX network run by tract, the baselines it has to beat, and the ladder between them.
//!
//! Everything here works on one series of *offered load* on an even grid (1.0 = the capacity of the limiting
//! dimension, values above 1 are demand that does not fit). No clock, no I/O, no async: callers bring samples
//! and bytes. A [`Forecaster`] is kept per series, a [`Model`] is shared by all of them.

mod autoregression;
mod baseline;
mod blend;
mod card;
mod conformal;
pub mod evaluate;
mod forecaster;
mod holt;
pub mod impact;
pub mod inspect;
mod last_value;
mod manifest;
mod margins;
mod model;
mod shapes;
mod skill;

use std::collections::VecDeque;

use foreshift_engine::forecast::{HORIZON_STEPS, Quantiles};

pub use autoregression::Autoregression;
pub use baseline::{Baseline, PointForecast};
pub use blend::Blend;
pub use card::Card;
pub use conformal::Calibration;
pub use forecaster::{Forecaster, Trust};
pub use holt::{Holt, Smoothing};
pub use inspect::{Summary, inspect};
pub use last_value::LastValue;
pub use manifest::{Golden, Manifest, Source};
pub use model::{Model, ModelError};
pub use skill::{JUDGED_AFTER, Losses, REMEMBERED, Skill, Totals};

/// Samples a model looks back on; one step is the series' period.
pub const WINDOW: usize = 32;

/// Answers of a forecaster: one for each of [`HORIZON_STEPS`], then the highest value within the last of them.
pub const HEADS: usize = HORIZON_STEPS.len() + 1;

/// The quantile levels of each answer, in the order of [`Quantiles`].
pub const LEVELS: [f64; 3] = [0.5, 0.9, 0.99];

/// Steps until every answer of a forecast can be compared with what happened.
pub const LAST_HORIZON: usize = HORIZON_STEPS[HORIZON_STEPS.len() - 1] as usize;

/// Loads are clamped to `0.0..=MAX_LOAD` on the way in: a thousand times the capacity is as saturated as it gets,
/// and squares of it still fit `f32`.
pub const MAX_LOAD: f64 = 1000.0;

/// Quantiles of load per head, in the order described at [`HEADS`].
pub type Prediction = [Quantiles; HEADS];

/// What came to pass after a forecast, head by head, from the [`LAST_HORIZON`] loads that followed it, oldest first.
///
/// `None` if `after` holds fewer loads than that.
#[must_use]
pub fn outcome(after: &[f64]) -> Option<[f64; HEADS]> {
    let after = after.get(..LAST_HORIZON)?;
    let mut truth = [after.iter().copied().fold(0.0, f64::max); HEADS];
    for (value, &horizon) in truth.iter_mut().zip(&HORIZON_STEPS) {
        *value = after[horizon as usize - 1];
    }
    Some(truth)
}

/// Mean pinball loss over all heads and quantiles, in units of load; 0 is perfect.
///
/// The proper score of quantile forecasts (Koenker and Bassett, 1978): over- and under-forecasting are weighed by
/// the level, so that the true quantile has the lowest expected loss.
#[must_use]
pub fn pinball(prediction: &Prediction, truth: &[f64; HEADS]) -> f64 {
    let mut sum = 0.0;
    for (quantiles, &truth) in prediction.iter().zip(truth) {
        for (value, level) in [quantiles.p50, quantiles.p90, quantiles.p99].into_iter().zip(LEVELS) {
            let miss = truth - value;
            sum += (level * miss).max((level - 1.0) * miss);
        }
    }
    sum / (HEADS * LEVELS.len()) as f64
}

/// A load that arithmetic can be trusted with, or `None` for NaN and infinities.
fn admissible(load: f64) -> Option<f64> {
    load.is_finite().then(|| load.clamp(0.0, MAX_LOAD))
}

/// Appends to a queue that never holds more than `capacity` items and gives back what fell out.
fn push_bounded<T>(queue: &mut VecDeque<T>, capacity: usize, item: T) -> Option<T> {
    let dropped = if queue.len() >= capacity { queue.pop_front() } else { None };
    queue.push_back(item);
    dropped
}
