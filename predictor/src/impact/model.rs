//! The impact network: read like a load model, refused unless it proves itself, run by tract.

use std::sync::Arc;

use foreshift_engine::forecast::Quantiles;
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

use super::history::FEATURES;
use crate::inspect::{self, Contract};
use crate::model::digest;
use crate::{Golden, LEVELS, ModelError, Source};

/// Largest difference to a golden vector; answers are logarithms.
const TOLERANCE: f32 = 1e-4;

/// Layout of the features; another one needs another model.
const SCHEMA: u32 = 1;

/// Description of an impact model's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImpactManifest {
    /// `impact`.
    pub name: String,
    /// Version of the family.
    pub version: String,
    /// SHA-256 of the ONNX file, lower-case hex.
    pub sha256: String,
    /// Layout of the features.
    pub schema: u32,
    /// Seed of the training run.
    pub seed: u64,
    /// Optimiser steps of the training run.
    pub steps: u32,
    /// What it was trained on.
    pub trained_on: Vec<Source>,
    /// Inputs with the outputs that any correct runtime gives.
    pub golden: Vec<Golden>,
}

/// An impact network that passed all checks.
#[derive(Clone, Debug)]
pub struct ImpactModel {
    plan: Arc<TypedRunnableModel>,
    digest: String,
}

impl ImpactManifest {
    /// The layout that this release feeds.
    pub const SCHEMA: u32 = SCHEMA;
}

impl ImpactModel {
    /// Checks a file against its manifest and prepares it to run.
    ///
    /// # Errors
    /// The [`ModelError`] variant of the first check that fails.
    pub fn load(onnx: &[u8], manifest: &[u8]) -> Result<Self, ModelError> {
        let manifest: ImpactManifest =
            serde_json::from_slice(manifest).map_err(|error| ModelError::Manifest(error.to_string()))?;
        if manifest.schema != SCHEMA {
            let (expected, found) = (SCHEMA.to_string(), manifest.schema.to_string());
            return Err(ModelError::Contract { field: "schema", expected, found });
        }
        let digest = digest(onnx);
        if digest != manifest.sha256 {
            return Err(ModelError::Digest { expected: manifest.sha256, found: digest });
        }
        inspect::inspect_as(onnx, &Contract::IMPACT)?;
        let plan = prepare(onnx).map_err(|error| ModelError::Runtime(format!("{error:#}")))?;
        let model = Self { plan, digest };
        manifest.golden.iter().try_for_each(|golden| model.prove(golden))?;
        Ok(model)
    }

    /// The model that this release was built with.
    ///
    /// # Errors
    /// As [`ImpactModel::load`]; a test holds that there are none.
    pub fn shipped() -> Result<Self, ModelError> {
        let (onnx, manifest) =
            (include_bytes!("../../../models/impact.onnx"), include_bytes!("../../../models/impact.json"));
        Self::load(onnx, manifest)
    }

    /// SHA-256 of the file, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Quantiles of log cost, counted from the features' anchor.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] if the runtime fails or answers nonsense.
    pub fn predict(&self, features: &[f32; FEATURES]) -> Result<Quantiles, ModelError> {
        let [p50, p90, p99] =
            self.run(features).map_err(|error| ModelError::Runtime(format!("{error:#}")))?;
        if !(p50 <= p90 && p90 <= p99 && p50.is_finite() && p99.is_finite()) {
            return Err(ModelError::Runtime(format!(
                "it answers {p50}, {p90}, {p99}, which are no quantiles"
            )));
        }
        Ok(Quantiles { p50: p50.into(), p90: p90.into(), p99: p99.into() })
    }

    fn run(&self, features: &[f32; FEATURES]) -> TractResult<[f32; LEVELS.len()]> {
        let input = Tensor::from_shape(&[1, FEATURES], features)?;
        let outputs = self.plan.run(tvec!(input.into()))?;
        let view = outputs[0].to_plain_array_view::<f32>()?;
        Ok(view.as_slice().unwrap_or_default().try_into()?)
    }

    fn prove(&self, golden: &Golden) -> Result<(), ModelError> {
        let input: &[f32; FEATURES] = golden.input.as_slice().try_into().map_err(|_| ModelError::Window)?;
        let answer = self.predict(input)?;
        for (found, &expected) in [answer.p50, answer.p90, answer.p99].into_iter().zip(&golden.output) {
            let found = found as f32;
            let near = (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
            if !near {
                return Err(ModelError::Golden { label: golden.label.clone(), expected, found });
            }
        }
        Ok(())
    }
}

fn prepare(onnx: &[u8]) -> TractResult<Arc<TypedRunnableModel>> {
    tract_onnx::onnx()
        .model_for_read(&mut std::io::Cursor::new(onnx))?
        .with_input_fact(0, f32::fact([1, FEATURES]).into())?
        .into_optimized()?
        .into_runnable()
}
