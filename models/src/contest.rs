//! The model against the baselines on the same windows: what each forecast, what came, and who did better.

use std::ops::Range;

use foreshift_predictor::{
    Baseline, Calibration, HEADS, Holt, LAST_HORIZON, LastValue, Losses, ModelError, Prediction, Skill,
    Smoothing, WINDOW, outcome, pinball,
};

/// Who takes part, in the order of all results.
pub const CONTESTANTS: [&str; 4] = ["model", "model, calibrated", "Holt", "last value"];

/// Position of the model with the operator's online calibration.
pub const CALIBRATED: usize = 1;

/// Forecasts made after one sample, with what came to pass.
#[derive(Clone, Debug)]
pub struct Round {
    /// Samples seen so far; the forecasts start here.
    pub end: usize,
    /// What came, head by head.
    pub truth: [f64; HEADS],
    /// What was forecast, in the order of [`CONTESTANTS`].
    pub predictions: [Prediction; CONTESTANTS.len()],
    /// Whether the operator would have let the model act, by its record up to here.
    pub trusted: bool,
}

/// Means over rounds, in the order of [`CONTESTANTS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Windows that were forecast from.
    pub windows: usize,
    /// Mean pinball loss over heads and levels, in the series' unit (its mean absolute step).
    pub pinball: [f64; CONTESTANTS.len()],
    /// Mean absolute error of p50 at the first and at the last horizon, in the same unit (MASE).
    pub mase: [[f64; 2]; CONTESTANTS.len()],
    /// Share of truths at or below p90 and p99, over all heads.
    pub coverage: [[f64; 2]; CONTESTANTS.len()],
    /// Share of the windows in which the model would have been trusted to act.
    pub trusted: f64,
}

/// Lets everybody forecast from each of the windows that end in `ends`; all see the whole series up to there.
///
/// # Errors
/// What the model fails with.
pub fn replay<M>(loads: &[f64], ends: &Range<usize>, model: M) -> Result<Vec<Round>, ModelError>
where
    M: Fn(&[f64; WINDOW]) -> Result<Prediction, ModelError>,
{
    let mut holt = Baseline::new(Holt::new(Smoothing::default()));
    let mut last_value = Baseline::new(LastValue::default());
    let (mut calibration, mut skill) = (Calibration::default(), Skill::default());
    let mut rounds: Vec<Round> = Vec::with_capacity(ends.len());
    for (index, &load) in loads.iter().enumerate() {
        holt.observe(load);
        last_value.observe(load);
        let end = index + 1;
        let Some(window) = ends.contains(&end).then(|| loads[..end].last_chunk()).flatten() else { continue };
        let Some(truth) = outcome(&loads[end..]) else { break };
        if let Some(due) = rounds.len().checked_sub(LAST_HORIZON).and_then(|index| rounds.get(index)) {
            let [_, calibrated, holt, last_value] = due.predictions.map(|p| pinball(&p, &due.truth));
            skill.record(Losses { model: Some((calibrated, 0.0)), holt, last_value });
            calibration.learn(&due.predictions[CALIBRATED], &due.truth);
        }
        let raw = model(window)?;
        let predictions = [raw, calibration.apply(&raw), holt.predict(), last_value.predict()];
        rounds.push(Round { end, truth, predictions, trusted: !skill.demoted() });
    }
    Ok(rounds)
}

impl Scores {
    /// Means over the rounds of one series, errors counted in `unit`.
    #[must_use]
    pub fn of(rounds: &[Round], unit: f64) -> Self {
        let mut sums = Self { windows: rounds.len(), ..Self::default() };
        let share = 1.0 / rounds.len().max(1) as f64;
        for round in rounds {
            sums.trusted += if round.trusted { share } else { 0.0 };
            for (who, prediction) in round.predictions.iter().enumerate() {
                sums.pinball[who] += share * pinball(prediction, &round.truth) / unit;
                for (error, head) in sums.mase[who].iter_mut().zip([0, HEADS - 2]) {
                    *error += share * (prediction[head].p50 - round.truth[head]).abs() / unit;
                }
                for (quantiles, &truth) in prediction.iter().zip(&round.truth) {
                    let covered = [truth <= quantiles.p90, truth <= quantiles.p99];
                    for (sum, covered) in sums.coverage[who].iter_mut().zip(covered) {
                        *sum += if covered { share / HEADS as f64 } else { 0.0 };
                    }
                }
            }
        }
        sums
    }

    /// Means over several series, each weighed by its windows.
    #[must_use]
    pub fn mean<'a>(scores: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for score in scores {
            total.windows += score.windows;
            let share = score.windows as f64 / total.windows.max(1) as f64;
            let blend = |mean: &mut f64, value: f64| *mean += share * (value - *mean);
            blend(&mut total.trusted, score.trusted);
            for who in 0..CONTESTANTS.len() {
                blend(&mut total.pinball[who], score.pinball[who]);
                for two in 0..2 {
                    blend(&mut total.mase[who][two], score.mase[who][two]);
                    blend(&mut total.coverage[who][two], score.coverage[who][two]);
                }
            }
        }
        total
    }

    /// The loss of the model, calibrated as in the operator, over that of the better baseline: below 1 it is better.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let [_, model, holt, last_value] = self.pinball;
        model / holt.min(last_value).max(f64::MIN_POSITIVE)
    }
}
