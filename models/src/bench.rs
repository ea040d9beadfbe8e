//! The figures that the models are held against, measured and written down: `make bench-models`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use foreshift_predictor::WINDOW;
use foreshift_predictor::evaluate::impact::Row;
use serde::Serialize;
use tract_onnx::prelude::*;

use crate::contest::{ACTING, CONTESTANTS, MODEL, NETWORK, Scores};
use crate::demand::Demand;
use crate::finetune::{FineTuning, evaluate, fine_tune};
use crate::impact;
use crate::onnx;
use crate::recipe;
use crate::release::{Release, ReleaseError};
use crate::traces::DataSet;
use crate::training::{Schedule, train};
use crate::usefulness::{Alarms, OnBursts, RampAlarms, on_bursts, on_ramps};
use crate::windows::Series;

/// The series that bursty demand is made of, the first of which is held against the goals, and its set.
const REQUESTS: &str = "requests 60 s";
const ARRIVALS: &str = "arrivals 2 s";
const WEB: &str = "worldcup98";

/// Usual steps of the models that never saw a set: fewer than the shipped one's 60,000, as three are trained.
pub const LEFT_OUT_STEPS: u32 = 12_000;

/// Runs from which a median time is taken.
const RUNS: usize = 400;

/// Why the figures could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A model.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The recorded entries.
    #[error(transparent)]
    Recording(#[from] impact::RecordingError),
    /// No challenger.
    #[error(transparent)]
    FineTune(#[from] crate::finetune::FineTuneError),
    /// The runtime.
    #[error("the runtime refuses the model: {0}")]
    Runtime(String),
    /// onnxruntime.
    #[error("models/check/run cannot be asked: {0}; it needs Python 3.11 and the network once")]
    Check(String),
}

/// All figures; the names are those of `target/bench/models.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Model rung over the best baseline, geometric mean over sets that the model never saw, after fine-tuning.
    pub pinball_ratio_geomean: f64,
    /// The worst of these.
    pub pinball_ratio_worst: f64,
    /// What the skill gate let act over the best baseline, worst over all sets, with and without fine-tuning.
    pub acting_ratio_worst: f64,
    /// Share of loads at or below the calibrated p90, by set.
    pub coverage_p90: BTreeMap<String, f64>,
    /// The same for p99.
    pub coverage_p99: BTreeMap<String, f64>,
    /// Ratio by set: before fine-tuning, after it, what acted before and after, the network alone after it.
    pub ratios: BTreeMap<String, [f64; 5]>,
    /// Saturation alarms of the model's rung on bursty demand.
    pub alarms: Alarms,
    /// Saturation alarms on scripted ramps.
    pub ramp_alarms: RampAlarms,
    /// Excess work of shifting by forecast over that of shifting by the last value, at equal shifted share.
    pub excess_work_vs_proportional: f64,
    /// Both with all baselines beside, by the set whose arrivals made the demand.
    pub bursts: BTreeMap<String, OnBursts>,
    /// The impact model on recorded entries.
    pub impact: ImpactFigures,
    /// Median microseconds of a batch, normalisation included.
    pub infer_us: BTreeMap<String, f64>,
    /// Largest difference of onnxruntime from tract on the golden vectors.
    pub ort_max_relative_difference: f64,
    /// Reading, checks, optimising, golden vectors.
    pub load_ms: f64,
    /// Training from scratch: the time that the models without a set took, by their steps.
    pub train_s: f64,
    /// Fine-tuning and export, on one core.
    pub fine_tune_s: f64,
}

/// What the impact model is worth.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ImpactFigures {
    /// Median absolute percentage error, as share.
    pub mdape: f64,
    /// The same on classes that were in no training and have no history.
    pub unseen_mdape: f64,
    /// Error of sums over 60 entries.
    pub sum60_error: f64,
    /// Share of costs at or below p90.
    pub coverage_p90: f64,
}

/// Takes all figures. Trains three models on the way, of so many `steps`; some ten minutes on one core with
/// [`LEFT_OUT_STEPS`].
///
/// # Errors
/// What could not be measured.
pub fn measure(sets: &[DataSet], models: &Path, steps: u32, seed: u64) -> Result<Figures, BenchError> {
    let release = Release::read(models)?;
    let started = Instant::now();
    let model = release.load()?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let known = unseen_sets(sets, steps, seed)?;
    let shipped = sets.iter().map(|set| (format!("{} as shipped", set.name), evaluate(&model, &set.series)));
    let shipped: BTreeMap<String, Scores> = shipped.collect();
    let tuned = known.iter().map(|set| (set.name.clone(), set.tuned.clone()));
    let all: BTreeMap<String, Scores> = tuned
        .chain(known.iter().map(|set| (format!("{} untuned", set.name), set.zero.clone())))
        .chain(shipped)
        .collect();
    let ratio = |set: &Unseen| set.tuned.ratio_of(MODEL);
    let logs: f64 = known.iter().map(|set| ratio(set).ln()).sum();
    let worst = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let rows = impact::recording(&models.join("impact.csv.gz"))?;
    let read = |name: &str| {
        let path = models.join(name);
        std::fs::read(&path).map_err(|reason| ReleaseError::File { path: path.display().to_string(), reason })
    };
    let bursts = bursts(sets, &known, &rows, seed)?;
    let bursty = bursts.get(WEB).cloned().unwrap_or_default();
    let impact = impact::report(&rows, &[read("impact.onnx")?, read("impact.json")?], seed)?;
    Ok(Figures {
        pinball_ratio_geomean: (logs / known.len().max(1) as f64).exp(),
        pinball_ratio_worst: worst(&mut known.iter().map(ratio)),
        acting_ratio_worst: worst(&mut all.values().map(|scores| scores.ratio_of(ACTING))),
        coverage_p90: all.iter().map(|(name, scores)| (name.clone(), scores.coverage[MODEL][0])).collect(),
        coverage_p99: all.iter().map(|(name, scores)| (name.clone(), scores.coverage[MODEL][1])).collect(),
        ratios: known.iter().map(|set| (set.name.clone(), set.ratios())).collect(),
        alarms: bursty.alarms.get(CONTESTANTS[MODEL]).copied().unwrap_or_default(),
        ramp_alarms: on_ramps(&model),
        excess_work_vs_proportional: bursty
            .excess_work_vs_proportional
            .get(CONTESTANTS[MODEL])
            .copied()
            .unwrap_or(1.0),
        bursts,
        impact: ImpactFigures {
            mdape: impact.later.mdape,
            unseen_mdape: impact.unseen.mdape,
            sum60_error: impact.later.sum60_error.unwrap_or_default(),
            coverage_p90: impact.later.coverage_p90.unwrap_or_default(),
        },
        infer_us: [1, 1024]
            .into_iter()
            .map(|batch| Ok((batch.to_string(), infer_us(&release, batch)?)))
            .collect::<Result<_, BenchError>>()?,
        ort_max_relative_difference: difference(models)?,
        load_ms,
        train_s: known.iter().map(|set| set.train_s).sum::<f64>() / known.len().max(1) as f64
            * f64::from(Schedule::default().steps)
            / f64::from(steps),
        fine_tune_s: worst(&mut known.iter().map(|set| set.fine_tune_s)),
    })
}

