//! Static shapes of a graph, worked out without running anything.
//!
//! A runtime folds constants while it optimises, so a graph of a few hundred bytes (outer products, repeated
//! concatenation) can ask for gigabytes before its first input. Here every intermediate gets its shape from the
//! rules of the few operators we allow, and one that is too large ends the walk. The rules are those of the ONNX
//! operator reference, opset 13 to 17.

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

/// Most elements that one intermediate may hold; the widest of the shipped model has 64.
const MAX_ELEMENTS: usize = 1 << 16;

/// Most dimensions of one intermediate.
const MAX_RANK: usize = 4;

/// Dimensions of a tensor, outermost first.
pub(crate) type Shape = Vec<usize>;

/// Shapes by value name, and the integers of the constants that shapes depend on.
#[derive(Default)]
pub(crate) struct Shapes {
    shapes: HashMap<String, Shape>,
    integers: HashMap<String, Vec<i64>>,
}

impl Shapes {
    /// Names a value; an ONNX graph names each value once.
    pub(crate) fn define(&mut self, name: &str, shape: Shape) -> Result<(), String> {
        let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if shape.len() > MAX_RANK || elements.is_none_or(|count| count > MAX_ELEMENTS || count == 0) {
            return Err(format!(
                "value `{name}` has shape {shape:?}, allowed are 1 to {MAX_ELEMENTS} elements in {MAX_RANK} dimensions"
            ));
        }
        match self.shapes.insert(name.to_owned(), shape) {
            Some(_) => Err(format!("value `{name}` is defined twice")),
            None => Ok(()),
        }
    }

    /// Remembers the content of an integer constant.
    pub(crate) fn define_integers(&mut self, name: &str, values: Vec<i64>) {
        self.integers.insert(name.to_owned(), values);
    }

    /// The shape of a value that was defined before.
    pub(crate) fn of(&self, name: &str) -> Result<&Shape, String> {
        self.shapes.get(name).ok_or_else(|| format!("value `{name}` is used before it is defined"))
    }

    /// Works out and names the output of a node.
    pub(crate) fn infer(&mut self, node: &NodeProto) -> Result<(), String> {
        let [output] = node.output.as_slice() else {
            return Err(format!("it has {} outputs instead of one", node.output.len()));
        };
        let shape = match node.op_type.as_str() {
            "Relu" | "Softplus" | "Abs" | "Sqrt" => self.inputs::<1>(node)?[0].clone(),
            "Clip" => self.clip(node)?,
            "Add" | "Sub" | "Mul" | "Div" => {
                let [a, b] = self.inputs(node)?;
                broadcast(a, b)?
            }
            "MatMul" => {
                let [a, b] = self.inputs(node)?;
                matmul(a, b)?
            }
            "Gemm" => self.gemm(node)?,
            "ReduceMean" => self.reduce(node)?,
            "Reshape" => self.reshape(node)?,
            "Slice" => self.slice(node)?,
            "Concat" => self.concat(node)?,
            other => return Err(format!("operator `{other}` has no shape rule")),
        };
        self.define(output, shape)
    }

    fn inputs<const N: usize>(&self, node: &NodeProto) -> Result<[&Shape; N], String> {
        let shapes = node.input.iter().map(|name| self.of(name)).collect::<Result<Vec<_>, _>>()?;
        shapes.try_into().map_err(|found: Vec<_>| format!("it has {} inputs instead of {N}", found.len()))
    }

    fn constant(&self, node: &NodeProto, index: usize) -> Result<&[i64], String> {
        let name = node.input.get(index).ok_or_else(|| format!("its input {index} is missing"))?;
        let values = self
            .integers
            .get(name)
            .ok_or_else(|| format!("its input `{name}` must be an integer constant"))?;
        Ok(values)
    }

    fn clip(&self, node: &NodeProto) -> Result<Shape, String> {
        if !(1..=3).contains(&node.input.len()) {
            return Err(format!("it has {} inputs instead of one to three", node.input.len()));
        }
        for bound in node.input[1..].iter().filter(|name| !name.is_empty()) {
            if !self.of(bound)?.is_empty() {
                return Err(format!("its bound `{bound}` must be a scalar"));
            }
        }
        self.of(&node.input[0]).cloned()
    }

