//! What one entry will cost: a network's prior, corrected by what entries like it really took.
//!
//! The network sees no names: running statistics of the entry's class, source and destination are kept here
//! ([`History`]), and it gets their values. So it has no vocabulary, and a class it has never seen borrows from its
//! parents. Everything is in logarithms and relative to the history's own guess, so no unit is built in. Labels are
//! given when an entry is done, never before.

mod history;
mod model;
mod regression;

use std::collections::HashMap;
use std::sync::Arc;

use foreshift_engine::forecast::Quantiles;

pub use history::{Entry, FEATURES, Features, History};
pub use model::{ImpactManifest, ImpactModel};
use regression::Ridge;

use crate::conformal::QUICK;
use crate::{Blend, Calibration};

/// Who has a say: the network with the correction of its class, the history's guess, ridge regression.
const FIRST_WEIGHTS: [f64; 3] = [0.6, 0.2, 0.2];

/// Weight of a new residual in a class's correction, once the class is known.
const CORRECTION: f64 = 0.05;

/// Residuals without effect that a correction starts with.
const DOUBT: f64 = 8.0;

/// A correction changes a prediction by this much at most, as logarithm: a factor of 4.5.
const LARGEST_CORRECTION: f64 = 1.5;

/// Weight of a new entry in the ratio of cost to median.
const SMEARING: f64 = 0.01;

/// Completions after which a remembered cost is worked out again.
const STALE_AFTER: u64 = 64;

/// Costs that are remembered at most.
const MOST_REMEMBERED: usize = 4096;

/// What an entry is expected to cost, in the unit of the costs that were reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Median, and what one in ten and one in a hundred passes.
    pub quantiles: Quantiles,
    /// Expected cost: what sums are made of.
    pub mean: f64,
}

/// A prediction, to be given back when the entry is done.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// What acts.
    pub cost: Cost,
    features: Features,
    prior: f64,
    experts: [[Quantiles; 1]; FIRST_WEIGHTS.len()],
    mixed: [Quantiles; 1],
    calibrated: [Quantiles; 1],
    simple: [f64; 3],
}

/// Predicts costs and learns from them; bounded memory.
#[derive(Debug)]
pub struct Predictor {
    model: Option<Arc<ImpactModel>>,
    history: History,
    ridge: Ridge,
    corrections: HashMap<u64, (f64, f64)>,
    blend: Blend<{ FIRST_WEIGHTS.len() }, 1>,
    calibration: Calibration<1>,
    spreads: [Spread; 2],
    /// Ratio of cost to median, on average.
    smearing: f64,
    completions: u64,
    remembered: HashMap<u64, (Cost, u64)>,
}

/// How far costs lie from a point forecast, by running quantiles in units of the class's own spread.
#[derive(Clone, Copy, Debug)]
struct Spread {
    quantiles: [f64; 3],
}

impl Spread {
    /// Normal to begin with.
    const FIRST: Self = Self { quantiles: [0.0, 1.28, 2.33] };

    fn around(&self, point: f64, unit: f64) -> [Quantiles; 1] {
        let [p50, p90, p99] = self.quantiles.map(|quantile| point + quantile * unit);
        let p90 = p90.max(p50);
        [Quantiles { p50, p90, p99: p99.max(p90) }]
    }

    /// Stochastic approximation of each quantile (Robbins and Monro, 1951).
    fn learn(&mut self, residual: f64, unit: f64) {
        for (quantile, level) in self.quantiles.iter_mut().zip(crate::LEVELS) {
            let above = residual / unit > *quantile;
            *quantile += 0.03 * (level - if above { 0.0 } else { 1.0 });
        }
    }
}

impl Predictor {
    /// One that has seen nothing; without a model, history and regression serve alone.
    #[must_use]
    pub fn new(model: Option<Arc<ImpactModel>>) -> Self {
        Self {
            model,
            history: History::default(),
            ridge: Ridge::default(),
            corrections: HashMap::new(),
            blend: Blend::new(FIRST_WEIGHTS),
            calibration: Calibration::new(QUICK),
            spreads: [Spread::FIRST; 2],
            smearing: 1.0,
            completions: 0,
            remembered: HashMap::new(),
        }
    }

