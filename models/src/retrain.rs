//! From a recorded history to a challenger that is better on held-back time, or to the reason why there is none.

use std::fmt;

use crate::contest::{MODEL, NETWORK, Scores};
use crate::finetune::{FineTuneError, FineTuning, evaluate, fine_tune};
use crate::recorded::{Recorded, SHORTEST};
use crate::release::{Release, ReleaseError};
use crate::report::{EPISODE_SEED, on_episodes};
use crate::windows::{Part, Series};

/// Fewest windows to judge on: below, a difference of a percent or two is chance.
pub const LEAST_JUDGED: usize = 300;

/// What a challenger must be better by, as a part of the others' loss. The operator asks for as much on live loads.
pub const LEAST_GAIN: f64 = 0.02;

/// The most that a challenger's loss on fresh synthetic episodes may be, over the shipped model's: nights that start from
/// the last night's model must not forget ramps and jumps bit by bit.
pub const MOST_FORGOTTEN: f64 = 1.1;

/// Episodes that this is judged on.
const REMEMBERED: usize = 64;

/// The models that a challenger starts from and has to beat.
#[derive(Clone, Copy, Debug)]
pub struct Incumbents<'a> {
    /// The model of the release.
    pub shipped: &'a Release,
    /// What forecasts now, if that is another one.
    pub champion: Option<&'a Release>,
}

/// Where a challenger started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From what forecasts now.
    Champion,
    /// From the model of the release.
    Shipped,
}

/// One challenger against what there is, on held-back time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Where it started.
    pub from: Start,
    /// Scores of the shipped model.
    pub shipped: Scores,
    /// Those of the champion; the shipped one's if it forecasts.
    pub champion: Scores,
    /// Its own.
    pub challenger: Scores,
    /// Loss of its plain answers on fresh episodes over that of the shipped model's.
    pub forgotten: f64,
}

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
    NotBetter(Vec<Trial>),
    /// Worth a trial by the operator.
    Better {
        /// The figures.
        trial: Box<Trial>,
        /// The model.
        release: Box<Release>,
    },
}

/// Why a retraining failed.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// A model to start from is not sound.
    #[error("the model to start from: {0}")]
    Incumbent(#[from] ReleaseError),
    /// It cannot be trained on.
    #[error(transparent)]
    FineTune(#[from] FineTuneError),
}

/// Fine-tunes the champion on the first 70 % of the history, by time, and compares on the rest. Where that gives nothing
/// better, the shipped model is where a second attempt starts, so that a champion which has drifted is no dead end.
///
/// # Errors
/// [`RetrainError`]; too little history is no error, nor is a champion of another kind, which cannot be trained on.
pub fn retrain(
    incumbents: Incumbents<'_>,
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
    let Incumbents { shipped, champion } = incumbents;
    let model = shipped.load()?;
    let remembered = on_episodes(REMEMBERED, EPISODE_SEED, &model);
    let of_shipped = evaluate(&model, &series);
    let of_champion = match champion {
        Some(champion) => evaluate(&champion.load()?, &series),
        None => of_shipped.clone(),
    };
    let starts = champion.map(|champion| (Start::Champion, champion)).into_iter();
    let mut trials = Vec::new();
    for (from, base) in starts.chain([(Start::Shipped, shipped)]) {
        let release = match fine_tune(base, &series, how, seed) {
            Err(FineTuneError::Champion(_)) if from == Start::Champion => continue,
            tuned => tuned?,
        };
        let model = release.load()?;
        let trial = Trial {
            from,
            shipped: of_shipped.clone(),
            champion: of_champion.clone(),
            challenger: evaluate(&model, &series),
            forgotten: forgotten(&remembered, &on_episodes(REMEMBERED, EPISODE_SEED, &model)),
        };
        if trial.is_better() {
            return Ok(Outcome::Better { trial: Box::new(trial), release: Box::new(release) });
        }
        trials.push(trial);
    }
    Ok(Outcome::NotBetter(trials))
}

impl Trial {
    /// Whether the challenger is worth the operator's trial: clearly better than both others, and nothing forgotten.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.over(&self.champion) <= 1.0 - LEAST_GAIN
            && self.over(&self.shipped) <= 1.0 - LEAST_GAIN
            && self.forgotten <= MOST_FORGOTTEN
    }

    fn over(&self, other: &Scores) -> f64 {
        self.challenger.pinball[MODEL] / other.pinball[MODEL].max(f64::MIN_POSITIVE)
    }
}

/// Mean over the shapes of one loss over the other.
fn forgotten(before: &[(String, Scores)], after: &[(String, Scores)]) -> f64 {
    let ratio = |(before, after): (&(String, Scores), &(String, Scores))| {
        after.1.pinball[NETWORK] / before.1.pinball[NETWORK].max(f64::MIN_POSITIVE)
    };
    before.iter().zip(after).map(ratio).sum::<f64>() / before.len().max(1) as f64
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
            Self::NotBetter(trials) => {
                write!(f, "not better, the champion stays:")?;
                let mut separator = " ";
                for trial in trials {
                    write!(f, "{separator}{trial}")?;
                    separator = "; ";
                }
                Ok(())
            }
            Self::Better { trial, release } => {
                write!(f, "better, version {}: {trial}", release.manifest.version)
            }
        }
    }
}

/// Samples of a series with so many windows in its last 30 %.
fn samples_for(windows: usize) -> usize {
    (SHORTEST - 1 + windows) * 10 / 3
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "from the {}, pinball loss {:.3} of the champion's and {:.3} of the shipped model's on {} windows of held-back \
             time (at most {:.2} is wanted), {:.3} of the latter's on synthetic episodes (at most {MOST_FORGOTTEN}); of the best \
             baseline's {:.3}, the champion's {:.3}; coverage of p90 {:.3}",
            match self.from {
                Start::Champion => "champion",
                Start::Shipped => "shipped model",
            },
            self.over(&self.champion),
            self.over(&self.shipped),
            self.challenger.windows,
            1.0 - LEAST_GAIN,
            self.forgotten,
            self.challenger.ratio(),
            self.champion.ratio(),
            self.challenger.coverage[MODEL][0],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pinball: f64) -> Scores {
        let mut scores = Scores { windows: 300, ..Scores::default() };
        scores.pinball[MODEL] = pinball;
        scores
    }

    #[test]
    fn a_challenger_has_to_beat_both_others_and_may_forget_little() {
        for (champion, shipped, challenger, forgotten, better) in [
            (1.0, 1.0, 0.98, 1.0, true),
            (1.0, 1.0, 0.99, 1.0, false),
            // Nights that each gain a little on a champion which is worse than the shipped model.
            (1.2, 1.0, 1.1, 1.0, false),
            (0.8, 1.0, 0.9, 1.0, false),
            (0.8, 1.0, 0.7, 1.1, true),
            (0.8, 1.0, 0.7, 1.11, false),
            (1.0, 1.0, f64::NAN, 1.0, false),
            (1.0, 1.0, 0.5, f64::NAN, false),
        ] {
            let (champion, shipped, challenger) = (scores(champion), scores(shipped), scores(challenger));
            let trial = Trial { from: Start::Champion, shipped, champion, challenger, forgotten };
            assert_eq!(trial.is_better(), better, "{trial}");
        }
    }
}
