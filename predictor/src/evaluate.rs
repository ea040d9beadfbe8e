//! How well a model forecasts anybody's series, beside the baselines, as it would have acted there.
//!
//! Everything is causal: whoever forecasts has seen the series up to that sample and nothing more; calibration, blend
//! and baselines learn while they go. The unit of errors comes from the first 60 % of the series, the thresholds of
//! alarms from the 30 % before the last, and the last 30 % are scored.

pub mod alarms;
pub mod impact;
mod oddities;
mod quantile_regression;
pub mod replay;
pub mod series;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use foreshift_engine::forecast::{HORIZON_STEPS, Rung};
use serde::Serialize;

use crate::{HEADS, LEVELS, Model};
use alarms::Alarms;
use replay::{CONTESTANTS, Round, replay};
use series::{Samples, Series};

/// Share of a series that gives the unit of errors.
pub const FIT_SHARE: f64 = 0.6;

/// Share of a series after which it is scored.
pub const KNOWN_SHARE: f64 = 0.7;

/// Share of a series after which thresholds of alarms are chosen, up to [`KNOWN_SHARE`].
const CHOSEN_FROM: f64 = 0.4;

/// What a model and its rivals are worth on one series.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Name and version of the model.
    pub model: String,
    /// SHA-256 of its file.
    pub digest: String,
    /// The series as it was understood.
    pub series: Understood,
    /// Share of the scored windows in which each rung acted.
    pub acting_rungs: BTreeMap<&'static str, f64>,
    /// Figures by forecaster: `model` is the model's rung (network, blend and calibration), `acting` the rung that the
    /// skill gate picked, `network` the file's plain answer.
    pub forecasters: BTreeMap<&'static str, Figures>,
}

/// What was read, and what had to be done about it.
#[derive(Clone, Debug, Serialize)]
pub struct Understood {
    /// Samples on the grid.
    pub samples: usize,
    /// Length of a step, in seconds.
    pub period_s: f64,
    /// What counts as a load of 1, in the units of the file.
    pub capacity: f64,
    /// Load from which a step is saturated.
    pub saturation: f64,
    /// Windows that were scored.
    pub windows: usize,
    /// Saturations that began in the scored part.
    pub events: usize,
    /// What was odd, with line numbers.
    pub notices: Vec<String>,
}

/// What one forecaster is worth.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Mean pinball loss over all heads and quantiles, in mean absolute steps of the series.
    pub pinball: Option<f64>,
    /// Share of loads at or below p90, over all heads.
    pub coverage_p90: Option<f64>,
    /// Share of loads at or below p99, over all heads.
    pub coverage_p99: Option<f64>,
    /// Figures by horizon; the last is of the highest load within the longest.
    pub horizons: Vec<Horizon>,
}

/// What one forecaster is worth at one horizon.
#[derive(Clone, Debug, Serialize)]
pub struct Horizon {
    /// `1`, `2`, `4`, `8`, or `max8`.
    pub steps: String,
    /// How far ahead, in seconds.
    pub seconds: f64,
    /// Mean absolute error of p50 in mean absolute steps of the series; none if the series never moved.
    pub mase: Option<f64>,
    /// Mean pinball loss of p50, p90 and p99, in the same unit.
    pub pinball: Option<f64>,
    /// Share of loads at or below p90.
    pub coverage_p90: Option<f64>,
    /// Share of loads at or below p99.
    pub coverage_p99: Option<f64>,
    /// How well it announced saturation.
    pub alarms: Alarms,
}

