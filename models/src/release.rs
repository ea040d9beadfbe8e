//! The three files of a trained model: the network, its manifest with golden vectors, and the card for people.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use foreshift_engine::forecast::HORIZON_STEPS;
use foreshift_predictor::{Golden, LEVELS, Manifest, Model, ModelError, Source, WINDOW};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::episodes::{LENGTH, Shape, episodes};
use crate::features::Features;
use crate::network::Network;
use crate::onnx;
use crate::recipe;
use crate::report::Report;
use crate::traces::DataSet;
use crate::training::{SIZES, Schedule};
use crate::windows::{Part, Series};

/// Seed of the episodes that golden windows are cut from.
const GOLDEN_SEED: u64 = 0x601d;

/// Golden windows cut from episodes; each shape gives as many.
const GOLDEN_EPISODES: usize = 4 * Shape::ALL.len();

/// Decimals of golden inputs and outputs; half of the last one is a hundredth of what the loader tolerates.
const INPUT_DECIMALS: i32 = 4;
const OUTPUT_DECIMALS: i32 = 6;

/// JSON levels that get a line for each value: a golden vector fills one line.
const LINED_LEVELS: usize = 2;

/// Why a release cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A file cannot be read or written.
    #[error("cannot access {path}: {reason}; give a folder that exists, with the rights it takes")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The manifest cannot be written as JSON.
    #[error("cannot write the manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// The model does not pass the predictor's checks.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A network ready to be shipped.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Content of `load.onnx`.
    pub onnx: Vec<u8>,
    /// Content of `load.json`.
    pub manifest: Manifest,
}

impl Release {
    /// Writes a network down and notes where it comes from.
    #[must_use]
    pub fn new(network: &Network, seed: u64, schedule: &Schedule, trained_on: Vec<Source>) -> Self {
        let onnx = onnx::encode(network);
        let sha256 = format!("{:x}", Sha256::digest(&onnx));
        let manifest = Manifest {
            name: "load".to_owned(),
            version: format!("{}-{}", env!("CARGO_PKG_VERSION"), &sha256[..8]),
            sha256,
            opset: onnx::OPSET,
            window: WINDOW,
            channels: vec!["demand".to_owned()],
            horizons: HORIZON_STEPS.to_vec(),
            quantiles: LEVELS.to_vec(),
            seed,
            steps: schedule.steps,
            trained_on,
            golden: golden(network),
        };
        Self { onnx, manifest }
    }

    /// Reads `load.onnx` and `load.json` of a folder.
    ///
    /// # Errors
    /// [`ReleaseError::File`] or what the manifest's own checks say.
    pub fn read(folder: &Path) -> Result<Self, ReleaseError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|reason| ReleaseError::File { path: path.display().to_string(), reason })
        };
        Ok(Self { onnx: read("load.onnx")?, manifest: Manifest::from_json(&read("load.json")?)? })
    }

    /// A model from the content of its files.
    ///
    /// # Errors
    /// What the manifest's own checks say.
    pub fn of(onnx: Vec<u8>, manifest: &[u8]) -> Result<Self, ReleaseError> {
        Ok(Self { onnx, manifest: Manifest::from_json(manifest)? })
    }

    /// Passes the files through the checks of the operator.
    ///
    /// # Errors
    /// [`ReleaseError::Model`] with the check that failed.
    pub fn load(&self) -> Result<Model, ReleaseError> {
        Ok(Model::load(&self.onnx, &self.manifest)?)
    }

    /// Writes `load.onnx`, `load.json` and `CARD.md` into a folder, which is made if need be.
    ///
    /// # Errors
    /// [`ReleaseError::File`] if one cannot be written.
    pub fn write(&self, folder: &Path, report: &Report) -> Result<(), ReleaseError> {
        let at = |path: &Path, reason| ReleaseError::File { path: path.display().to_string(), reason };
        fs::create_dir_all(folder).map_err(|reason| at(folder, reason))?;
        let files = [
            ("load.onnx", self.onnx.clone()),
            ("load.json", self.json()?),
            ("CARD.md", self.card(report).into()),
        ];
        for (name, content) in files {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|reason| at(&path, reason))?;
        }
        Ok(())
    }

    /// The manifest as JSON, a golden vector a line.
    ///
    /// # Errors
    /// [`ReleaseError::Json`].
    pub fn json(&self) -> Result<Vec<u8>, ReleaseError> {
        Ok(lined_json(&self.manifest)?)
    }

    fn card(&self, report: &Report) -> String {
        let manifest = &self.manifest;
        let mut data = String::new();
        for source in &manifest.trained_on {
            // Writing to a string cannot fail.
            let _ = writeln!(
                data,
                "| {} | {} | {} | {} |",
                source.name, source.licence, source.attribution, source.windows
            );
        }
        format!(
            include_str!("card.md.in"),
            version = manifest.version,
            sha256 = manifest.sha256,
            opset = manifest.opset,
            bytes = self.onnx.len(),
            hidden = SIZES[1],
            parameters = SIZES.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum::<usize>(),
            seed = manifest.seed,
            steps = manifest.steps,
            batch = Schedule::default().batch,
            data = data,
            report = report,
        )
    }
}

