//! Whether forecasts are of use: saturations that they announce, and work in excess that they save.
//!
//! A model that never saw the arrivals is fine-tuned on demand made of their first part, thresholds and quantile are chosen
//! on the next, and the last part judges.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use foreshift_engine::forecast::Quantiles;
use foreshift_predictor::evaluate::alarms::{
    Alarms as Announced, Calls, Truth, horizon, probabilities, thresholds,
};
use foreshift_predictor::{HEADS, Model};
use serde::Serialize;

use crate::bench::BenchError;
use crate::contest::{BASELINES, CONTESTANTS, MODEL, Round, rounds};
use crate::demand::{self, Demand};
use crate::finetune::{FineTuning, fine_tune};
use crate::release::Release;
use crate::windows::Series;

/// Load from which demand counts as saturated: of bursts as in the study, of ramps as in the operator.
const BURST_SATURATION: f64 = 0.85;
const RAMP_SATURATION: f64 = 0.9;

/// Shares of the arrivals: to learn from, to choose by, to judge by.
const LEARNED: Range<f64> = 0.0..0.4;
const CHOSEN: Range<f64> = 0.4..0.7;
const JUDGED: Range<f64> = 0.7..1.0;

/// Precision that a threshold must reach where it is chosen; 0.7 is promised, and later loads are never quite alike.
const LEAST_PRECISION: f64 = 0.75;

/// The head that calls for alarms: the highest load within the longest horizon.
const PEAK: usize = HEADS - 1;

/// Quantiles that shares may follow.
const QUANTILES: [fn(&Quantiles) -> f64; 3] =
    [|quantiles| quantiles.p50, |quantiles| quantiles.p90, |quantiles| quantiles.p99];

/// What can be had of demand without a forecast.
type Sensor = fn(&Demand) -> &[f64];

/// Recall and precision of alarms.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Alarms {
    /// Share of saturations that were announced.
    pub recall: f64,
    /// Share of alarmed steps that were right.
    pub precision: f64,
}

/// Alarms on ramps.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RampAlarms {
    /// Share of saturations that were announced.
    pub recall: f64,
    /// Median time of notice.
    pub median_lead_s: f64,
}

/// What forecasting is worth on one kind of bursty demand.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OnBursts {
    /// Alarms of the model's rung, of the baselines' forecasts, and of what can be had without a forecast.
    pub alarms: BTreeMap<&'static str, Alarms>,
    /// Excess work of shifting by forecast over that of shifting by the last value, at equal shifted share.
    pub excess_work_vs_proportional: BTreeMap<&'static str, f64>,
}

impl From<Announced> for Alarms {
    fn from(found: Announced) -> Self {
        Self { recall: found.recall.unwrap_or_default(), precision: found.precision.unwrap_or_default() }
    }
}

/// Alarms of a model as it is on scripted ramps.
#[must_use]
pub fn on_ramps(model: &Model) -> RampAlarms {
    let (chosen, judged) = (demand::ramps(1), demand::ramps(2));
    let calls =
        |series: &Series| probabilities(&replayed(&series.loads, model), MODEL, PEAK, RAMP_SATURATION);
    let found = announced(
        [&chosen.loads, &judged.loads],
        RAMP_SATURATION,
        [&calls(&chosen), &calls(&judged)],
        &thresholds(),
    );
    RampAlarms {
        recall: found.recall.unwrap_or_default(),
        median_lead_s: found.median_lead_s.unwrap_or_default(),
    }
}

/// What a model that never saw the arrivals is worth, once it is fine-tuned; `draw` makes demand of a part of them.
///
/// # Errors
/// No challenger comes of it.
pub fn on_bursts(
    base: &Release,
    draw: impl Fn(&Range<f64>, u64) -> Demand,
    seed: u64,
) -> Result<OnBursts, BenchError> {
    let [learned, chosen, judged] =
        [(LEARNED, 3), (CHOSEN, 1), (JUDGED, 2)].map(|(part, drawn)| draw(&part, seed + drawn));
    let series = [Series::new("offered", learned.offered), Series::new("predicted", learned.predicted)];
    let model = fine_tune(base, &series, &FineTuning::default(), seed)?.load()?;
    let mut found = OnBursts::default();

    let both = [&chosen, &judged];
    let truths = both.map(|demand| demand.utilisation.as_slice());
    let offered = both.map(|demand| replayed(&demand.offered, &model));
    for who in [MODEL].into_iter().chain(BASELINES) {
        let [chosen, judged] =
            offered.each_ref().map(|rounds| probabilities(rounds, who, PEAK, BURST_SATURATION));
        let alarms = announced(truths, BURST_SATURATION, [&chosen, &judged], &thresholds());
        found.alarms.insert(CONTESTANTS[who], alarms.into());
    }
    let levels: Vec<f64> = (5..75).map(|step| 0.02 * f64::from(step)).collect();
    let seen: [(&str, Sensor); 3] = [
        ("observed_load", |demand| &demand.utilisation),
        ("offered_demand", |demand| &demand.offered),
        ("arrival_rate", |demand| &demand.by_rate),
    ];
    for (name, sensor) in seen {
        let [chosen, judged] =
            both.map(|demand| sensor(demand).iter().copied().enumerate().collect::<Vec<_>>());
        let alarms = announced(truths, BURST_SATURATION, [&chosen, &judged], &levels);
        found.alarms.insert(name, alarms.into());
    }

    let [first, last] = both.map(|demand| replayed(&demand.predicted, &model));
    for who in [MODEL].into_iter().chain(BASELINES) {
        let excess = |demand, rounds, level| demand::excess_over_reactive(demand, rounds, who, level);
        let best = QUANTILES
            .into_iter()
            .min_by(|&a, &b| excess(&chosen, &first, a).total_cmp(&excess(&chosen, &first, b)));
        let left = best.map_or(1.0, |level| excess(&judged, &last, level));
        found.excess_work_vs_proportional.insert(CONTESTANTS[who], left);
    }
    Ok(found)
}

fn replayed(loads: &[f64], model: &Model) -> Vec<Round> {
    rounds(loads, &Series::window_ends(&(0..loads.len())), model)
}

/// Alarms on the second part with the threshold that does on the first, given the loads and the calls of both.
fn announced(loads: [&[f64]; 2], saturation: f64, calls: [&Calls; 2], candidates: &[f64]) -> Announced {
    let [chosen, judged] = loads.map(|loads| {
        let samples: Vec<(u64, f64)> = (0..).zip(loads.iter().copied()).collect();
        Truth::of(&samples, saturation)
    });
    let ahead = horizon(PEAK);
    let threshold = chosen.threshold(calls[0], ahead, candidates, LEAST_PRECISION);
    judged.alarms(calls[1], ahead, threshold, Duration::from_secs(demand::STEP))
}
