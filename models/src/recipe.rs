//! What the shipped model learns from: which windows, in which proportion.

use crate::episodes::{Episode, Shape, episodes};
use crate::traces::DataSet;
use crate::windows::{Mixture, Part, Pool};

/// Episodes that the shipped model learns from, all shapes together.
pub const EPISODES: usize = 16_000;

/// Episodes that a fine-tuning replays.
const REPLAYED: usize = 1_600;

/// A data set gets a weight of 1 for so many windows, and at most 3: small ones would be learned by heart.
const WINDOWS_PER_WEIGHT: f64 = 30_000.0;

/// The fit parts of all traces, and fresh episodes of the given seed.
#[must_use]
pub fn mixture(sets: &[DataSet], episode_count: usize, seed: u64) -> Mixture {
    let mut pools: Vec<Pool> = sets
        .iter()
        .map(|set| {
            let pool = Pool::of_traces(&set.series, Part::Fit);
            let weight = (pool.len() as f64 / WINDOWS_PER_WEIGHT).min(3.0);
            pool.weighing(weight)
        })
        .collect();
    pools.extend(synthetic(episode_count, seed));
    Mixture::new(pools)
}

/// Local windows, and episodes in the given proportion to them.
#[must_use]
pub fn fine_tuning(local: Pool, replay: f64, seed: u64) -> Mixture {
    let mut pools = synthetic(REPLAYED, seed);
    let share: f64 = pools.iter().map(Pool::weight).sum::<f64>() / replay.max(1e-6);
    pools.push(local.weighing(share));
    Mixture::new(pools)
}

fn synthetic(episode_count: usize, seed: u64) -> Vec<Pool> {
    let mut by_shape = Shape::ALL.map(|_| Vec::new());
    for episode in episodes(episode_count, seed) {
        by_shape[episode.shape as usize].push(Episode::into_series(episode));
    }
    let shapes = Shape::ALL.into_iter().zip(by_shape);
    shapes.map(|(shape, series)| Pool::of_episodes(series).weighing(weight(shape))).collect()
}

/// Share of a shape's windows against the others and against a large data set's.
///
/// Ramps are what a forecast gains most on; seen as rarely as the rest, the network takes them for noise.
fn weight(shape: Shape) -> f64 {
    match shape {
        Shape::Ramp => 3.5,
        Shape::Constant | Shape::Shed | Shape::Saw => 0.7,
        Shape::Flash | Shape::Burst | Shape::Diurnal | Shape::Drift => 0.35,
    }
}