    /// What an entry will cost, by all that is known now.
    #[must_use]
    pub fn predict(&self, entry: &Entry<'_>) -> Estimate {
        let features = self.history.features(entry);
        let (anchor, unit) = (features.anchor, features.spread);
        let guess = self.spreads[0].around(anchor, unit);
        let ridge = self.ridge.predict(&features);
        let regressed = self.spreads[1].around(ridge, unit);
        let answer = self.model.as_ref().and_then(|model| model.predict(&features.values).ok());
        let (prior, network) = match answer {
            Some(offsets) => {
                let prior = anchor + offsets.p50;
                let shift = anchor + self.correction(entry);
                let Quantiles { p50, p90, p99 } = offsets;
                (prior, [Quantiles { p50: p50 + shift, p90: p90 + shift, p99: p99 + shift }])
            }
            None => (anchor, guess),
        };
        let experts = [network, guess, regressed];
        let mixed = self.blend.mix(&experts);
        let calibrated = self.calibration.apply(&mixed);
        let [log] = calibrated;
        let quantiles = Quantiles { p50: log.p50.exp(), p90: log.p90.exp(), p99: log.p99.exp() };
        let cost = Cost { quantiles, mean: quantiles.p50 * self.smearing };
        let simple = [features.class_mean, features.source_mean, ridge];
        Estimate { cost, features, prior, experts, mixed, calibrated, simple }
    }

    /// [`Predictor::predict`] for each of several entries.
    #[must_use]
    pub fn predict_batch(&self, entries: &[Entry<'_>]) -> Vec<Estimate> {
        entries.iter().map(|entry| self.predict(entry)).collect()
    }

    /// The cost of entries like this one: worked out once for a class, source, destination, number of steps and size
    /// within a factor of 1.6, and again when 64 entries were completed since.
    pub fn cost(&mut self, entry: &Entry<'_>) -> Cost {
        let key = entry.bucket();
        if let Some((cost, at)) = self.remembered.get(&key)
            && self.completions - at < STALE_AFTER
        {
            return *cost;
        }
        let cost = self.predict(entry).cost;
        if self.remembered.len() >= MOST_REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(key, (cost, self.completions));
        cost
    }

    /// Learns what an entry took. Costs that are not above zero say nothing and are ignored.
    pub fn complete(&mut self, entry: &Entry<'_>, estimate: &Estimate, cost: f64) {
        let truth = cost.ln();
        if !truth.is_finite() {
            return;
        }
        self.completions += 1;
        let features = &estimate.features;
        let (count, mean) = self.corrections.entry(entry.key()).or_default();
        *count += 1.0;
        *mean += CORRECTION.max(1.0 / (*count + DOUBT)) * (truth - estimate.prior - *mean);
        if self.corrections.len() > MOST_REMEMBERED {
            self.corrections.clear();
        }
        self.spreads[0].learn(truth - features.anchor, features.spread);
        self.spreads[1].learn(truth - estimate.simple[2], features.spread);
        self.blend.learn(&estimate.experts, &estimate.mixed, &[truth]);
        self.calibration.learn(&estimate.calibrated, &[truth]);
        self.ridge.learn(features, truth);
        let ratio = (cost / estimate.cost.quantiles.p50.max(f64::MIN_POSITIVE)).clamp(0.05, 20.0);
        self.smearing += SMEARING * (ratio - self.smearing);
        self.history.learn(entry, truth);
    }

    fn correction(&self, entry: &Entry<'_>) -> f64 {
        let mean = self.corrections.get(&entry.key()).map_or(0.0, |&(_, mean)| mean);
        mean.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION)
    }
}

