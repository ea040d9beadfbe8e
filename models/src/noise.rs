//! Measurement noise: how far single samples lie from the mean, and for how long.

use std::ops::Range;

use rand::RngExt;
use rand_distr::{Distribution, Exp1, Geometric, LogNormal, Poisson, StandardNormal, StudentT};
use rand_pcg::Pcg64Mcg;

/// Deviation of the noise, as share of the capacity.
const SIGMA: Range<f64> = 0.008..0.15;

/// Correlations of one sample's noise with the next; below zero when work slips from one sample into the other.
const CORRELATIONS: [f64; 6] = [0.0, 0.0, 0.0, 0.3, 0.6, -0.3];

/// How samples scatter around their mean.
#[derive(Clone, Copy, Debug)]
pub enum Noise {
    /// Something is added to the mean.
    Added(Added),
    /// Entries arrive in clusters and are counted.
    Counted {
        /// Load that one entry makes.
        entry: f64,
        /// Mean entries of a cluster, at least 1.
        cluster: f64,
    },
}

/// Noise by marginal distribution, size and memory.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// Marginal distribution.
    pub marginal: Marginal,
    /// Standard deviation at a load of 1.
    pub sigma: f64,
    /// Correlation of neighbours, above -1 and below 1.
    pub correlation: f64,
    /// The deviation grows with this power of the load: 0 for a meter's own error, 0.5 for counts, 1 for rates.
    pub growth: f64,
}

/// Distributions of mean zero and variance one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marginal {
    /// Sums of many small things.
    Normal,
    /// Peaked with long tails.
    Laplace,
    /// Without tails.
    Uniform,
    /// Long tails: Student's t with four degrees of freedom.
    Student,
    /// More up than down: log-normal.
    Skewed,
}

impl Noise {
    /// Counted for one episode in six, else added.
    #[must_use]
    pub fn any(rng: &mut Pcg64Mcg) -> Self {
        if rng.random_bool(1.0 / 6.0) {
            return Self::Counted {
                entry: log_uniform(0.005..0.15, rng),
                cluster: log_uniform(1.0..6.0, rng),
            };
        }
        Self::Added(Added::any(rng))
    }

    /// The mean with noise, never below zero.
    #[must_use]
    pub fn around(&self, mean: &[f64], rng: &mut Pcg64Mcg) -> Vec<f64> {
        match *self {
            Self::Added(added) => added.around(mean, rng),
            Self::Counted { entry, cluster } => {
                mean.iter().map(|&load| entry * count(load / entry, cluster, rng)).collect()
            }
        }
    }
}

impl Added {
    /// None at all for one episode in ten.
    fn any(rng: &mut Pcg64Mcg) -> Self {
        use Marginal::{Laplace, Normal, Skewed, Student, Uniform};
        let marginals = [Normal, Normal, Normal, Laplace, Uniform, Student, Skewed];
        let sigma = log_uniform(SIGMA, rng);
        Self {
            marginal: marginals[rng.random_range(0..marginals.len())],
            sigma: if rng.random_bool(0.1) { 0.0 } else { sigma },
            correlation: CORRELATIONS[rng.random_range(0..CORRELATIONS.len())],
            growth: [0.0, 0.5, 1.0][rng.random_range(0..3)],
        }
    }

    fn around(&self, mean: &[f64], rng: &mut Pcg64Mcg) -> Vec<f64> {
        let innovation = (1.0 - self.correlation * self.correlation).sqrt();
        let mut state = self.marginal.sample(rng);
        let noisy = mean.iter().map(|&load| {
            state = self.correlation * state + innovation * self.marginal.sample(rng);
            (load + self.sigma * load.max(0.0).powf(self.growth) * state).max(0.0)
        });
        noisy.collect()
    }
}

/// Entries that arrive when so many are expected: a Poisson number of clusters of geometric size.
fn count(expected: f64, cluster: f64, rng: &mut Pcg64Mcg) -> f64 {
    let Ok(clusters) = Poisson::new(expected / cluster) else { return 0.0 };
    let Ok(further) = Geometric::new(1.0 / cluster) else { return 0.0 };
    let arrived: f64 = clusters.sample(rng);
    (0..arrived as u64).map(|_| 1.0 + further.sample(rng) as f64).sum()
}

impl Marginal {
    /// One value.
    pub fn sample(self, rng: &mut Pcg64Mcg) -> f64 {
        match self {
            Self::Normal => StandardNormal.sample(rng),
            Self::Laplace => {
                let size: f64 = Exp1.sample(rng);
                let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                sign * size * std::f64::consts::FRAC_1_SQRT_2
            }
            Self::Uniform => rng.random_range(-1.0..1.0) * 3.0_f64.sqrt(),
            Self::Student => {
                StudentT::new(4.0).map_or(0.0, |t| t.sample(rng)) * std::f64::consts::FRAC_1_SQRT_2
            }
            Self::Skewed => {
                let shape = 0.6_f64;
                let variance = (shape * shape).exp();
                let value = LogNormal::new(0.0, shape).map_or(0.0, |d| d.sample(rng));
                (value - variance.sqrt()) / (variance * (variance - 1.0)).sqrt()
            }
        }
    }
}

/// A value whose logarithm is evenly spread over the range's.
pub fn log_uniform(range: Range<f64>, rng: &mut Pcg64Mcg) -> f64 {
    rng.random_range(range.start.ln()..range.end.ln()).exp()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_marginal_has_mean_zero_and_variance_one() {
        use Marginal::{Laplace, Normal, Skewed, Student, Uniform};
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        for marginal in [Normal, Laplace, Uniform, Student, Skewed] {
            let values: Vec<f64> = (0..100_000).map(|_| marginal.sample(&mut rng)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
            assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.1, "{marginal:?}: {mean} {variance}");
        }
    }

    #[test]
    fn counted_entries_add_up_to_the_mean() {
        let mut rng = Pcg64Mcg::seed_from_u64(4);
        let loads = Noise::Counted { entry: 0.02, cluster: 3.0 }.around(&vec![0.5; 20_000], &mut rng);
        let mean = loads.iter().sum::<f64>() / loads.len() as f64;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
