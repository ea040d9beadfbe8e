//! Trains the impact model: on recorded entries with measured costs, and on drawn worlds whose entries cost by other
//! rules, so that it learns when to believe which of the running statistics rather than what this recording looks like.
//!
//! In training, classes and sources change their names now and then: the network must also serve those that nobody
//! has seen.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use foreshift_predictor::evaluate::impact::{EntriesError, ImpactFigures, Row, figures, read, replay};
use foreshift_predictor::impact::{Entry, FEATURES, History, ImpactManifest, ImpactModel, Predictor};
use foreshift_predictor::{Golden, LEVELS, Source};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;
use sha2::{Digest, Sha256};
use std::sync::Arc;

use crate::network::Network;
use crate::noise::log_uniform;
use crate::onnx;
use crate::release::{ReleaseError, rounded};
use crate::training::{Batch, Schedule, descend};

/// Share of the recording that is learned from; the rest judges.
const FIT_SHARE: f64 = 0.6;

/// Classes that the report leaves out of training altogether.
const HELD_OUT: [&str; 3] = ["audit", "archive-packed", "full"];

/// Times that the recording is gone through, each with other changes of names, and worlds that are drawn.
const REPLAYS: usize = 12;
const WORLDS: usize = 60;

/// Entries of a drawn world.
const WORLD_ENTRIES: usize = 1200;

/// A class or a source gets a new name about once in so many entries.
const RENAMED_EVERY: f64 = 150.0;

/// Targets, cut off here: the network must not chase one wild entry.
const CUT: f64 = 3.0;

const GOLDEN: usize = 32;
const DECIMALS: i32 = 5;

const SIZES: [usize; 4] = [FEATURES, 32, 32, LEVELS.len()];

/// What was seen before an entry, and its log cost from the anchor.
type Example = ([f32; FEATURES], f32);

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be opened.
    #[error("cannot read {path}: {reason}; record one with models/record/record.py")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// It is no recording.
    #[error(transparent)]
    Entries(#[from] EntriesError),
}

/// How good a model is on the recording's last part.
#[derive(Clone, Copy, Debug)]
pub struct ImpactReport {
    /// The shipped recipe on entries that came later.
    pub later: ImpactFigures,
    /// The average of the class on the same entries.
    pub class_ewma: ImpactFigures,
    /// Ridge regression with history on the same entries.
    pub ridge: ImpactFigures,
    /// A model trained without some classes, on entries of these: each of them with a name never seen.
    pub unseen: ImpactFigures,
}

/// Reads a recording, plain or packed with gzip.
///
/// # Errors
/// [`RecordingError`] says what to do.
pub fn recording(path: &Path) -> Result<Vec<Row>, RecordingError> {
    let open = |reason| RecordingError::Open { path: path.display().to_string(), reason };
    let file = File::open(path).map_err(open)?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let (rows, _) = if packed { read(flate2::read::GzDecoder::new(file))? } else { read(file)? };
    Ok(rows)
}

/// The schedule of the shipped model.
#[must_use]
pub fn schedule() -> Schedule {
    Schedule { steps: 8_000, batch: 256, peak_rate: 2e-3 }
}

/// A network from the first part of a recording; equal arguments give equal bits on one kind of machine.
#[must_use]
pub fn train(rows: &[Row], seed: u64, schedule: &Schedule) -> Network {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let fit = &rows[..fit_end(rows)];
    let recorded: Vec<Example> = (0..REPLAYS).flat_map(|_| examples(fit, &mut rng)).collect();
    let drawn: Vec<Example> = (0..WORLDS)
        .flat_map(|_| {
            let world = world(&mut rng);
            examples(&world, &mut rng)
        })
        .collect();
    let network = Network::random(&SIZES, &mut rng);
    descend(
        network,
        schedule,
        |_, _| (),
        |size| {
            let pick = |_| {
                let pool = if rng.random_bool(0.5) { &recorded } else { &drawn };
                pool.get(rng.random_range(0..pool.len().max(1)))
            };
            batch(&(0..size).map(pick).collect::<Option<Vec<&Example>>>()?).into()
        },
    )
}