/// A set that a model never saw, before and after fine-tuning on its newest windows.
struct Unseen {
    name: String,
    untuned: Release,
    zero: Scores,
    tuned: Scores,
    train_s: f64,
    fine_tune_s: f64,
}

impl Unseen {
    fn ratios(&self) -> [f64; 5] {
        [
            self.zero.ratio_of(MODEL),
            self.tuned.ratio_of(MODEL),
            self.zero.ratio_of(ACTING),
            self.tuned.ratio_of(ACTING),
            self.tuned.ratio_of(NETWORK),
        ]
    }
}

fn unseen_sets(sets: &[DataSet], steps: u32, seed: u64) -> Result<Vec<Unseen>, BenchError> {
    let mut found = Vec::new();
    for set in sets {
        let others: Vec<DataSet> = sets.iter().filter(|other| other.name != set.name).cloned().collect();
        let schedule = Schedule { steps, ..Schedule::default() };
        let started = Instant::now();
        let mixture = recipe::mixture(&others, recipe::EPISODES, seed);
        let network = train(&mixture, seed, &schedule, |_, _| ());
        let train_s = started.elapsed().as_secs_f64();
        let base = Release::new(&network, seed, &schedule, Vec::new());
        // Nothing of this set was held out from anything.
        let series: Vec<Series> =
            set.series.iter().map(|series| Series { held_out: false, ..series.clone() }).collect();
        let started = Instant::now();
        let challenger = fine_tune(&base, &series, &FineTuning::default(), seed)?;
        let fine_tune_s = started.elapsed().as_secs_f64();
        found.push(Unseen {
            name: set.name.to_owned(),
            zero: evaluate(&base.load()?, &series),
            tuned: evaluate(&challenger.load()?, &series),
            untuned: base,
            train_s,
            fine_tune_s,
        });
    }
    Ok(found)
}

/// What forecasts are worth on bursty demand, by the set whose arrivals it is made of.
fn bursts(
    sets: &[DataSet],
    known: &[Unseen],
    rows: &[Row],
    seed: u64,
) -> Result<BTreeMap<String, OnBursts>, BenchError> {
    let costs: Vec<f64> = rows.iter().map(|row| row.cost_ms).collect();
    let mut found = BTreeMap::new();
    for (set, Unseen { untuned, .. }) in sets.iter().zip(known) {
        let named = |name: &str| set.series.iter().find(|series| series.name == name);
        let useful = if let Some(requests) = named(REQUESTS) {
            on_bursts(untuned, |part, drawn| Demand::web(requests, part, &costs, drawn), seed)?
        } else if let Some(arrivals) = named(ARRIVALS) {
            on_bursts(untuned, |part, drawn| Demand::batches(arrivals, part, &costs, drawn), seed)?
        } else {
            continue;
        };
        found.insert(set.name.to_owned(), useful);
    }
    Ok(found)
}

/// Median time of so many windows at once, through tract, with normalisation.
fn infer_us(release: &Release, batch: usize) -> Result<f64, BenchError> {
    let network = onnx::decode(&release.onnx).map_err(|error| BenchError::Runtime(error.to_string()))?;
    let bytes = onnx::encode_batch(&network, batch);
    let timed = || -> TractResult<f64> {
        let plan = tract_onnx::onnx()
            .model_for_read(&mut std::io::Cursor::new(bytes))?
            .with_input_fact(0, f32::fact([batch, WINDOW, 1]).into())?
            .into_optimized()?
            .into_runnable()?;
        let loads: Vec<f32> = (0..batch * WINDOW).map(|at| 0.4 + (at % 97) as f32 / 200.0).collect();
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let input = Tensor::from_shape(&[batch, WINDOW, 1], &loads)?;
            let started = Instant::now();
            plan.run(tvec!(input.into()))?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(times[RUNS / 2])
    };
    timed().map_err(|error| BenchError::Runtime(format!("{error:#}")))
}

/// Asks onnxruntime, in the environment of `models/check`.
fn difference(models: &Path) -> Result<f64, BenchError> {
    let output = Command::new(models.join("check/run")).arg("difference").output();
    let output = output.map_err(|error| BenchError::Check(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().map_err(|_| BenchError::Check(String::from_utf8_lossy(&output.stderr).into_owned()))
}
