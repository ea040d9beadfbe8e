//! What can be said of a model file without running it.
//!
//! Runtimes accept files that then exhaust memory or time while being optimised, or that silently compute
//! nonsense; so a file is read as plain protobuf first and refused unless all of it is understood. Nothing here
//! allocates more than a small multiple of the file's size.

use std::collections::BTreeMap;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, ValueInfoProto};

use prost::Message as _;

use crate::shapes::{Shape, Shapes};
use crate::{HEADS, LEVELS, ModelError, WINDOW};

/// Largest file that is looked at.
pub const MAX_BYTES: usize = 1 << 20;

/// Most nodes of a graph; optimising takes more than linear time in them.
pub const MAX_NODES: usize = 128;

/// Most numbers in all constants of a graph together.
pub const MAX_WEIGHTS: usize = 1 << 17;

/// Operator sets whose rules the shape walk follows.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=17;

/// Operators that a load model needs; all of them are run alike by tract and onnxruntime.
const OPERATORS: [&str; 15] = [
    "Abs",
    "Add",
    "Clip",
    "Concat",
    "Div",
    "Gemm",
    "MatMul",
    "Mul",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Slice",
    "Softplus",
    "Sqrt",
    "Sub",
];

/// What goes into a model and what comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// What kind of model it is.
    pub kind: &'static str,
    /// Name and shape of the input.
    pub input: (&'static str, &'static [usize]),
    /// Name and shape of the output.
    pub output: (&'static str, &'static [usize]),
}

impl Contract {
    /// A load forecaster.
    pub const LOAD: Self = Self {
        kind: "load",
        input: ("window", &[1, WINDOW, 1]),
        output: ("quantiles", &[1, HEADS, LEVELS.len()]),
    };

    /// An impact model.
    pub const IMPACT: Self = Self {
        kind: "impact",
        input: ("features", &[1, crate::impact::FEATURES]),
        output: ("quantiles", &[1, LEVELS.len()]),
    };
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Operator set.
    pub opset: i64,
    /// Nodes of the graph.
    pub nodes: usize,
    /// Numbers in all constants together.
    pub weights: usize,
    /// How often each operator occurs.
    pub operators: BTreeMap<String, usize>,
}

/// Reads a load forecaster and refuses whatever this release does not understand in full.
///
/// # Errors
/// The [`ModelError`] variant of the first rule that is broken.
pub fn inspect(bytes: &[u8]) -> Result<Summary, ModelError> {
    inspect_as(bytes, &Contract::LOAD)
}

/// Reads a model that is to keep a contract, and refuses whatever this release does not understand in full.
///
/// # Errors
/// The [`ModelError`] variant of the first rule that is broken.
pub fn inspect_as(bytes: &[u8], contract: &Contract) -> Result<Summary, ModelError> {
    if bytes.len() > MAX_BYTES {
        return Err(ModelError::TooLarge { bytes: bytes.len(), limit: MAX_BYTES });
    }
    let model = ModelProto::decode(bytes).map_err(|error| ModelError::NotOnnx(error.to_string()))?;
    let opset = operator_set(&model)?;
    if !model.functions.is_empty() || !model.training_info.is_empty() {
        return Err(ModelError::Unsupported("functions and training graphs".to_owned()));
    }
    let graph = model.graph.as_ref().ok_or_else(|| ModelError::NotOnnx("it holds no graph".to_owned()))?;
    let operators = operators(graph)?;
    let mut shapes = Shapes::default();
    let weights = constants(graph, &mut shapes)?;
    walk(graph, &mut shapes, contract)?;
    Ok(Summary { opset, nodes: graph.node.len(), weights, operators })
}

fn operator_set(model: &ModelProto) -> Result<i64, ModelError> {
    match model.opset_import.as_slice() {
        [only] if only.domain.is_empty() && OPSETS.contains(&only.version) => Ok(only.version),
        found => {
            let found: Vec<String> =
                found.iter().map(|set| format!("{} {}", set.domain, set.version)).collect();
            Err(ModelError::Opset { found: found.join(", ").trim().to_owned() })
        }
    }
}

fn operators(graph: &GraphProto) -> Result<BTreeMap<String, usize>, ModelError> {
    if graph.node.len() > MAX_NODES {
        return Err(ModelError::TooManyNodes { nodes: graph.node.len(), limit: MAX_NODES });
    }
    let mut counts = BTreeMap::new();
    for node in &graph.node {
        if !node.domain.is_empty() || !OPERATORS.contains(&node.op_type.as_str()) {
            return Err(ModelError::Operator {
                operator: format!("{} {}", node.domain, node.op_type).trim().to_owned(),
            });
        }
        let nested = |a: &tract_onnx::pb::AttributeProto| {
            a.g.is_some()
                || a.t.is_some()
                || a.sparse_tensor.is_some()
                || !a.graphs.is_empty()
                || !a.tensors.is_empty()
        };
        if node.attribute.iter().any(nested) {
            return Err(ModelError::Unsupported(format!(
                "tensors or graphs as attributes of `{}`",
                node.name
            )));
        }
        *counts.entry(node.op_type.clone()).or_insert(0) += 1;
    }
    Ok(counts)
}

