//! Learning: Adam on the pinball loss of random windows. From scratch or from given weights, it is the same call.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::features::Features;
use crate::network::{Network, OUTPUTS, PARAMETERS, pinball};
use crate::optimiser::Adam;
use crate::windows::{Example, Mixture};

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

impl Default for Schedule {
    /// What the shipped model is trained with: about two minutes on one core.
    fn default() -> Self {
        Self { steps: 60_000, batch: 512, peak_rate: 2e-3 }
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
    let network = Network::random(&mut rng);
    fit(network, mixture, &mut rng, schedule, progress)
}

/// Goes on learning from the given weights; fresh ones to train, a shipped model's to fine-tune.
///
/// `progress` is told the step and the mean loss since the last call, some twenty times in all.
#[must_use]
pub fn fit(
    mut network: Network,
    mixture: &Mixture,
    rng: &mut Pcg64Mcg,
    schedule: &Schedule,
    mut progress: impl FnMut(u32, f64),
) -> Network {
    let mut adam = Adam::new(PARAMETERS);
    let mut gradient = vec![0.0_f32; PARAMETERS];
    let report_every = (schedule.steps / 20).max(1);
    let mut losses = 0.0;
    for step in 1..=schedule.steps {
        gradient.fill(0.0);
        for _ in 0..schedule.batch {
            let Some(example) = mixture.draw(rng) else { return network };
            losses += learn(&network, &example, &mut gradient);
        }
        adam.step(&mut network.parameters, &gradient, schedule.batch, schedule.rate(step));
        if step % report_every == 0 {
            progress(step, losses / f64::from(report_every) / schedule.batch as f64);
            losses = 0.0;
        }
    }
    network
}

/// Loss of one example in units of its series' mean step; its gradients are added to `gradient`.
pub fn learn(network: &Network, example: &Example, gradient: &mut [f32]) -> f64 {
    let features = Features::of(&example.window);
    let pass = network.forward(&features.values);
    let (loss, slope) = pinball(&pass.quantiles, &features.normalise(&example.truth));
    // Counted in the series' unit, as the report does; else a calm window would weigh as much as a wild one.
    let weight = (f64::from(features.scale()) / example.unit).min(MOST_WEIGHT) as f32;
    let slope: [f32; OUTPUTS] = slope.map(|value| value * weight);
    network.backward(&features.values, &pass, &slope, gradient);
    f64::from(loss * weight)
}