/// Position at which the part to learn from ends.
fn fit_end(rows: &[Row]) -> usize {
    (FIT_SHARE * rows.len() as f64) as usize
}

fn batch(examples: &[&Example]) -> Batch {
    let features = Array2::from_shape_fn((examples.len(), FEATURES), |(row, column)| examples[row].0[column]);
    let truth = Array2::from_shape_fn((examples.len(), 1), |(row, _)| examples[row].1);
    Batch { features, truth, weight: vec![1.0; examples.len()] }
}

/// What the history knows before each entry, and what came; names change now and then.
fn examples(rows: &[Row], rng: &mut Pcg64Mcg) -> Vec<Example> {
    let mut history = History::default();
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        for name in [&row.class, &row.source] {
            let age = names.entry(name).or_default();
            *age += u32::from(rng.random_bool(1.0 / RENAMED_EVERY));
        }
        let renamed = |name: &str| format!("{name} {}", names.get(name).copied().unwrap_or_default());
        let (class, source) = (renamed(&row.class), renamed(&row.source));
        let entry = Entry { class: &class, source: &source, ..row.entry() };
        let (features, cost) = (history.features(&entry), row.cost_ms.ln());
        found.push((features.values, (cost - features.anchor).clamp(-CUT, CUT) as f32));
        history.learn(&entry, cost);
    }
    // The very first entries have nothing to be guessed from.
    found.drain(..found.len().min(20));
    found
}

/// Entries whose cost follows rules of their own: a base and a price by size for each class, factors by source and
/// destination, steps, noise, and sometimes a change halfway.
fn world(rng: &mut Pcg64Mcg) -> Vec<Row> {
    let count = |range: std::ops::Range<usize>, rng: &mut Pcg64Mcg| rng.random_range(range);
    let (classes, sources, destinations) = (count(2..12, rng), count(1..20, rng), count(1..4, rng));
    let mut factors = |number: usize, spread: f64| -> Vec<f64> {
        let spread = spread * rng.random_range(0.0..1.0);
        (0..number).map(|_| (spread * normal(rng)).exp()).collect()
    };
    let (bases, sources_factor, places) =
        (factors(classes, 1.5), factors(sources, 0.8), factors(destinations, 1.0));
    let prices: Vec<f64> =
        (0..classes).map(|_| if rng.random_bool(0.2) { 0.0 } else { log_uniform(1e-6..1e-3, rng) }).collect();
    let power = rng.random_range(0.6..1.1);
    let step_price = rng.random_range(0.0..0.5);
    let noise = log_uniform(0.03..0.6, rng);
    let change = if rng.random_bool(0.3) { rng.random_range(0.4..2.5) } else { 1.0 };
    let largest = log_uniform(2e3..2e6, rng);
    let unit = log_uniform(1e-2..1e3, rng);
    (0..WORLD_ENTRIES)
        .map(|number| {
            let class = rng.random_range(0..classes);
            let (source, place) = (rng.random_range(0..sources), class % destinations);
            let steps = (class % 5) as u32;
            let bytes = log_uniform(100.0..largest, rng);
            let late = if number > WORLD_ENTRIES / 2 { change } else { 1.0 };
            let work = bases[class] + prices[class] * bytes.powf(power);
            let factor =
                sources_factor[source] * places[place] * (1.0 + step_price * f64::from(steps)) * late;
            Row {
                timestamp_ms: number as f64,
                class: format!("class {class}"),
                source: format!("source {source}"),
                destination: format!("place {place}"),
                bytes: bytes as u64,
                steps,
                cost_ms: unit * work * factor * (noise * normal(rng)).exp(),
            }
        })
        .collect()
}

fn normal(rng: &mut Pcg64Mcg) -> f64 {
    StandardNormal.sample(rng)
}

