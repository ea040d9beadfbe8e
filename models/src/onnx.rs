//! The network as an ONNX graph that takes plain loads and gives plain loads: normalisation, layers, ordered quantiles.
//!
//! Operator set 17, fixed batch, all constants inside, only operators that [`foreshift_predictor::inspect`] admits.
//! The graph follows [`Features`](crate::features::Features) and [`Network`] line by line; a test holds them together.

use foreshift_predictor::impact::FEATURES;
use foreshift_predictor::{HEADS, LEVELS, WINDOW};
use ndarray::{Array1, Array2};
use prost::Message as _;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use tract_onnx::pb::type_proto::{Tensor, Value as Type};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

use crate::features::{HIGHEST_LEVEL, LEAST_SCALE, LEVEL_SHARE};
use crate::network::{Dense, Network};

/// Operator set of the file.
pub const OPSET: i64 = 17;

/// IR version that goes with operator set 17 (ONNX 1.12).
const IR_VERSION: i64 = 8;

/// Why a file is no network of ours.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model cannot be trained on: {0}; give a load.onnx that `foreshift-trainer` of this release wrote"
)]
pub struct DecodeError(String);

/// The bytes of an ONNX file; equal networks give equal bytes.
#[must_use]
pub fn encode(network: &Network) -> Vec<u8> {
    encode_batch(network, 1)
}

/// The same graph for so many windows at once.
#[must_use]
pub fn encode_batch(network: &Network, batch: usize) -> Vec<u8> {
    let mut graph = Graph::default();
    let normalised = graph.normalise("window", batch);
    let values = graph.layers(&normalised.features, network);
    let ordered = graph.order(&values, batch * HEADS);
    let loads = graph.reshape("answers", &ordered, &[batch, HEADS * LEVELS.len()]);
    let scaled = graph.node("Mul", &[&loads, &normalised.scale], []);
    let shifted = graph.node("Add", &[&scaled, &normalised.last], []);
    let zero = graph.scalar("zero", 0.0);
    let loads = graph.node("Clip", &[&shifted, &zero], []);
    let (input, output) = ([batch, WINDOW, 1], [batch, HEADS, LEVELS.len()]);
    graph.reshape("quantiles", &loads, &output);
    let (input, output) = (interface("window", &input), interface("quantiles", &output));
    model(graph.finish("load", input, output)).encode_to_vec()
}

/// An impact network: features in, quantiles of log cost from the anchor out.
#[must_use]
pub fn encode_impact(network: &Network) -> Vec<u8> {
    let mut graph = Graph::default();
    let values = graph.layers("features", network);
    let ordered = graph.order(&values, 1);
    graph.reshape("quantiles", &ordered, &[1, LEVELS.len()]);
    let (input, output) = (interface("features", &[1, FEATURES]), interface("quantiles", &[1, LEVELS.len()]));
    model(graph.finish("impact", input, output)).encode_to_vec()
}

