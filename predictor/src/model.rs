//! The ONNX network: refused unless it proves itself, then run by tract.

use std::sync::Arc;

use foreshift_engine::forecast::Quantiles;
use sha2::{Digest, Sha256};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::format_err;

use crate::{Golden, HEADS, LEVELS, Manifest, Prediction, WINDOW, admissible, inspect};

/// Largest relative difference to a golden vector; loads below [`GOLDEN_FLOOR`] count as that much.
const GOLDEN_TOLERANCE: f32 = 1e-4;

/// The load below which differences are judged absolutely.
const GOLDEN_FLOOR: f32 = 0.1;

const OUTPUTS: usize = HEADS * LEVELS.len();

/// Why a model is not used. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The manifest cannot be read or is incomplete.
    #[error(
        "the model manifest is unusable: {0}; write it together with the model by `foreshift-trainer train`"
    )]
    Manifest(String),
    /// The model was made for other inputs or outputs.
    #[error(
        "the manifest's {field} is {found} where this release needs {expected}; train a model with this release"
    )]
    Contract {
        /// The field that differs.
        field: &'static str,
        /// What this release feeds or reads.
        expected: String,
        /// What the manifest says.
        found: String,
    },
    /// The file is larger than any load model has reason to be.
    #[error("the model file has {bytes} bytes, at most {limit} are read; give a smaller model")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// The largest size that is read.
        limit: usize,
    },
    /// The file is not the one the manifest describes.
    #[error(
        "the model's SHA-256 is {found}, the manifest says {expected}; copy both files again from one training run"
    )]
    Digest {
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The bytes are no ONNX file.
    #[error("the model file is no ONNX file: {0}; copy it again, it may be truncated")]
    NotOnnx(String),
    /// The operator set is outside the tested range.
    #[error("the model uses operator set `{found}`; export it with the default domain, opset 17")]
    Opset {
        /// What the file asks for.
        found: String,
    },
    /// An operator that load models have no need of.
    #[error(
        "the model uses operator `{operator}`, which is not on the list of allowed ones; export it without"
    )]
    Operator {
        /// The operator, with its domain if it has one.
        operator: String,
    },
    /// More nodes than can be optimised in a short time.
    #[error("the model has {nodes} nodes, at most {limit} are allowed; give a smaller model")]
    TooManyNodes {
        /// Nodes of the graph.
        nodes: usize,
        /// The most that are allowed.
        limit: usize,
    },
    /// More constants than a load model has reason to hold.
    #[error("the model's constants hold more than {limit} numbers; give a smaller model")]
    TooManyWeights {
        /// The most that are allowed.
        limit: usize,
    },
    /// A constant that does not hold what it declares.
    #[error("the model's constant `{tensor}` is refused: {reason}; export the model again")]
    Constant {
        /// Name of the constant.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Data in another file.
    #[error("the model's constant `{tensor}` lies in another file; export the model with all data inside")]
    ExternalData {
        /// Name of the constant.
        tensor: String,
    },
    /// A weight that is NaN or infinite.
    #[error("the model's constant `{tensor}` holds a value that is not finite; train it again")]
    NonFiniteWeight {
        /// Name of the constant.
        tensor: String,
    },
    /// A feature of ONNX that load models have no need of.
    #[error("the model uses {0}, which are not allowed; export it as a plain graph")]
    Unsupported(String),
    /// Input or output differ from the contract.
    #[error("the model's interface does not fit: {0}; train a model with this release")]
    Interface(String),
    /// A node whose shapes do not fit or grow too large.
    #[error("the model's node `{node}` is refused: {reason}; export the model again")]
    Shape {
        /// Operator and name of the node.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime refused the model or a run of it.
    #[error("the model does not run: {0}; train a model with this release")]
    Runtime(String),
    /// The model does not compute what its manifest says.
    #[error(
        "the model answers {found} to golden vector `{label}` where its manifest says {expected}; train it again"
    )]
    Golden {
        /// Which golden vector.
        label: String,
        /// The manifest's value.
        expected: f32,
        /// The model's value.
        found: f32,
    },
    /// An output that is NaN, infinite, negative or not ordered.
    #[error("the model answers {0:?}, which is no set of quantiles of a load; train it again")]
    Quantiles([f32; OUTPUTS]),
    /// An input that is NaN or infinite.
    #[error("the window holds a value that is not finite; feed finite loads")]
    Window,
}

/// A model that passed all checks; cheap to clone, shared by all forecasters.
#[derive(Clone, Debug)]
pub struct Model {
    plan: Arc<TypedRunnableModel>,
    name: String,
    digest: String,
}