impl Estimate {
    /// What simple rules would have said: the class's average, the source's average, ridge regression with history.
    #[must_use]
    pub fn simple(&self) -> [f64; 3] {
        self.simple.map(f64::exp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(class: &str, bytes: u64) -> Entry<'_> {
        Entry { class, source: "app", destination: "store", bytes, steps: 2 }
    }

    /// What an entry of a class really costs here.
    fn truth(class: &str, bytes: u64) -> f64 {
        let factor = if class == "heavy" { 8.0 } else { 1.0 };
        factor * (0.5 + bytes as f64 / 50_000.0)
    }

    fn taught(classes: &[&str], entries: u64) -> Predictor {
        let mut predictor = Predictor::new(None);
        for number in 0..entries {
            let class = classes[number as usize % classes.len()];
            let bytes = 100 << (number * 7 % 11);
            let estimate = predictor.predict(&entry(class, bytes));
            predictor.complete(&entry(class, bytes), &estimate, truth(class, bytes));
        }
        predictor
    }

    #[test]
    fn classes_and_sizes_are_told_apart() {
        let predictor = taught(&["light", "heavy"], 1500);
        for (class, bytes) in [("light", 3_000), ("light", 90_000), ("heavy", 3_000), ("heavy", 90_000)] {
            let (found, expected) =
                (predictor.predict(&entry(class, bytes)).cost.quantiles.p50, truth(class, bytes));
            assert!((found / expected).ln().abs() < 0.2, "{class} of {bytes}: {found} instead of {expected}");
        }
    }

    #[test]
    fn a_class_never_seen_borrows_from_its_parents() {
        let predictor = taught(&["light", "other"], 800);
        let found = predictor.predict(&entry("new", 20_000)).cost.quantiles.p50;
        assert!((found / truth("light", 20_000)).ln().abs() < 0.3, "{found}");
    }

    #[test]
    fn a_change_is_followed_within_some_hundred_entries() {
        let mut predictor = taught(&["light"], 600);
        for _ in 0..150 {
            let entry = entry("light", 5_000);
            let estimate = predictor.predict(&entry);
            predictor.complete(&entry, &estimate, 3.0 * truth("light", 5_000));
        }
        let found = predictor.predict(&entry("light", 5_000)).cost.quantiles.p50;
        assert!((found / (3.0 * truth("light", 5_000))).ln().abs() < 0.25, "{found}");
    }

    #[test]
    fn costs_that_say_nothing_change_nothing() {
        let mut predictor = taught(&["light"], 100);
        let entry = entry("light", 5_000);
        let before = predictor.predict(&entry);
        for cost in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            predictor.complete(&entry, &before, cost);
        }
        assert_eq!(predictor.predict(&entry).cost, before.cost);
    }

    #[test]
    fn a_remembered_cost_is_worked_out_again_after_a_while() {
        let mut predictor = taught(&["light"], 300);
        let first = predictor.cost(&entry("light", 5_000));
        for count in 0..STALE_AFTER {
            assert_eq!(predictor.cost(&entry("light", 5_100)), first, "after {count}");
            let estimate = predictor.predict(&entry("light", 5_000));
            predictor.complete(&entry("light", 5_000), &estimate, 50.0);
        }
        assert!(predictor.cost(&entry("light", 5_100)).quantiles.p50 > 1.2 * first.quantiles.p50);
    }

    #[test]
    fn memory_is_bounded_whatever_names_come() {
        let mut predictor = Predictor::new(None);
        for number in 0..30_000_u32 {
            let name = number.to_string();
            let entry = Entry { class: &name, source: &name, destination: "d", bytes: 100, steps: 1 };
            let estimate = predictor.predict(&entry);
            predictor.complete(&entry, &estimate, 1.0);
            predictor.cost(&entry);
        }
        assert!(
            predictor.remembered.len() <= MOST_REMEMBERED && predictor.corrections.len() <= MOST_REMEMBERED
        );
        assert!(predictor.history.len() <= history::MOST_KEYS);
    }
}