    fn gemm(&self, node: &NodeProto) -> Result<Shape, String> {
        let [a, b, c] = self.inputs(node)?;
        let (&[a0, a1], &[b0, b1]) = (a.as_slice(), b.as_slice()) else {
            return Err(format!("it multiplies shapes {a:?} and {b:?}, both must have two dimensions"));
        };
        let (rows, inner) = if integer(node, "transA").unwrap_or(0) == 0 { (a0, a1) } else { (a1, a0) };
        let (depth, columns) = if integer(node, "transB").unwrap_or(0) == 0 { (b0, b1) } else { (b1, b0) };
        let output = vec![rows, columns];
        if inner != depth || broadcast(&output, c)? != output {
            return Err(format!("shapes {a:?}, {b:?} and {c:?} do not fit together"));
        }
        Ok(output)
    }

    fn reduce(&self, node: &NodeProto) -> Result<Shape, String> {
        let [input] = self.inputs(node)?;
        let axes =
            node.attribute.iter().find(|a| a.name == "axes").map(|a| a.ints.as_slice()).unwrap_or_default();
        if axes.is_empty() || integer(node, "keepdims") != Some(1) {
            return Err("it must name its axes and keep the reduced dimensions".to_owned());
        }
        let mut output = input.clone();
        for &axis in axes {
            output[resolve(axis, input.len())?] = 1;
        }
        Ok(output)
    }

    fn reshape(&self, node: &NodeProto) -> Result<Shape, String> {
        let input = self.of(node.input.first().ok_or("it has no input")?)?;
        let target = self.constant(node, 1)?;
        let output = target
            .iter()
            .map(|&dim| usize::try_from(dim).ok().filter(|&dim| dim > 0))
            .collect::<Option<Shape>>();
        let output = output.ok_or_else(|| format!("its target {target:?} must spell out every dimension"))?;
        let elements = output.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if elements != Some(input.iter().product()) {
            return Err(format!("it cannot turn shape {input:?} into {output:?}"));
        }
        Ok(output)
    }

    fn slice(&self, node: &NodeProto) -> Result<Shape, String> {
        let input = self.of(node.input.first().ok_or("it has no input")?)?;
        let (starts, ends, axes) =
            (self.constant(node, 1)?, self.constant(node, 2)?, self.constant(node, 3)?);
        let (&[start], &[end], &[axis], 4) = (starts, ends, axes, node.input.len()) else {
            return Err("it must have one start, one end, one axis and no step".to_owned());
        };
        let axis = resolve(axis, input.len())?;
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            return Err(format!("its bounds {start}..{end} must not be negative"));
        };
        if start >= end || end > input[axis] {
            return Err(format!("its bounds {start}..{end} do not fit shape {input:?}"));
        }
        let mut output = input.clone();
        output[axis] = end - start;
        Ok(output)
    }

    fn concat(&self, node: &NodeProto) -> Result<Shape, String> {
        let inputs = node.input.iter().map(|name| self.of(name)).collect::<Result<Vec<_>, _>>()?;
        let mut output = inputs.first().copied().ok_or("it has no input")?.clone();
        let axis = resolve(integer(node, "axis").ok_or("it has no axis")?, output.len())?;
        output[axis] = 0;
        for input in inputs {
            let fits =
                input.len() == output.len() && (0..output.len()).all(|d| d == axis || input[d] == output[d]);
            if !fits {
                return Err(format!("shape {input:?} does not fit its first input"));
            }
            output[axis] = output[axis].saturating_add(input[axis]);
        }
        Ok(output)
    }
}

fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.i)
}

fn resolve(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let resolved = usize::try_from(from_start).ok().filter(|&axis| axis < rank);
    resolved.ok_or_else(|| format!("axis {axis} does not exist in {rank} dimensions"))
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Shape, String> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], index: usize| (index + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|index| match (dim(a, index), dim(b, index)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

fn matmul(a: &[usize], b: &[usize]) -> Result<Shape, String> {
    let ([a_batch @ .., rows, inner], [b_batch @ .., depth, columns]) = (a, b) else {
        return Err(format!("it multiplies shapes {a:?} and {b:?}, both need two dimensions or more"));
    };
    if inner != depth {
        return Err(format!("it cannot multiply shapes {a:?} and {b:?}"));
    }
    let mut output = broadcast(a_batch, b_batch)?;
    output.extend([*rows, *columns]);
    Ok(output)
}