impl Model {
    /// Checks a file against its manifest and prepares it to run.
    ///
    /// The order matters: size and digest are checked before anything is decoded, and the whole graph is understood
    /// ([`inspect`]) before the runtime sees it. Takes some 10 ms; the golden vectors are run before it returns.
    ///
    /// # Errors
    /// The [`ModelError`] variant of the first check that fails.
    pub fn load(onnx: &[u8], manifest: &Manifest) -> Result<Self, ModelError> {
        manifest.check()?;
        if onnx.len() > inspect::MAX_BYTES {
            return Err(ModelError::TooLarge { bytes: onnx.len(), limit: inspect::MAX_BYTES });
        }
        let digest = digest(onnx);
        if digest != manifest.sha256 {
            return Err(ModelError::Digest { expected: manifest.sha256.clone(), found: digest });
        }
        let name = format!("{} {}", manifest.name, manifest.version);
        let model = Self::prepared(onnx, name, Some(manifest.opset))?;
        manifest.golden.iter().try_for_each(|golden| model.prove(golden))?;
        Ok(model)
    }

    /// Prepares a file that came without a manifest: it is understood in full before it runs, as with one, but nothing
    /// says that its weights are the ones that were trained. For looking at a model, not for acting on it.
    ///
    /// # Errors
    /// The [`ModelError`] variant of the first check that fails.
    pub fn load_unsigned(onnx: &[u8]) -> Result<Self, ModelError> {
        Self::prepared(onnx, "a model without a manifest".to_owned(), None)
    }

    fn prepared(onnx: &[u8], name: String, opset: Option<i64>) -> Result<Self, ModelError> {
        let summary = inspect(onnx)?;
        if opset.is_some_and(|promised| promised != summary.opset) {
            return Err(ModelError::Opset { found: summary.opset.to_string() });
        }
        let plan = prepare(onnx).map_err(|error| ModelError::Runtime(format!("{error:#}")))?;
        Ok(Self { plan, name, digest: digest(onnx) })
    }

    /// Quantiles of load at each head, for a window with the oldest load first.
    ///
    /// # Errors
    /// [`ModelError::Window`] for a window that is not finite, [`ModelError::Quantiles`] for an answer that makes no
    /// sense, [`ModelError::Runtime`] if the runtime fails.
    pub fn predict(&self, window: &[f64; WINDOW]) -> Result<Prediction, ModelError> {
        let mut input = [0.0; WINDOW];
        for (value, &load) in input.iter_mut().zip(window) {
            *value = admissible(load).ok_or(ModelError::Window)? as f32;
        }
        let output = self.run(&input)?;
        let (heads, _) = output.as_chunks::<{ LEVELS.len() }>();
        let mut prediction = Prediction::default();
        for (quantiles, &[p50, p90, p99]) in prediction.iter_mut().zip(heads) {
            *quantiles = Quantiles { p50: p50.into(), p90: p90.into(), p99: p99.into() };
        }
        Ok(prediction)
    }

    /// Name and version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn prove(&self, golden: &Golden) -> Result<(), ModelError> {
        let input: &[f32; WINDOW] = golden.input.as_slice().try_into().map_err(|_| ModelError::Window)?;
        let output = self.run(input)?;
        for (&found, &expected) in output.iter().zip(&golden.output) {
            // Written so that a NaN on either side fails.
            let near = (found - expected).abs() <= GOLDEN_TOLERANCE * expected.abs().max(GOLDEN_FLOOR);
            if !near {
                return Err(ModelError::Golden { label: golden.label.clone(), expected, found });
            }
        }
        Ok(())
    }

    fn run(&self, window: &[f32; WINDOW]) -> Result<[f32; OUTPUTS], ModelError> {
        let output = self.evaluate(window).map_err(|error| ModelError::Runtime(format!("{error:#}")))?;
        let (heads, _) = output.as_chunks::<{ LEVELS.len() }>();
        let sensible = |head: &[f32; 3]| {
            head[0] >= 0.0 && head[0] <= head[1] && head[1] <= head[2] && head[2].is_finite()
        };
        if heads.iter().all(sensible) { Ok(output) } else { Err(ModelError::Quantiles(output)) }
    }

    fn evaluate(&self, window: &[f32; WINDOW]) -> TractResult<[f32; OUTPUTS]> {
        let input = Tensor::from_shape(&[1, WINDOW, 1], window)?;
        let outputs = self.plan.run(tvec!(input.into()))?;
        let output = outputs.first().ok_or_else(|| format_err!("the model has no output"))?;
        let view = output.to_plain_array_view::<f32>()?;
        let values = view.as_slice().ok_or_else(|| format_err!("the output is not contiguous"))?;
        Ok(values.try_into()?)
    }
}

fn prepare(onnx: &[u8]) -> TractResult<Arc<TypedRunnableModel>> {
    tract_onnx::onnx()
        .model_for_read(&mut std::io::Cursor::new(onnx))?
        .with_input_fact(0, f32::fact([1, WINDOW, 1]).into())?
        .into_optimized()?
        .into_runnable()
}

/// SHA-256, lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| DIGITS[usize::from(digit)] as char)
        .collect()
}