fn constants(graph: &GraphProto, shapes: &mut Shapes) -> Result<usize, ModelError> {
    if !graph.sparse_initializer.is_empty() {
        return Err(ModelError::Unsupported("sparse constants".to_owned()));
    }
    let mut total = 0_usize;
    for tensor in &graph.initializer {
        let shape = dimensions(tensor)?;
        let count = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        total = count.and_then(|count| total.checked_add(count)).unwrap_or(usize::MAX);
        if total > MAX_WEIGHTS {
            return Err(ModelError::TooManyWeights { limit: MAX_WEIGHTS });
        }
        content(tensor, count.unwrap_or_default(), shapes)?;
        shapes.define(&tensor.name, shape).map_err(|reason| constant_error(tensor, reason))?;
    }
    Ok(total)
}

fn dimensions(tensor: &TensorProto) -> Result<Shape, ModelError> {
    let shape = tensor.dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Shape, _>>();
    shape.map_err(|_| constant_error(tensor, format!("its shape {:?} has a negative dimension", tensor.dims)))
}

fn content(tensor: &TensorProto, count: usize, shapes: &mut Shapes) -> Result<(), ModelError> {
    let location = tensor.data_location.unwrap_or_default();
    if location == DataLocation::External as i32 || !tensor.external_data.is_empty() {
        return Err(ModelError::ExternalData { tensor: tensor.name.clone() });
    }
    let width = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => 4,
        Ok(DataType::Int64) => 8,
        _ => return Err(constant_error(tensor, "it is neither float nor int64".to_owned())),
    };
    let typed = tensor.float_data.len()
        + tensor.int64_data.len()
        + tensor.int32_data.len()
        + tensor.double_data.len();
    if tensor.raw_data.len() != count * width || typed > 0 || tensor.segment.is_some() {
        return Err(constant_error(tensor, format!("it must hold exactly {count} values, as raw data")));
    }
    if width == 8 {
        let (chunks, _) = tensor.raw_data.as_chunks::<8>();
        shapes.define_integers(&tensor.name, chunks.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect());
        return Ok(());
    }
    let (chunks, _) = tensor.raw_data.as_chunks::<4>();
    if chunks.iter().any(|&bytes| !f32::from_le_bytes(bytes).is_finite()) {
        return Err(ModelError::NonFiniteWeight { tensor: tensor.name.clone() });
    }
    Ok(())
}

fn constant_error(tensor: &TensorProto, reason: String) -> ModelError {
    ModelError::Constant { tensor: tensor.name.clone(), reason }
}

fn walk(graph: &GraphProto, shapes: &mut Shapes, contract: &Contract) -> Result<(), ModelError> {
    let ([input], [output]) = (graph.input.as_slice(), graph.output.as_slice()) else {
        return Err(ModelError::Interface(format!(
            "it has {} inputs and {} outputs instead of one each",
            graph.input.len(),
            graph.output.len()
        )));
    };
    interface(input, contract.input.0, contract.input.1)?;
    let answers = contract.output.1;
    interface(output, contract.output.0, answers)?;
    shapes.define(&input.name, contract.input.1.to_vec()).map_err(ModelError::Interface)?;
    for node in &graph.node {
        shapes.infer(node).map_err(|reason| ModelError::Shape {
            node: format!("{} {}", node.op_type, node.name),
            reason,
        })?;
    }
    match shapes.of(&output.name) {
        Ok(shape) if shape.as_slice() == answers => Ok(()),
        Ok(shape) => Err(ModelError::Interface(format!(
            "its output really has shape {shape:?} instead of {answers:?}"
        ))),
        Err(reason) => Err(ModelError::Interface(reason)),
    }
}

fn interface(value: &ValueInfoProto, name: &str, shape: &[usize]) -> Result<(), ModelError> {
    let declared = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()).and_then(|kind| {
        let Type::TensorType(tensor) = kind;
        let dims = tensor.shape.as_ref()?.dim.iter().map(|dim| match dim.value {
            Some(Dim::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        });
        (tensor.elem_type == DataType::Float as i32).then(|| dims.collect::<Option<Shape>>())?
    });
    if value.name == name && declared.as_deref() == Some(shape) {
        return Ok(());
    }
    Err(ModelError::Interface(format!(
        "`{}` must be `{name}`, a float tensor of shape {shape:?}, found {declared:?}",
        value.name
    )))
}
