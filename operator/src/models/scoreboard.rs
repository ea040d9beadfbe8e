//! Every candidate forecasts the same loads as the champion, without effect, and is scored when they are due.
//!
//! The series are those of the nodes, on both grids of their personas: the loads that the champion is asked about in
//! earnest. Each series has a [`Forecaster`] a model, so that calibration and scoring are what they are when a model
//! acts. Every step is asked, also those that came late in one persona.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use foreshift_api::{ResourcePersona, resource_persona::Window};
use foreshift_engine::{demand::Series, forecast::Rung};
use foreshift_predictor::{Forecaster, Model, REMEMBERED};

use crate::persona::forecast::feed_each;

/// Series that are followed at most, a few milliseconds of work a second; a fleet is judged by its first nodes.
const MOST_SERIES: usize = 256;

/// Ratio of all remembered forecasts that must have come due for a full window: new nodes do not put a verdict off
/// for ever.
const FULL: f64 = 0.75;

/// Models on the same series.
#[derive(Debug, Default)]
pub struct Scoreboard {
    /// By node and period, then by digest.
    series: HashMap<(String, Duration), BTreeMap<String, Forecaster>>,
}

/// How a model did, over a rolling window of forecasts that have come due.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Forecasts in the window.
    pub forecasts: usize,
    /// Whether these are enough for a verdict.
    pub full: bool,
    /// Mean pinball loss, in units of load.
    pub loss: f64,
    /// The same of the better of damped Holt and the last value.
    pub baseline: f64,
    /// Ratio of the loads at or below p90.
    pub coverage: f64,
}

impl Scoreboard {
    /// Feeds what is new of every persona and asks every model. Models that are no longer named are forgotten.
    pub fn follow(&mut self, personas: &[Arc<ResourcePersona>], models: &[Arc<Model>]) {
        let mut personas: Vec<&ResourcePersona> = personas.iter().map(AsRef::as_ref).collect();
        personas.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let windows = personas.into_iter().flat_map(windows).take(MOST_SERIES);
        let mut seen = HashSet::new();
        for (node, window) in windows {
            let key = (node.to_owned(), window.period.get());
            let forecasters = self.series.entry(key.clone()).or_default();
            forecasters.retain(|digest, _| models.iter().any(|model| model.digest() == digest));
            let series = loads(window);
            for model in models {
                let forecaster = forecasters
                    .entry(model.digest().to_owned())
                    .or_insert_with(|| Forecaster::new(window.period.get()));
                feed_each(forecaster, &series, |forecaster| {
                    let _ = forecaster.forecast(Some(model), Rung::Model);
                });
            }
            seen.insert(key);
        }
        self.series.retain(|key, _| seen.contains(key));
    }

    /// How the model with this digest does.
    #[must_use]
    pub fn score(&self, digest: &str) -> Score {
        let mut sum = Score::default();
        let (mut holt, mut last_value, mut series) = (0.0, 0.0, 0_usize);
        for forecaster in self.series.values().filter_map(|models| models.get(digest)) {
            let totals = forecaster.totals();
            series += 1;
            sum.forecasts += totals.forecasts;
            sum.loss += totals.model;
            sum.coverage += totals.covered;
            holt += totals.holt;
            last_value += totals.last_value;
        }
        if sum.forecasts > 0 {
            let forecasts = sum.forecasts as f64;
            sum.loss /= forecasts;
            sum.coverage /= forecasts;
            sum.baseline = f64::min(holt, last_value) / forecasts;
        }
        sum.full = series > 0 && sum.forecasts as f64 >= FULL * (series * REMEMBERED) as f64;
        sum
    }
}

impl Score {
    /// One minus the loss over that of the better baseline: 1 is perfect, 0 no better, below 0 worse; 0 where there
    /// was nothing to lose.
    #[must_use]
    pub fn skill(&self) -> f64 {
        if self.baseline > 0.0 { 1.0 - self.loss / self.baseline } else { 0.0 }
    }
}

fn windows(persona: &ResourcePersona) -> impl Iterator<Item = (&str, &Window)> {
    let node = persona.metadata.name.as_deref().unwrap_or_default();
    let history = persona.status.as_ref().and_then(|status| status.history.as_ref());
    let windows = history.into_iter().flat_map(|history| [&history.fine, &history.coarse]);
    windows.filter(|window| !window.period.get().is_zero() && !window.load.is_empty()).map(move |w| (node, w))
}

fn loads(window: &Window) -> Series {
    let values = window.load.iter().map(|&permille| f64::from(permille) / 1000.0).collect();
    Series { step: window.step, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{later, node};

    fn shipped() -> Arc<Model> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
        Arc::new(crate::models::Files::in_folder(folder.as_ref()).unwrap().load().unwrap())
    }

    /// So many personas of a load, one every `every` seconds.
    fn after(personas: i64, every: i64, load: impl Fn(i64) -> f64 + Copy + 'static) -> (Scoreboard, Score) {
        let (mut scoreboard, model) = (Scoreboard::default(), shipped());
        for i in 0..personas {
            let now = later(i * every);
            let persona = node("n1").with_history(load).persona(now);
            scoreboard.follow(&[Arc::new(persona)], std::slice::from_ref(&model));
        }
        let score = scoreboard.score(model.digest());
        (scoreboard, score)
    }

    fn saw(step: i64) -> f64 {
        0.3 + 0.05 * (step % 12) as f64
    }

    #[test]
    fn every_step_is_asked_and_scored_however_late_it_comes() {
        let (_, quick) = after(120, 15, saw);
        let (_, late) = after(30, 60, saw);
        assert!(quick.forecasts >= REMEMBERED && quick.full, "{quick:?}");
        assert!(late.forecasts >= REMEMBERED && late.full, "{late:?}");
        assert!(quick.loss > 0.0 && quick.baseline > 0.0 && (0.0..=1.0).contains(&quick.coverage));
    }

    #[test]
    fn few_forecasts_are_no_full_window() {
        let (_, score) = after(20, 15, saw);
        assert!(score.forecasts > 0 && !score.full, "{score:?}");
    }

    #[test]
    fn a_model_that_is_not_named_any_more_and_a_node_that_is_gone_are_forgotten() {
        let (mut scoreboard, _) = after(40, 15, saw);
        let persona = Arc::new(node("n1").with_history(saw).persona(later(600)));
        scoreboard.follow(&[persona], &[]);
        assert_eq!(scoreboard.score(shipped().digest()), Score::default());
        scoreboard.follow(&[], &[shipped()]);
        assert!(scoreboard.series.is_empty());
    }

    #[test]
    fn skill_is_told_against_the_better_baseline() {
        let score = Score { loss: 0.03, baseline: 0.04, ..Score::default() };
        assert!((score.skill() - 0.25).abs() < 1e-12);
        assert_eq!(Score::default().skill(), 0.0);
    }
}