/// The model as `impact.onnx` and `impact.json`.
///
/// # Errors
/// [`ReleaseError::Json`], or what the predictor's own checks say.
pub fn release(
    network: &Network,
    rows: &[Row],
    seed: u64,
    schedule: &Schedule,
) -> Result<[Vec<u8>; 2], ReleaseError> {
    let onnx = onnx::encode_impact(network);
    let sha256 = format!("{:x}", Sha256::digest(&onnx));
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let examples = examples(&rows[..fit_end(rows)], &mut rng);
    let every = (examples.len() / GOLDEN).max(1);
    let golden = examples.iter().step_by(every).take(GOLDEN).enumerate().map(|(index, (features, _))| {
        let input = features.map(|value| rounded(value.into(), DECIMALS));
        let one = ndarray::aview1(&input).insert_axis(ndarray::Axis(0));
        let output =
            network.forward(&one).quantiles.iter().map(|&value| rounded(value.into(), DECIMALS)).collect();
        Golden { label: format!("entry {}", index * every), input: input.to_vec(), output }
    });
    let manifest = ImpactManifest {
        name: "impact".to_owned(),
        version: format!("{}-{}", env!("CARGO_PKG_VERSION"), &sha256[..8]),
        sha256,
        schema: ImpactManifest::SCHEMA,
        seed,
        steps: schedule.steps,
        trained_on: vec![
            Source {
                name: "recorded entries".to_owned(),
                licence: "own".to_owned(),
                attribution: "models/record/record.py: systemd-journal-remote and an indexing receiver"
                    .to_owned(),
                windows: fit_end(rows),
            },
            Source {
                name: "drawn worlds".to_owned(),
                licence: "own".to_owned(),
                attribution: "generated from the seed by this trainer".to_owned(),
                windows: WORLDS * WORLD_ENTRIES,
            },
        ],
        golden: golden.collect(),
    };
    let json = crate::release::lined_json(&manifest)?;
    ImpactModel::load(&onnx, &json)?;
    Ok([onnx, json])
}

/// Writes both files into a folder.
///
/// # Errors
/// [`ReleaseError::File`].
pub fn write(folder: &Path, files: &[Vec<u8>; 2]) -> Result<(), ReleaseError> {
    for (name, content) in ["impact.onnx", "impact.json"].into_iter().zip(files) {
        let path = folder.join(name);
        fs::write(&path, content)
            .map_err(|reason| ReleaseError::File { path: path.display().to_string(), reason })?;
    }
    Ok(())
}

/// Judges the recipe on the last part of a recording; `files` were trained on its first part.
///
/// # Errors
/// What the predictor's checks say of a model.
pub fn report(rows: &[Row], files: &[Vec<u8>; 2], seed: u64) -> Result<ImpactReport, ReleaseError> {
    let model = ImpactModel::load(&files[0], &files[1])?;
    let start = fit_end(rows);
    let estimates = replay(rows, Predictor::new(Some(Arc::new(model))));
    let pairs: Vec<_> = rows.iter().zip(&estimates).skip(start).collect();

    let held_out = |row: &Row| HELD_OUT.contains(&row.class.as_str());
    let known: Vec<Row> = rows[..start].iter().filter(|row| !held_out(row)).cloned().collect();
    // All of the known rows teach this one: the later ones are left for the judgement below.
    let padded = known.len() as f64 / FIT_SHARE;
    let filler = (padded - known.len() as f64) as usize + 1;
    let taught: Vec<Row> = known.iter().cloned().chain(known.iter().take(filler).cloned()).collect();
    let network = train(&taught, seed, &schedule());
    let [onnx, json] = release(&network, &taught, seed, &schedule())?;
    let model = ImpactModel::load(&onnx, &json)?;
    // Nobody has ever seen the class of a held-out entry, not even once before.
    let renamed: Vec<Row> = rows
        .iter()
        .enumerate()
        .filter(|(index, row)| *index >= start || !held_out(row))
        .map(|(index, row)| {
            let class = if held_out(row) { format!("{} {index}", row.class) } else { row.class.clone() };
            Row { class, ..row.clone() }
        })
        .collect();
    let unseen = replay(&renamed, Predictor::new(Some(Arc::new(model))));
    let is_new = |row: &Row| HELD_OUT.iter().any(|name| row.class.starts_with(&format!("{name} ")));
    let new: Vec<_> = renamed.iter().zip(&unseen).filter(|(row, _)| is_new(row)).collect();
    Ok(ImpactReport {
        later: figures(&pairs, 0),
        class_ewma: figures(&pairs, 1),
        ridge: figures(&pairs, 3),
        unseen: figures(&new, 0),
    })
}