/// Lets the model and its rivals forecast the last part of a series.
#[must_use]
pub fn evaluate(model: &Model, series: &Series, saturation: f64) -> Evaluation {
    let samples = &series.samples;
    let cut = |share: f64| (share * samples.len() as f64) as usize;
    let (fit, known) = (cut(FIT_SHARE), cut(KNOWN_SHARE));
    let rounds = replay(samples, &(cut(CHOSEN_FROM)..samples.len()), Some(model));
    let split = rounds.partition_point(|round| round.at < known);
    let (chosen, scored) = rounds.split_at(split);
    let unit = unit(&samples[..fit]);
    let truth = alarms::Truth::of(samples, saturation);
    let thresholds = alarms::thresholds();
    let forecasters = CONTESTANTS.iter().enumerate().map(|(who, &name)| {
        let mut figures = figures(scored, who, unit, series.period);
        for (head, horizon) in figures.horizons.iter_mut().enumerate() {
            let ahead = alarms::horizon(head);
            let calls = |rounds| alarms::probabilities(rounds, who, head, saturation);
            let threshold = truth.threshold(&calls(chosen), ahead, &thresholds, alarms::LEAST_PRECISION);
            horizon.alarms = truth.alarms(&calls(scored), ahead, threshold, series.period);
        }
        (name, figures)
    });
    let mut acting_rungs = BTreeMap::new();
    for round in scored {
        *acting_rungs.entry(rung_name(round.rung)).or_insert(0.0) += 1.0 / scored.len() as f64;
    }
    let mut notices = series.notices.clone();
    if scored.is_empty() {
        notices.push("too short to be scored: 150 samples without a gap are needed".to_owned());
    }
    if unit.is_none() {
        notices.push("the first 60 % never move: errors have no unit, so they are left out".to_owned());
    }
    let understood = Understood {
        samples: samples.len(),
        period_s: series.period.as_secs_f64(),
        capacity: series.capacity,
        saturation,
        windows: scored.len(),
        events: truth.events_in(&(known..samples.len())),
        notices,
    };
    Evaluation {
        model: model.name().to_owned(),
        digest: model.digest().to_owned(),
        series: understood,
        acting_rungs,
        forecasters: forecasters.collect(),
    }
}

/// Mean absolute step between neighbours, in units of load; `None` if nothing moved.
fn unit(samples: &Samples) -> Option<f64> {
    let steps: Vec<f64> = samples
        .windows(2)
        .filter(|pair| pair[1].0 == pair[0].0 + 1)
        .map(|pair| (pair[1].1 - pair[0].1).abs())
        .collect();
    let mean = steps.iter().sum::<f64>() / steps.len().max(1) as f64;
    (mean > 1e-9).then_some(mean)
}

fn figures(rounds: &[Round], who: usize, unit: Option<f64>, period: Duration) -> Figures {
    let mean = |value: &dyn Fn(&Round) -> f64| {
        (!rounds.is_empty()).then(|| rounds.iter().map(value).sum::<f64>() / rounds.len() as f64)
    };
    let in_units = |value: Option<f64>| Some(value? / unit?);
    let horizons: Vec<Horizon> = (0..HEADS)
        .map(|head| {
            let quantiles = |round: &Round| round.predictions[who][head];
            let steps = HORIZON_STEPS.get(head).or(HORIZON_STEPS.last()).copied().unwrap_or_default();
            Horizon {
                steps: if head < HORIZON_STEPS.len() { steps.to_string() } else { format!("max{steps}") },
                seconds: f64::from(steps) * period.as_secs_f64(),
                mase: in_units(mean(&|round| (quantiles(round).p50 - round.truth[head]).abs())),
                pinball: in_units(mean(&|round| pinball_of(&quantiles(round), round.truth[head]))),
                coverage_p90: mean(&|round| f64::from(round.truth[head] <= quantiles(round).p90)),
                coverage_p99: mean(&|round| f64::from(round.truth[head] <= quantiles(round).p99)),
                alarms: Alarms::default(),
            }
        })
        .collect();
    let over = |value: fn(&Horizon) -> Option<f64>| {
        let values: Option<Vec<f64>> = horizons.iter().map(value).collect();
        Some(values?.iter().sum::<f64>() / HEADS as f64)
    };
    Figures {
        pinball: over(|horizon| horizon.pinball),
        coverage_p90: over(|horizon| horizon.coverage_p90),
        coverage_p99: over(|horizon| horizon.coverage_p99),
        horizons,
    }
}

fn pinball_of(quantiles: &foreshift_engine::forecast::Quantiles, truth: f64) -> f64 {
    let loss = |(value, level): (f64, f64)| {
        let miss = truth - value;
        (level * miss).max((level - 1.0) * miss)
    };
    let values = [quantiles.p50, quantiles.p90, quantiles.p99];
    values.into_iter().zip(LEVELS).map(loss).sum::<f64>() / LEVELS.len() as f64
}

/// Name of a rung in reports.
#[must_use]
pub fn rung_name(rung: Rung) -> &'static str {
    match rung {
        Rung::Model => "model",
        Rung::Holt => "holt",
        Rung::LastValue => "last_value",
        Rung::Reactive => "reactive",
    }
}
