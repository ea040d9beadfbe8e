//! From a recorded history to a challenger that is better on held-back time, or to the reason why there is none.

use std::fmt;

use crate::contest::{MODEL, Scores};
use crate::finetune::{FineTuneError, FineTuning, evaluate, fine_tune};
use crate::recorded::{Recorded, SHORTEST};
use crate::release::{Release, ReleaseError};
use crate::windows::{Part, Series};

/// Fewest windows to judge on: below, a difference of a percent or two is chance.
pub const LEAST_JUDGED: usize = 300;

/// What a challenger must be better by, as a part of the champion's loss. The operator asks for as much on live loads.
pub const LEAST_GAIN: f64 = 0.02;

/// What came of a retraining.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Not enough was recorded.
    TooLittle {
        /// Samples recorded, in pieces of any length.
        samples: usize,
        /// Windows to judge on, in pieces that are long enough.
        judged: usize,
    },
    /// The champion stays.
    NotBetter {
        /// Its scores.
        champion: Scores,
        /// Those of what was trained.
        challenger: Scores,
    },
    /// Worth a trial.
    Better {
        /// Scores of the champion.
        champion: Scores,
        /// Its own.
        challenger: Scores,
        /// The model.
        release: Box<Release>,
    },
}

/// Why a retraining failed.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// The champion is not sound.
    #[error("the champion: {0}")]
    Champion(#[from] ReleaseError),
    /// It cannot be trained on.
    #[error(transparent)]
    FineTune(#[from] FineTuneError),
}

/// Fine-tunes the champion on the first 70 % of each piece of the history and compares both on the rest.
///
/// # Errors
/// [`RetrainError`]; too little history is no error.
pub fn retrain(
    champion: &Release,
    history: &Recorded,
    how: &FineTuning,
    seed: u64,
) -> Result<Outcome, RetrainError> {
    let series = history.series();
    let windows = |series: &Series| Series::window_ends(&series.range(Part::Test)).len();
    let judged = series.iter().map(windows).sum();
    if judged < LEAST_JUDGED {
        return Ok(Outcome::TooLittle { samples: history.len(), judged });
    }
    let before = evaluate(&champion.load()?, &series);
    let release = fine_tune(champion, &series, how, seed)?;
    let after = evaluate(&release.load()?, &series);
    Ok(if after.pinball[MODEL] <= (1.0 - LEAST_GAIN) * before.pinball[MODEL] {
        Outcome::Better { champion: before, challenger: after, release: Box::new(release) }
    } else {
        Outcome::NotBetter { champion: before, challenger: after }
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittle { samples, judged } => write!(
                f,
                "too little history: {samples} samples give {judged} windows to judge on, and {LEAST_JUDGED} are needed. \
                 About {} samples of one series without a gap are enough (forty minutes of a route, five hours of a node), or pieces of \
                 {SHORTEST} samples and more that come to it",
                samples_for(LEAST_JUDGED)
            ),
            Self::NotBetter { champion, challenger } => {
                write!(f, "not better, the champion stays: {}", Comparison(champion, challenger))
            }
            Self::Better { champion, challenger, release } => {
                write!(
                    f,
                    "better, version {}: {}",
                    release.manifest.version,
                    Comparison(champion, challenger)
                )
            }
        }
    }
}

/// Samples of a series with so many windows in its last 30 %.
fn samples_for(windows: usize) -> usize {
    (SHORTEST * 3 / 10 + windows) * 10 / 3
}

struct Comparison<'a>(&'a Scores, &'a Scores);

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(champion, challenger) = self;
        let of_champion = challenger.pinball[MODEL] / champion.pinball[MODEL].max(f64::MIN_POSITIVE);
        write!(
            f,
            "pinball loss {of_champion:.3} of the champion's on {} windows of held-back time (at most {:.2} is wanted); of the \
             best baseline's {:.3}, the champion's {:.3}; coverage of p90 {:.3}",
            challenger.windows,
            1.0 - LEAST_GAIN,
            challenger.ratio(),
            champion.ratio(),
            challenger.coverage[MODEL][0],
        )
    }
}
