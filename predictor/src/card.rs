//! What can be told about a model file: shapes, operators, digest, and what its manifest adds.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::inspect::{Contract, inspect_as};
use crate::{Manifest, ModelError, Source, model::digest};

/// A model file in words.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// What kind of model it is: `load` or `impact`.
    pub kind: &'static str,
    /// Size of the file.
    pub bytes: usize,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// ONNX operator set.
    pub opset: i64,
    /// Name and shape of the input.
    pub input: (&'static str, Vec<usize>),
    /// Name and shape of the output.
    pub output: (&'static str, Vec<usize>),
    /// Nodes of the graph.
    pub nodes: usize,
    /// Numbers in all constants.
    pub weights: usize,
    /// How often each operator occurs.
    pub operators: BTreeMap<String, usize>,
    /// Whether the manifest is of this very file; none without a manifest.
    pub manifest_agrees: Option<bool>,
    /// Version by the manifest.
    pub version: Option<String>,
    /// What it was trained on, by the manifest.
    pub trained_on: Vec<Source>,
}

impl Card {
    /// Understands a file, as a load forecaster or else as an impact model.
    ///
    /// # Errors
    /// Why it is neither: what [`crate::inspect()`] says of it as a load forecaster.
    pub fn of(onnx: &[u8], manifest: Option<&Manifest>) -> Result<Self, ModelError> {
        let (contract, summary) = match inspect_as(onnx, &Contract::IMPACT) {
            Ok(summary) => (Contract::IMPACT, summary),
            Err(_) => (Contract::LOAD, inspect_as(onnx, &Contract::LOAD)?),
        };
        let sha256 = digest(onnx);
        Ok(Self {
            kind: contract.kind,
            bytes: onnx.len(),
            opset: summary.opset,
            input: (contract.input.0, contract.input.1.to_vec()),
            output: (contract.output.0, contract.output.1.to_vec()),
            nodes: summary.nodes,
            weights: summary.weights,
            operators: summary.operators,
            manifest_agrees: manifest.map(|manifest| manifest.sha256 == sha256),
            version: manifest.map(|manifest| manifest.version.clone()),
            trained_on: manifest.map(|manifest| manifest.trained_on.clone()).unwrap_or_default(),
            sha256,
        })
    }
}

impl Display for Card {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} model, {} bytes, operator set {}", self.kind, self.bytes, self.opset)?;
        writeln!(f, "sha256   {}", self.sha256)?;
        writeln!(f, "input    {} {:?}", self.input.0, self.input.1)?;
        writeln!(f, "output   {} {:?}", self.output.0, self.output.1)?;
        let operators: Vec<String> =
            self.operators.iter().map(|(operator, count)| format!("{operator} {count}")).collect();
        writeln!(f, "graph    {} nodes, {} numbers: {}", self.nodes, self.weights, operators.join(", "))?;
        match self.manifest_agrees {
            None => writeln!(f, "manifest none beside the file"),
            Some(false) => writeln!(f, "manifest of another file: its digest differs"),
            Some(true) => {
                writeln!(f, "manifest agrees, version {}", self.version.as_deref().unwrap_or("unknown"))
            }
        }?;
        self.trained_on.iter().try_for_each(|source| {
            writeln!(
                f,
                "data     {} ({}), {} windows: {}",
                source.name, source.licence, source.windows, source.attribution
            )
        })
    }
}
