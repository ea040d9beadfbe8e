//! The manifest beside every ONNX file: what the model expects, where it came from, and how to tell that it works.

use foreshift_engine::forecast::HORIZON_STEPS;
use serde::{Deserialize, Serialize};

use crate::{HEADS, LEVELS, ModelError, WINDOW};

/// Largest manifest that is read.
pub(crate) const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// Fewest golden vectors that a manifest must bring.
pub(crate) const MIN_GOLDEN: usize = 32;

/// Description of one model file; written by the trainer, read before the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model family, for example `load`.
    pub name: String,
    /// Version of the family; another network or another training run is another version.
    pub version: String,
    /// SHA-256 of the ONNX file, lower-case hex.
    pub sha256: String,
    /// ONNX operator set of the file.
    pub opset: i64,
    /// Samples in the input window.
    pub window: usize,
    /// What each value of a window step means; this release feeds `demand` (offered load) alone.
    pub channels: Vec<String>,
    /// Steps ahead that are answered; one more answer is the highest value within the last of them.
    pub horizons: Vec<u32>,
    /// Quantile levels of each answer.
    pub quantiles: Vec<f64>,
    /// Seed of the training run.
    pub seed: u64,
    /// Optimiser steps of the training run.
    pub steps: u32,
    /// What it was trained on.
    pub trained_on: Vec<Source>,
    /// Inputs with the outputs that any correct runtime gives, at least 32.
    pub golden: Vec<Golden>,
}

/// A data set that went into a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name of the data set.
    pub name: String,
    /// SPDX identifier of its licence, or `own` for data this project generates.
    pub licence: String,
    /// Whom the licence asks to name.
    pub attribution: String,
    /// Windows that the training part holds.
    pub windows: usize,
}

/// One input with its right answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// What the window shows, for example `ramp 0.02`.
    pub label: String,
    /// The window, oldest first.
    pub input: Vec<f32>,
    /// Quantiles head by head: `p50, p90, p99` of the first horizon, then of the next; the peak comes last.
    pub output: Vec<f32>,
}

impl Manifest {
    /// Reads a manifest and checks that it promises what this release asks for.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] if it is too large, no valid JSON or incomplete, [`ModelError::Contract`] if the
    /// model is made for another window, other horizons, quantiles or channels.
    pub fn from_json(json: &[u8]) -> Result<Self, ModelError> {
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(ModelError::Manifest(format!(
                "it has {} bytes, at most {MAX_MANIFEST_BYTES} are read",
                json.len()
            )));
        }
        let manifest: Self =
            serde_json::from_slice(json).map_err(|error| ModelError::Manifest(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks the promise against what this release feeds and reads.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        agree("window", &self.window, &WINDOW)?;
        agree("channels", &self.channels, &vec!["demand".to_owned()])?;
        agree("horizons", &self.horizons, &HORIZON_STEPS.to_vec())?;
        agree("quantiles", &self.quantiles, &LEVELS.to_vec())?;
        if self.golden.len() < MIN_GOLDEN {
            return Err(ModelError::Manifest(format!(
                "it brings {} golden vectors, at least {MIN_GOLDEN} are needed",
                self.golden.len()
            )));
        }
        let outputs = HEADS * LEVELS.len();
        match self.golden.iter().find(|g| g.input.len() != WINDOW || g.output.len() != outputs) {
            Some(golden) => Err(ModelError::Manifest(format!(
                "golden vector `{}` has {} inputs and {} outputs instead of {WINDOW} and {outputs}",
                golden.label,
                golden.input.len(),
                golden.output.len()
            ))),
            None => Ok(()),
        }
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(
    field: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), ModelError> {
    if found == expected {
        return Ok(());
    }
    Err(ModelError::Contract { field, expected: format!("{expected:?}"), found: format!("{found:?}") })
}
