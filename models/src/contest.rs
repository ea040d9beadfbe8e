//! The model against the baselines on the same windows, summed up over series and data sets.

use std::ops::Range;

use foreshift_engine::forecast::Rung;
use foreshift_predictor::evaluate::replay;
pub use foreshift_predictor::evaluate::replay::{BASELINES, CONTESTANTS, Round};
use foreshift_predictor::{HEADS, Model, pinball};

/// Positions in the order of all results: the file's plain answer, the model's rung, whoever acted, the baselines.
pub const NETWORK: usize = 0;
/// See [`NETWORK`].
pub const MODEL: usize = 1;
/// See [`NETWORK`].
pub const ACTING: usize = 2;
/// See [`NETWORK`].
pub const LAST_VALUE: usize = 3;
/// See [`NETWORK`].
pub const HOLT: usize = 4;

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
    /// Share of the windows in which the model's rung acted.
    pub trusted: f64,
}

/// Lets everybody forecast from each of the windows that end in `ends`; all see the whole series up to there.
#[must_use]
pub fn rounds(loads: &[f64], ends: &Range<usize>, model: &Model) -> Vec<Round> {
    let samples: Vec<(u64, f64)> = (0..).zip(loads.iter().copied()).collect();
    replay::replay(&samples, &(ends.start.saturating_sub(1)..ends.end.saturating_sub(1)), Some(model))
}

impl Scores {
    /// Means over the rounds of one series, errors counted in `unit`.
    #[must_use]
    pub fn of(rounds: &[Round], unit: f64) -> Self {
        let mut sums = Self { windows: rounds.len(), ..Self::default() };
        let share = 1.0 / rounds.len().max(1) as f64;
        for round in rounds {
            sums.trusted += if round.rung == Rung::Model { share } else { 0.0 };
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

    /// The loss of one contestant over that of the best of last value, Holt and autoregression: below 1 it is better.
    #[must_use]
    pub fn ratio_of(&self, who: usize) -> f64 {
        let best = self.pinball[BASELINES].iter().copied().fold(f64::INFINITY, f64::min);
        self.pinball[who] / best.max(f64::MIN_POSITIVE)
    }

    /// [`Scores::ratio_of`] the model's rung.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.ratio_of(MODEL)
    }
}
