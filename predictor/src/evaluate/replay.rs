//! A series once more, sample by sample: what everybody forecast, and what came.

use std::ops::Range;
use std::time::Duration;

use foreshift_engine::forecast::{HORIZON_STEPS, Rung};

use super::quantile_regression::QuantileRegression;
use super::series::Samples;
use crate::{Forecaster, HEADS, LAST_HORIZON, Model, Prediction, outcome};

/// Who takes part, in the order of all results. The first is the network's plain answer, the second the model's rung,
/// the third whichever rung the skill gate picked.
pub const CONTESTANTS: [&str; 7] =
    ["network", "model", "acting", "persistence", "holt", "autoregression", "quantile_regression"];

/// Positions of the baselines that a model has to beat.
pub const BASELINES: Range<usize> = 3..6;

/// Samples before the scored ones from which the network is asked, so that its calibration has settled.
const SETTLING: usize = 512;

/// Forecasts made after one sample, with what came to pass.
#[derive(Clone, Debug)]
pub struct Round {
    /// Position of the last sample that was known.
    pub at: usize,
    /// What came, head by head.
    pub truth: [f64; HEADS],
    /// What was forecast, in the order of [`CONTESTANTS`].
    pub predictions: [Prediction; CONTESTANTS.len()],
    /// Who acted.
    pub rung: Rung,
}

/// Lets everybody forecast from each sample in `scored`; all have seen the whole series up to there.
///
/// Forecasts whose outcome falls into a gap or beyond the end are left out. Without a model, nobody is asked and the
/// first three are what the ladder falls back to.
#[must_use]
pub fn replay(samples: &Samples, scored: &Range<usize>, model: Option<&Model>) -> Vec<Round> {
    // The ladder works on steps; their length is nothing to it.
    let mut forecaster = Forecaster::new(Duration::from_secs(1));
    let mut regression = QuantileRegression::default();
    let mut rounds = Vec::with_capacity(scored.len());
    for (at, &(step, load)) in samples.iter().enumerate() {
        forecaster.observe(step, load);
        regression.observe(step, load);
        let asked = at + SETTLING >= scored.start;
        if !asked || at >= scored.end {
            continue;
        }
        let (forecast, trust) = forecaster.forecast(model, Rung::Model);
        let after = samples.get(at + 1..=at + LAST_HORIZON);
        let unbroken =
            after.is_some_and(|after| after.last().map(|last| last.0) == Some(step + LAST_HORIZON as u64));
        let (Some(issued), true, true) = (forecaster.issued(), scored.contains(&at), unbroken) else {
            continue;
        };
        let loads: Vec<f64> = after.unwrap_or_default().iter().map(|sample| sample.1).collect();
        let Some(truth) = outcome(&loads) else { continue };
        let mut acting = [forecast.peak; HEADS];
        acting[..HORIZON_STEPS.len()].copy_from_slice(&forecast.steps);
        let (network, answer) = match &issued.model {
            Some(Ok(answer)) => (answer.network, answer.calibrated),
            _ if model.is_none() => (acting, acting),
            _ => continue,
        };
        let predictions = [
            network,
            answer,
            acting,
            issued.last_value,
            issued.holt,
            issued.autoregression,
            regression.predict(),
        ];
        rounds.push(Round { at, truth, predictions, rung: trust.rung });
    }
    rounds
}
