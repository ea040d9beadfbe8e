//! Learning: Adam on the pinball loss of random windows. From scratch or from given weights, it is the same call.

use ndarray::Array2;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::features::{FEATURES, Features};
use crate::network::{Network, pinball};
use crate::optimiser::Adam;
use crate::windows::{Example, Mixture};
use foreshift_predictor::{HEADS, LEVELS};

/// Units of the layers, input first.
pub const SIZES: [usize; 4] = [FEATURES, 96, 96, HEADS * LEVELS.len()];

/// Largest weight of one sample: a window in turmoil must not drown a thousand quiet ones.
const MOST_WEIGHT: f64 = 8.0;

/// Share of the steps over which the rate climbs to its peak.
const WARM_UP: f64 = 0.02;

/// How long and how fast to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Optimiser steps.
    pub steps: u32,
    /// Samples per step.
    pub batch: usize,
    /// Highest learning rate; it climbs to it and falls along a half cosine to a hundredth.
    pub peak_rate: f64,
}

/// Samples as a network sees them, a row each.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[samples, inputs]`.
    pub features: Array2<f32>,
    /// What came, `[samples, heads]`, in the units of the quantiles.
    pub truth: Array2<f32>,
    /// Weight of each sample's loss.
    pub weight: Vec<f32>,
}

impl Default for Schedule {
    /// What the shipped model is trained with.
    fn default() -> Self {
        Self { steps: 60_000, batch: 1024, peak_rate: 2e-3 }
    }
}

impl Schedule {
    fn rate(&self, step: u32) -> f64 {
        let progress = f64::from(step) / f64::from(self.steps.max(1));
        let fall = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.peak_rate * (progress / WARM_UP).min(1.0) * (0.01 + 0.99 * fall)
    }
}

/// A network trained from random weights; equal arguments give equal bits on one kind of machine.
#[must_use]
pub fn train(mixture: &Mixture, seed: u64, schedule: &Schedule, progress: impl FnMut(u32, f64)) -> Network {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let network = Network::random(&SIZES, &mut rng);
    fit(network, mixture, &mut rng, schedule, progress)
}

/// Goes on learning load forecasts from the given weights; fresh ones to train, a shipped model's to fine-tune.
///
/// `progress` is told the step and the mean loss since the last call, some twenty times in all.
#[must_use]
pub fn fit(
    network: Network,
    mixture: &Mixture,
    rng: &mut Pcg64Mcg,
    schedule: &Schedule,
    progress: impl FnMut(u32, f64),
) -> Network {
    descend(network, schedule, progress, |size| {
        let examples: Option<Vec<Example>> = (0..size).map(|_| mixture.draw(rng)).collect();
        examples.map(|examples| Batch::of(&examples))
    })
}

/// Adam on any quantile network, until the schedule ends or there is no further batch.
pub(crate) fn descend(
    mut network: Network,
    schedule: &Schedule,
    mut progress: impl FnMut(u32, f64),
    mut next: impl FnMut(usize) -> Option<Batch>,
) -> Network {
    let mut adam = Adam::new(network.parameters().count());
    let mut gradient = network.zeroed();
    let report_every = (schedule.steps / 20).max(1);
    let mut losses = 0.0;
    for step in 1..=schedule.steps {
        let Some(batch) = next(schedule.batch) else { return network };
        losses += learn(&network, &batch, &mut gradient);
        adam.step(network.parameters_mut(), gradient.parameters(), schedule.rate(step));
        if step % report_every == 0 {
            progress(step, losses / f64::from(report_every));
            losses = 0.0;
        }
    }
    network
}

/// Mean weighted loss of a batch; its gradients go into `gradient`.
pub fn learn(network: &Network, batch: &Batch, gradient: &mut Network) -> f64 {
    let pass = network.forward(&batch.features.view());
    let mut slopes = Array2::zeros(pass.quantiles.dim());
    let share = 1.0 / batch.weight.len().max(1) as f32;
    let mut sum = 0.0_f64;
    let samples = pass.quantiles.outer_iter().zip(batch.truth.outer_iter()).zip(slopes.outer_iter_mut());
    for (((quantiles, truth), mut slope), weight) in samples.zip(&batch.weight) {
        if let (Some(quantiles), Some(truth), Some(slope)) =
            (quantiles.as_slice(), truth.as_slice(), slope.as_slice_mut())
        {
            sum += f64::from(pinball(quantiles, truth, weight * share, slope));
        }
    }
    network.backward(&batch.features.view(), &pass, slopes, gradient);
    sum
}

impl Batch {
    /// Windows as the load network sees them.
    #[must_use]
    pub fn of(examples: &[Example]) -> Self {
        let mut features = Array2::zeros((examples.len(), FEATURES));
        let mut truth = Array2::zeros((examples.len(), HEADS));
        let mut weight = Vec::with_capacity(examples.len());
        for (index, example) in examples.iter().enumerate() {
            let seen = Features::of(&example.window);
            features.row_mut(index).iter_mut().zip(seen.values).for_each(|(to, from)| *to = from);
            let came = seen.normalise(&example.truth);
            truth.row_mut(index).iter_mut().zip(came).for_each(|(to, from)| *to = from);
            // Counted in the series' unit, as the report does; else a calm window would weigh as much as a wild one.
            weight.push((f64::from(seen.scale()) / example.unit).min(MOST_WEIGHT) as f32);
        }
        Self { features, truth, weight }
    }
}
