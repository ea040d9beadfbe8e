//! One series' forecaster: remembers the window, asks the network and the baselines, scores them when their forecasts
//! come due, and lets the best rung act that has earned it.
//!
//! The model's rung is more than the network: its answer is calibrated, blended with what the baselines say by what
//! each has been worth lately, and calibrated again. So a network that knows nothing of a cluster's loads costs little.

use std::collections::VecDeque;
use std::time::Duration;

use foreshift_engine::forecast::{Forecast, HORIZON_STEPS, Quantiles, Rung};

use crate::conformal::GENTLE;
use crate::margins::Margins;
use crate::{
    Autoregression, Baseline, Blend, Calibration, HEADS, Holt, LAST_HORIZON, LastValue, Losses, Model,
    Prediction, Skill, Smoothing, Totals, WINDOW, admissible, outcome, pinball, push_bounded,
};

/// Samples below which not even a trend can be told.
const HOLT_NEEDS: usize = 4;

/// Who has a say on the model's rung: the calibrated network, its median with the margins of its own misses, Holt, the
/// last value, autoregression. First weights: the network's word counts until the series says otherwise.
const FIRST_WEIGHTS: [f64; 5] = [0.7, 0.1, 0.06, 0.06, 0.08];

/// What the blend's p99 is widened by: means of extreme quantiles are not extreme enough.
const TAIL: f64 = 1.15;

/// The ladder, best first.
const LADDER: [Rung; 4] = [Rung::Model, Rung::Holt, Rung::LastValue, Rung::Reactive];

/// Who forecasts, and why nobody better does.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// Who made the forecast.
    pub rung: Rung,
    /// Why the rungs above did not, in a sentence for people; `None` if nothing above was passed over.
    pub reason: Option<String>,
    /// The model's rolling skill against the better baseline: 1 perfect, 0 no better, negative worse.
    pub skill: Option<f64>,
    /// Share of recent loads at or below the model's p90; it promises 0.9.
    pub coverage_p90: Option<f64>,
}

/// Forecaster of one series on an even grid; bounded memory (about 16 KB).
#[derive(Debug)]
pub struct Forecaster {
    period: Duration,
    step: Option<u64>,
    loads: VecDeque<f64>,
    holt: Baseline<Holt>,
    last_value: Baseline<LastValue>,
    autoregression: Baseline<Autoregression>,
    network: Learned,
    skill: Skill,
    waiting: VecDeque<Issued>,
    model: Option<String>,
}

/// What was forecast after one sample.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) holt: Prediction,
    pub(crate) last_value: Prediction,
    pub(crate) autoregression: Prediction,
    /// The answer of the model's rung, or what it failed with; `None` until it is asked.
    pub(crate) model: Option<Result<Answer, String>>,
}

/// How the answer of the model's rung came about.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The network's own.
    pub(crate) network: Prediction,
    experts: [Prediction; FIRST_WEIGHTS.len()],
    mixed: Prediction,
    /// What acts.
    pub(crate) calibrated: Prediction,
}

/// What a series has taught about one network.
#[derive(Debug)]
struct Learned {
    calibration: Calibration,
    margins: Margins,
    blend: Blend<{ FIRST_WEIGHTS.len() }, HEADS>,
    finish: Calibration,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            calibration: Calibration::default(),
            margins: Margins::default(),
            blend: Blend::new(FIRST_WEIGHTS),
            finish: Calibration::new(GENTLE),
        }
    }
}

impl Learned {
    fn answer(&self, network: Prediction, issued: &Issued) -> Answer {
        let calibrated = self.calibration.apply(&network);
        let mut margined = calibrated;
        for (head, quantiles) in margined.iter_mut().enumerate() {
            if let Some(margins) = self.margins.of(head) {
                let [p50, p90, p99] = margins.map(|margin| (network[head].p50 + margin).max(0.0));
                *quantiles = Quantiles { p50, p90, p99 };
            }
        }
        let experts = [calibrated, margined, issued.holt, issued.last_value, issued.autoregression];
        let mixed = self.blend.mix(&experts);
        let mut widened = mixed;
        for quantiles in &mut widened {
            quantiles.p99 = quantiles.p50 + TAIL * (quantiles.p99 - quantiles.p50);
        }
        Answer { network, experts, mixed, calibrated: self.finish.apply(&widened) }
    }

