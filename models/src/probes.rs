//! Three questions that averages hide: does a forecast follow a noisy ramp, does it stop when the ramp does, and is
//! it calm while nothing but noise happens?

use std::iter::repeat_n;

use foreshift_predictor::{LAST_HORIZON, Model};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::contest::{self, CONTESTANTS, Round};
use crate::noise::{Added, Marginal, Noise};

/// Series per probe.
const REPEATS: u64 = 24;

/// Levels of the ramp's foot and of its plateau.
const FOOT: f64 = 0.4;
const PLATEAU: f64 = 1.6;

/// Steps before the ramp: the window, and enough misses for the baselines' margins.
const BEFORE: usize = 72;

/// Steps after the ramp's end.
const AFTER: usize = 40;

/// Steps into a ramp after which a forecast should have noticed.
const NOTICED: usize = 12;

/// Heads of the horizons that are probed.
const SECOND: usize = 1;
const FOURTH: usize = 2;
const EIGHTH: usize = 3;

/// Normal quantile of 0.9.
const NORMAL_P90: f64 = 1.2816;

/// Answers for one slope and one noise, in the order of [`CONTESTANTS`], all in units of load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RampProbe {
    /// Growth per step.
    pub slope: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// Mean of p50 minus the true mean at 4 and 8 steps, on the ramp: negative lags behind.
    pub bias: [[f64; 2]; CONTESTANTS.len()],
    /// Share of the loads after 8 steps at or below p90, on the ramp.
    pub coverage: [f64; CONTESTANTS.len()],
    /// Mean of p50 at 8 steps above the plateau, 4, 8 and 16 steps after the ramp's end.
    pub overshoot: [[f64; 3]; CONTESTANTS.len()],
}

/// Answers for a constant load with normal noise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalmProbe {
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// Standard deviation of p90 at 2 steps, in units of sigma.
    pub unrest: [f64; CONTESTANTS.len()],
    /// Mean of p90 at 2 steps above the noise's 90th percentile, in units of sigma.
    pub excess: [f64; CONTESTANTS.len()],
}

/// Mean of several values that come one by one.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    squares: f64,
    count: f64,
}

/// Probes ramps from 40 % to 160 % of the capacity.
#[must_use]
pub fn ramp(slope: f64, sigma: f64, model: &Model) -> RampProbe {
    let climb = ((PLATEAU - FOOT) / slope).round() as usize;
    let rising = (1..=climb).map(|step| FOOT + (PLATEAU - FOOT) * step as f64 / climb as f64);
    let mean: Vec<f64> =
        repeat_n(FOOT, BEFORE).chain(rising).chain(repeat_n(PLATEAU, AFTER + LAST_HORIZON)).collect();
    let top = BEFORE + climb;
    let on_ramp = BEFORE + NOTICED.min(climb / 2)..=top - LAST_HORIZON.min(climb / 4);
    let mut bias = [[Mean::default(); 2]; CONTESTANTS.len()];
    let mut coverage = [Mean::default(); CONTESTANTS.len()];
    let mut overshoot = [[Mean::default(); 3]; CONTESTANTS.len()];
    for round in rounds(&mean, sigma, model) {
        for (who, prediction) in round.predictions.iter().enumerate() {
            if on_ramp.contains(&(round.at + 1)) {
                let covered = round.truth[EIGHTH] <= prediction[EIGHTH].p90;
                coverage[who].add(if covered { 1.0 } else { 0.0 });
                for (mean_of, (head, steps)) in bias[who].iter_mut().zip([(FOURTH, 4), (EIGHTH, 8)]) {
                    mean_of.add(prediction[head].p50 - mean[round.at + steps]);
                }
            }
            for (mean_of, age) in overshoot[who].iter_mut().zip([4, 8, 16]) {
                if (round.at + 1) == top + age {
                    mean_of.add(prediction[EIGHTH].p50 - PLATEAU);
                }
            }
        }
    }
    RampProbe {
        slope,
        sigma,
        bias: bias.map(|heads| heads.map(Mean::mean)),
        coverage: coverage.map(Mean::mean),
        overshoot: overshoot.map(|ages| ages.map(Mean::mean)),
    }
}

/// Probes a constant load of 60 % of the capacity.
#[must_use]
pub fn calm(sigma: f64, model: &Model) -> CalmProbe {
    let level = 0.6;
    let mut p90 = [Mean::default(); CONTESTANTS.len()];
    for round in rounds(&[level; BEFORE + 2 * AFTER], sigma, model) {
        for (mean_of, prediction) in p90.iter_mut().zip(&round.predictions) {
            mean_of.add((prediction[SECOND].p90 - level) / sigma);
        }
    }
    CalmProbe { sigma, unrest: p90.map(Mean::deviation), excess: p90.map(|m| m.mean() - NORMAL_P90) }
}

/// Forecasts from [`BEFORE`] on, over several draws of the noise.
fn rounds(mean: &[f64], sigma: f64, model: &Model) -> Vec<Round> {
    let noise = Noise::Added(Added { marginal: Marginal::Normal, sigma, correlation: 0.0, growth: 0.0 });
    let mut all = Vec::new();
    for seed in 0..REPEATS {
        let loads = noise.around(mean, &mut Pcg64Mcg::seed_from_u64(seed));
        all.extend(contest::rounds(&loads, &(BEFORE..loads.len() + 1 - LAST_HORIZON), model));
    }
    all
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.squares += value * value;
        self.count += 1.0;
    }

    fn mean(self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    fn deviation(self) -> f64 {
        (self.squares / self.count.max(1.0) - self.mean() * self.mean()).max(0.0).sqrt()
    }
}
