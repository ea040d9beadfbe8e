//! From the champion and a cluster's own series to a challenger, and the judgement on loads that it has not seen.
//!
//! A few hundred steps on the newest local windows bring most of the gain; as many synthetic episodes keep what
//! the champion knows of ramps and jumps that this cluster has not had lately.

use foreshift_predictor::{Model, ModelError, Source};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::contest::Scores;
use crate::onnx::{self, DecodeError};
use crate::recipe;
use crate::release::Release;
use crate::report::judge;
use crate::training::{Schedule, fit};
use crate::windows::{Part, Pool, Series};

/// How to fine-tune.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FineTuning {
    /// The newest windows that are learned from, over all series together.
    pub windows: usize,
    /// Windows from synthetic episodes for each local one.
    pub replay: f64,
    /// How long and how fast.
    pub schedule: Schedule,
}

/// Why there is no challenger.
#[derive(Debug, thiserror::Error)]
pub enum FineTuneError {
    /// The champion's file is another kind of network.
    #[error(transparent)]
    Champion(#[from] DecodeError),
    /// Nothing to learn from.
    #[error("the series hold no window to learn from; record {least} samples or more without a gap")]
    TooShort {
        /// Samples that one series needs.
        least: usize,
    },
    /// The challenger does not pass the operator's own checks.
    #[error(transparent)]
    Challenger(#[from] ModelError),
}

impl Default for FineTuning {
    /// 5,000 windows are some three hours of one node at 2 s; half a minute on one core.
    fn default() -> Self {
        let schedule = Schedule { steps: 800, batch: 512, peak_rate: 1e-3 };
        Self { windows: 5_000, replay: 1.0, schedule }
    }
}

/// A challenger, from the champion and all of the series that lies before their cuts; equal arguments give equal bytes.
///
/// Series are offered load (1.0 = capacity) on an even grid, oldest first; a gap is where one series ends and
/// another begins. What follows the cuts ([`Series::cut`]), or the last 30 % where none is given, is left for [`evaluate`].
///
/// # Errors
/// [`FineTuneError`] says what to give instead.
pub fn fine_tune(
    champion: &Release,
    series: &[Series],
    how: &FineTuning,
    seed: u64,
) -> Result<Release, FineTuneError> {
    let network = onnx::decode(&champion.onnx)?;
    let local = Pool::newest(series, how.windows);
    if local.is_empty() {
        return Err(FineTuneError::TooShort { least: Series::SHORTEST });
    }
    let source = Source {
        name: "this cluster".to_owned(),
        licence: "own".to_owned(),
        attribution: "recorded where it is used".to_owned(),
        windows: local.len(),
    };
    let mixture = recipe::fine_tuning(local, how.replay, seed);
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let network = fit(network, &mixture, &mut rng, &how.schedule, |_, _| ());
    let mut trained_on = champion.manifest.trained_on.clone();
    trained_on.retain(|known| known.name != source.name);
    trained_on.push(source);
    let challenger = Release::new(&network, seed, &how.schedule, trained_on);
    Model::load(&challenger.onnx, &challenger.manifest)?;
    Ok(challenger)
}

/// How a model does on what follows the series' cuts, against the baselines on the same windows.
#[must_use]
pub fn evaluate(model: &Model, series: &[Series]) -> Scores {
    let judged = series.iter().filter(|series| !Series::window_ends(&series.range(Part::Test)).is_empty());
    Scores::mean(&judged.map(|series| judge(series, Part::Test, model)).collect::<Vec<_>>())
}