    fn learn(&mut self, answer: &Answer, truth: &[f64; HEADS]) {
        self.calibration.learn(&answer.experts[0], truth);
        self.margins.learn(std::array::from_fn(|head| truth[head] - answer.network[head].p50));
        self.blend.learn(&answer.experts, &answer.mixed, truth);
        self.finish.learn(&answer.calibrated, truth);
    }
}

impl Forecaster {
    /// A forecaster of a series with one sample a `period`.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            step: None,
            loads: VecDeque::with_capacity(WINDOW),
            holt: Baseline::new(Holt::new(Smoothing::default())),
            last_value: Baseline::new(LastValue::default()),
            autoregression: Baseline::new(Autoregression::default()),
            network: Learned::default(),
            skill: Skill::default(),
            waiting: VecDeque::with_capacity(LAST_HORIZON),
            model: None,
        }
    }

    /// The last step that was taken, if any.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        self.step
    }

    /// Takes the load at a step of the series' grid.
    ///
    /// Steps that are not newer than the last are ignored, as is a load that is not finite; others are clamped to
    /// `0.0..=MAX_LOAD`. Missing steps are filled with the last load, and a gap longer than the window starts the series
    /// over. Forecasts whose outcome fell into a gap are not scored.
    pub fn observe(&mut self, step: u64, load: f64) {
        let Some(load) = admissible(load) else { return };
        if let (Some(last), Some(&held)) = (self.step, self.loads.back()) {
            let Some(missing) = step.checked_sub(last).and_then(|distance| distance.checked_sub(1)) else {
                return;
            };
            if missing > WINDOW as u64 {
                self.restart();
            } else if missing > 0 {
                (0..missing).for_each(|_| self.take(held));
                self.waiting.clear();
            }
        }
        self.step = Some(step);
        self.take(load);
    }

    /// Replaces the series by a history that ends at `last_step`, as found in a persona after a restart.
    ///
    /// What the baselines, the calibration and the skill have learned so far stays.
    pub fn seed(&mut self, last_step: u64, loads: &[f64]) {
        self.restart();
        self.step = None;
        let newest_first = loads.iter().rev().enumerate();
        let history: Vec<(u64, f64)> = newest_first
            .filter_map(|(age, &load)| Some((last_step.checked_sub(age as u64)?, load)))
            .collect();
        history.into_iter().rev().for_each(|(step, load)| self.observe(step, load));
    }

    /// The forecast from the last sample on, by the best forecaster that is not above `ceiling` and has earned it.
    ///
    /// The model is asked once per sample, however often this is called, and is scored even while the ceiling keeps
    /// it from acting. Another model starts with a clean record.
    pub fn forecast(&mut self, model: Option<&Model>, ceiling: Rung) -> (Forecast, Trust) {
        self.ask(model);
        let mut passed_over = Vec::new();
        let mut choice = (Rung::Reactive, None);
        for rung in LADDER.into_iter().filter(|&rung| rung >= ceiling) {
            match self.answer(rung) {
                Ok(prediction) => {
                    choice = (rung, prediction);
                    break;
                }
                Err(reason) => passed_over.push(reason),
            }
        }
        let (rung, prediction) = choice;
        let last = self.loads.back().copied().unwrap_or_default();
        let mut forecast = Forecast { rung, level: self.level(), ..Forecast::observed(last, self.period) };
        if let Some(prediction) = prediction {
            forecast.steps.copy_from_slice(&prediction[..HORIZON_STEPS.len()]);
            forecast.peak = prediction[HEADS - 1];
        }
        let reason = (!passed_over.is_empty()).then(|| passed_over.join("; "));
        let trust =
            Trust { rung, reason, skill: self.skill.score(), coverage_p90: self.skill.coverage_p90() };
        (forecast, trust)
    }

    /// What the model's forecasts that have come due add up to, over the rolling window.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.skill.totals()
    }

    /// What everybody forecast after the last sample.
    pub(crate) fn issued(&self) -> Option<&Issued> {
        self.waiting.back()
    }

    /// The answer of one rung, or why it may not give one.
    fn answer(&self, rung: Rung) -> Result<Option<Prediction>, String> {
        let issued = self.waiting.back().ok_or("no sample has arrived yet");
        match rung {
            Rung::Model => match &issued?.model {
                None if self.model.is_none() => Err("no model is loaded".to_owned()),
                None => Err(format!("the model needs {WINDOW} samples, {} have arrived", self.loads.len())),
                Some(Err(reason)) => Err(reason.clone()),
                Some(Ok(_)) if self.skill.demoted() => {
                    let score = self.skill.score().unwrap_or_default();
                    Err(format!("the model's skill over {} forecasts is {score:.2}", self.skill.scored()))
                }
                Some(Ok(answer)) => Ok(Some(answer.calibrated)),
            },
            Rung::Holt if self.loads.len() < HOLT_NEEDS => {
                Err(format!("a trend needs {HOLT_NEEDS} samples, {} have arrived", self.loads.len()))
            }
            Rung::Holt if self.skill.holt_is_worse() => {
                Err("a trend did worse than the last value".to_owned())
            }
            Rung::Holt => Ok(Some(issued?.holt)),
            Rung::LastValue => Ok(Some(issued?.last_value)),
            Rung::Reactive => Ok(None),
        }
    }

    /// The load now: the median of the last three, so that one sample of a burst is not taken for a level.
    fn level(&self) -> f64 {
        let mut newest: Vec<f64> = self.loads.iter().rev().take(3).copied().collect();
        newest.sort_unstable_by(f64::total_cmp);
        newest.get(newest.len() / 2).copied().unwrap_or_default()
    }

    /// Has the model answer the newest window, unless it already did.
    fn ask(&mut self, model: Option<&Model>) {
        let digest = model.map(Model::digest);
        if self.model.as_deref() != digest {
            self.model = digest.map(str::to_owned);
            self.skill.forget_model();
            self.network = Learned::default();
            self.waiting.iter_mut().for_each(|issued| issued.model = None);
        }
        let window: Option<&[f64; WINDOW]> = self.loads.make_contiguous().first_chunk();
        let (Some(model), Some(window), Some(issued)) = (model, window, self.waiting.back_mut()) else {
            return;
        };
        if issued.model.is_none() {
            let answer = model.predict(window);
            let answer = answer.map(|raw| self.network.answer(raw, issued));
            issued.model = Some(answer.map_err(|error| error.to_string()));
        }
    }

    fn take(&mut self, load: f64) {
        push_bounded(&mut self.loads, WINDOW, load);
        self.holt.observe(load);
        self.last_value.observe(load);
        self.autoregression.observe(load);
        let issued = Issued {
            holt: self.holt.predict(),
            last_value: self.last_value.predict(),
            autoregression: self.autoregression.predict(),
            model: None,
        };
        if let Some(due) = push_bounded(&mut self.waiting, LAST_HORIZON, issued) {
            self.score(&due);
        }
    }

    /// Scores a forecast that was issued [`LAST_HORIZON`] samples ago.
    fn score(&mut self, due: &Issued) {
        let since = self.loads.len().saturating_sub(LAST_HORIZON);
        let Some(truth) = outcome(&self.loads.make_contiguous()[since..]) else { return };
        let model = due.model.as_ref().and_then(|answer| answer.as_ref().ok());
        if let Some(answer) = model {
            self.network.learn(answer, &truth);
        }
        let covered = |prediction: &Prediction| {
            prediction.iter().zip(&truth).filter(|(quantiles, truth)| **truth <= quantiles.p90).count() as f64
                / HEADS as f64
        };
        self.skill.record(Losses {
            model: model.map(|answer| (pinball(&answer.calibrated, &truth), covered(&answer.calibrated))),
            holt: pinball(&due.holt, &truth),
            last_value: pinball(&due.last_value, &truth),
        });
    }

    fn restart(&mut self) {
        self.loads.clear();
        self.waiting.clear();
        self.holt.restart();
        self.last_value.restart();
        self.autoregression.restart();
    }
}