/// The network in a file that [`encode`] wrote.
///
/// # Errors
/// [`DecodeError`] for any other file.
pub fn decode(onnx: &[u8]) -> Result<Network, DecodeError> {
    let model = ModelProto::decode(onnx).map_err(|error| DecodeError(error.to_string()))?;
    let constants = model.graph.map(|graph| graph.initializer).unwrap_or_default();
    let find = |name: String| constants.iter().find(|tensor| tensor.name == name);
    let mut layers: Vec<Dense> = Vec::new();
    while let (index, Some(weights)) = (layers.len(), find(format!("weights{}", layers.len()))) {
        let biases = find(format!("biases{index}"))
            .ok_or_else(|| DecodeError(format!("layer {index} has no biases")))?;
        let (&[inputs, outputs], &[width]) = (weights.dims.as_slice(), biases.dims.as_slice()) else {
            return Err(DecodeError(format!("layer {index} is no matrix")));
        };
        let shape = (usize::try_from(inputs).unwrap_or(0), usize::try_from(outputs).unwrap_or(0));
        let weights = Array2::from_shape_vec(shape, floats(weights));
        let weights = weights.map_err(|error| DecodeError(format!("layer {index}: {error}")))?;
        let biases = Array1::from(floats(biases));
        let joined = layers.last().is_none_or(|last| last.biases.len() == shape.0);
        if width != outputs || biases.len() != shape.1 || !joined {
            return Err(DecodeError(format!("layer {index} does not fit")));
        }
        layers.push(Dense { weights, biases });
    }
    let network = Network { layers };
    // Whatever else the file computes, it must be what this release would write.
    if !network.layers.is_empty() && encode(&network) == onnx {
        return Ok(network);
    }
    Err(DecodeError("its graph is another one".to_owned()))
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    tensor.raw_data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// A graph under construction; node outputs are named after operator and position.
#[derive(Default)]
struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// Names of what normalisation gives.
struct Normalised {
    features: String,
    last: String,
    scale: String,
}

impl Graph {
    fn normalise(&mut self, window: &str, batch: usize) -> Normalised {
        let loads = self.reshape("loads", window, &[batch, WINDOW]);
        let last = self.slice(&loads, WINDOW - 1..WINDOW);
        let mean = self.mean(&loads);
        let centred = self.node("Sub", &[&loads, &mean], []);
        let squares = self.node("Mul", &[&centred, &centred], []);
        let variance = self.mean(&squares);
        let deviation = self.node("Sqrt", &[&variance], []);
        let (later, earlier) = (self.slice(&loads, 1..WINDOW), self.slice(&loads, 0..WINDOW - 1));
        let steps = self.node("Sub", &[&later, &earlier], []);
        let sizes = self.node("Abs", &[&steps], []);
        let movement = self.mean(&sizes);
        let spread = self.node("Add", &[&deviation, &movement], []);
        let level_share = self.scalar("level_share", LEVEL_SHARE);
        let level = self.node("Mul", &[&mean, &level_share], []);
        let sum = self.node("Add", &[&spread, &level], []);
        let least_scale = self.scalar("least_scale", LEAST_SCALE);
        let scale = self.node("Add", &[&sum, &least_scale], []);
        let distances = self.node("Sub", &[&loads, &last], []);
        let values = self.node("Div", &[&distances, &scale], []);
        let bounds = [self.scalar("lowest_level", 0.0), self.scalar("highest_level", HIGHEST_LEVEL)];
        let capped = self.node("Clip", &[&last, &bounds[0], &bounds[1]], []);
        let deviation_share = self.node("Div", &[&deviation, &scale], []);
        let movement_share = self.node("Div", &[&movement, &scale], []);
        let reach = self.node("Add", &[&last, &scale], []);
        let height = self.node("Div", &[&last, &reach], []);
        let parts = [values, capped, deviation_share, movement_share, height];
        let features = self.node("Concat", &parts.each_ref().map(String::as_str), [integer("axis", 1)]);
        Normalised { features, last, scale }
    }

    /// Dense layers, all but the last rectified.
    fn layers(&mut self, features: &str, network: &Network) -> String {
        let mut values = features.to_owned();
        for (index, layer) in network.layers.iter().enumerate() {
            let (inputs, outputs) = layer.weights.dim();
            let flat: Vec<f32> = layer.weights.iter().copied().collect();
            let weights = self.floats(&format!("weights{index}"), &[inputs, outputs], &flat);
            let biases = self.floats(&format!("biases{index}"), &[outputs], &layer.biases.to_vec());
            values = self.node("Gemm", &[&values, &weights, &biases], []);
            if index + 1 < network.layers.len() {
                values = self.node("Relu", &[&values], []);
            }
        }
        values
    }

    /// Per head: the median, and gaps that softplus keeps positive, summed up by a triangle of ones.
    fn order(&mut self, raw: &str, heads: usize) -> String {
        let levels = LEVELS.len();
        let heads = self.reshape("heads", raw, &[heads, levels]);
        let (median, gaps) = (self.slice(&heads, 0..1), self.slice(&heads, 1..levels));
        let gaps = self.softplus(&gaps);
        let parts = self.node("Concat", &[&median, &gaps], [integer("axis", 1)]);
        let ones: Vec<f32> =
            (0..levels * levels).map(|at| if at / levels <= at % levels { 1.0 } else { 0.0 }).collect();
        let triangle = self.floats("triangle", &[levels, levels], &ones);
        self.node("MatMul", &[&parts, &triangle], [])
    }

    /// `max(x, 0) + softplus(-|x|)`: runtimes that compute `ln(1 + exp x)` as written overflow from 89 on.
    fn softplus(&mut self, values: &str) -> String {
        let size = self.node("Abs", &[values], []);
        let minus_one = self.scalar("minus_one", -1.0);
        let negative = self.node("Mul", &[&size, &minus_one], []);
        let curve = self.node("Softplus", &[&negative], []);
        let line = self.node("Relu", &[values], []);
        self.node("Add", &[&line, &curve], [])
    }

    fn node<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: [AttributeProto; N],
    ) -> String {
        let output = format!("{}{}", operator.to_lowercase(), self.nodes.len());
        self.push(operator, inputs, attributes.into(), &output)
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        output: &str,
    ) -> String {
        self.nodes.push(NodeProto {
            op_type: operator.to_owned(),
            name: output.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        output.to_owned()
    }

    fn mean(&mut self, values: &str) -> String {
        let axes = AttributeProto {
            name: "axes".to_owned(),
            r#type: AttributeType::Ints as i32,
            ints: vec![1],
            ..AttributeProto::default()
        };
        self.node("ReduceMean", &[values], [axes, integer("keepdims", 1)])
    }

    /// Columns of a matrix.
    fn slice(&mut self, values: &str, columns: std::ops::Range<usize>) -> String {
        let at = self.nodes.len();
        let start = self.integers(&format!("start{at}"), &[columns.start]);
        let end = self.integers(&format!("end{at}"), &[columns.end]);
        let axis = self.integers(&format!("axis{at}"), &[1]);
        self.node("Slice", &[values, &start, &end, &axis], [])
    }

    fn reshape(&mut self, output: &str, values: &str, shape: &[usize]) -> String {
        let shape = self.integers(&format!("{output}_shape"), shape);
        self.push("Reshape", &[values, &shape], Vec::new(), output)
    }

    fn scalar(&mut self, name: &str, value: f32) -> String {
        self.floats(name, &[], &[value])
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, DataType::Float, raw)
    }

    fn integers(&mut self, name: &str, values: &[usize]) -> String {
        let raw = values.iter().flat_map(|&value| signed(value).to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Int64, raw)
    }

    fn constant(&mut self, name: &str, shape: &[usize], kind: DataType, raw_data: Vec<u8>) -> String {
        self.constants.push(TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|&dim| signed(dim)).collect(),
            data_type: kind as i32,
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }

    fn finish(self, name: &str, input: ValueInfoProto, output: ValueInfoProto) -> GraphProto {
        GraphProto {
            name: name.to_owned(),
            node: self.nodes,
            initializer: self.constants,
            input: vec![input],
            output: vec![output],
            ..GraphProto::default()
        }
    }
}

fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "foreshift-trainer".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn interface(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = |&size: &usize| Dimension { value: Some(Dim::DimValue(signed(size))), ..Dimension::default() };
    let tensor = Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: shape.iter().map(dim).collect() }),
    };
    let kind = TypeProto { value: Some(Type::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

/// Sizes as ONNX writes them; those of this graph are small.
fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}