/// JSON with a line for each golden vector.
pub(crate) fn lined_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Lines::default()))?;
    json.push(b'\n');
    Ok(json)
}

/// What the manifest says of the data: all traces, then the episodes.
#[must_use]
pub fn sources(sets: &[DataSet]) -> Vec<Source> {
    let fit = |series: &Series| Series::window_ends(&series.range(Part::Fit)).len();
    let traces = sets.iter().map(|set| Source {
        name: set.name.to_owned(),
        licence: set.licence.to_owned(),
        attribution: set.attribution.to_owned(),
        windows: set.series.iter().map(fit).sum(),
    });
    let synthetic = Source {
        name: "saturation episodes".to_owned(),
        licence: "own".to_owned(),
        attribution: "generated from the seed by this trainer".to_owned(),
        windows: recipe::EPISODES * Series::window_ends(&(0..LENGTH)).len(),
    };
    traces.chain([synthetic]).collect()
}

/// Plain windows, and windows from the middle of episodes of every shape.
fn golden(network: &Network) -> Vec<Golden> {
    let line =
        |start: f64, slope: f64| (0..WINDOW).map(|step| start + slope * step as f64).collect::<Vec<_>>();
    let plain = [
        ("idle".to_owned(), line(0.0, 0.0)),
        ("constant 0.4".to_owned(), line(0.4, 0.0)),
        ("constant 1.5".to_owned(), line(1.5, 0.0)),
        ("ramp 0.005".to_owned(), line(0.2, 0.005)),
        ("ramp 0.027".to_owned(), line(0.4, 0.027)),
        ("ramp 0.2".to_owned(), line(0.1, 0.2)),
        ("ramp -0.03".to_owned(), line(1.2, -0.03)),
        ("beyond all measure".to_owned(), line(300.0, 20.0)),
    ];
    let cut = episodes(GOLDEN_EPISODES, GOLDEN_SEED).enumerate().map(|(index, episode)| {
        let start = (index * 37) % (LENGTH - WINDOW);
        let label = format!("{} {}", episode.shape.name(), index / Shape::ALL.len() + 1);
        (label, episode.loads[start..start + WINDOW].to_vec())
    });
    plain.into_iter().chain(cut).map(|(label, loads)| answer(network, label, &loads)).collect()
}

fn answer(network: &Network, label: String, loads: &[f64]) -> Golden {
    let mut window = [0.0_f32; WINDOW];
    window.iter_mut().zip(loads).for_each(|(value, &load)| *value = rounded(load, INPUT_DECIMALS));
    let features = Features::of(&window);
    let output = features.denormalise(&quantiles(network, &features));
    let output = output.iter().map(|&load| rounded(load.into(), OUTPUT_DECIMALS)).collect();
    Golden { label, input: window.to_vec(), output }
}

/// Normalised quantiles of one window.
#[must_use]
pub fn quantiles(network: &Network, features: &Features) -> Vec<f32> {
    let one = ndarray::aview1(&features.values).insert_axis(ndarray::Axis(0));
    network.forward(&one).quantiles.into_iter().collect()
}

pub(crate) fn rounded(value: f64, decimals: i32) -> f32 {
    let unit = 10_f64.powi(decimals);
    ((value * unit).round() / unit) as f32
}

/// JSON that breaks lines down to [`LINED_LEVELS`].
#[derive(Default)]
struct Lines {
    depth: usize,
}

impl Lines {
    fn open(&mut self, writer: &mut (impl io::Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(bracket)
    }

    fn value(&self, writer: &mut (impl io::Write + ?Sized), first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b"," })?;
        if self.depth > LINED_LEVELS {
            return Ok(());
        }
        write!(writer, "\n{:1$}", "", self.depth)
    }

    fn close(&mut self, writer: &mut (impl io::Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < LINED_LEVELS {
            write!(writer, "\n{:1$}", "", self.depth)?;
        }
        writer.write_all(bracket)
    }
}

impl serde_json::ser::Formatter for Lines {
    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.value(writer, first)
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.value(writer, first)
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }
}
