//! The network: two hidden layers of 64 rectified units between features and quantiles, with hand-written gradients.
//!
//! All parameters lie in one flat slice (layer by layer, weights before biases), so that an optimiser, a gradient
//! check or a file format needs no knowledge of layers. Everything runs in a fixed order: equal input, equal bits.

use foreshift_predictor::{HEADS, LEVELS};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use crate::features::FEATURES;

/// Units of each hidden layer.
pub const HIDDEN: usize = 64;

/// Raw outputs: for each head the median, then the two gaps to the next quantile before softplus.
pub const OUTPUTS: usize = HEADS * LEVELS.len();

/// The layers, input first.
pub const LAYERS: [Layer; 3] = {
    let first = Layer { inputs: FEATURES, outputs: HIDDEN, offset: 0 };
    let second = Layer { inputs: HIDDEN, outputs: HIDDEN, offset: first.end() };
    [first, second, Layer { inputs: HIDDEN, outputs: OUTPUTS, offset: second.end() }]
};

/// Length of the parameter slice.
pub const PARAMETERS: usize = LAYERS[2].end();

/// Where a dense layer's parameters lie.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Values that go in.
    pub inputs: usize,
    /// Values that come out.
    pub outputs: usize,
    offset: usize,
}

/// Weights and biases of all layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// [`PARAMETERS`] values, laid out as [`Layer::weights`] and [`Layer::biases`] read them.
    pub parameters: Vec<f32>,
}

/// What a forward pass leaves behind for the backward pass.
#[derive(Clone, Debug)]
pub struct Activations {
    first: [f32; HIDDEN],
    second: [f32; HIDDEN],
    raw: [f32; OUTPUTS],
    /// Quantiles in units of the window's scale, counted from its last load; ordered within each head.
    pub quantiles: [f32; OUTPUTS],
}

impl Layer {
    const fn end(self) -> usize {
        self.offset + (self.inputs + 1) * self.outputs
    }

    /// Weights, `outputs` of the first input, then of the next.
    #[must_use]
    pub fn weights(self, parameters: &[f32]) -> &[f32] {
        &parameters[self.offset..][..self.inputs * self.outputs]
    }

    /// Biases, one per output.
    #[must_use]
    pub fn biases(self, parameters: &[f32]) -> &[f32] {
        &parameters[self.offset + self.inputs * self.outputs..][..self.outputs]
    }

    fn forward(self, parameters: &[f32], input: &[f32], output: &mut [f32]) {
        output.copy_from_slice(self.biases(parameters));
        for (&value, row) in input.iter().zip(self.weights(parameters).chunks_exact(self.outputs)) {
            if value != 0.0 {
                output.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
            }
        }
    }

    /// Adds this sample's gradients to `gradient` and, if asked, finds the slope of the loss at each input.
    fn backward(
        self,
        parameters: &[f32],
        input: &[f32],
        slope: &[f32],
        gradient: &mut [f32],
        input_slope: Option<&mut [f32]>,
    ) {
        let (weights, rest) = gradient[self.offset..self.end()].split_at_mut(self.inputs * self.outputs);
        rest.iter_mut().zip(slope).for_each(|(bias, slope)| *bias += slope);
        // Units that were silent carry no slope in either direction.
        for (&value, row) in input.iter().zip(weights.chunks_exact_mut(self.outputs)) {
            if value != 0.0 {
                row.iter_mut().zip(slope).for_each(|(weight, slope)| *weight += value * slope);
            }
        }
        let Some(input_slope) = input_slope else { return };
        let rows = self.weights(parameters).chunks_exact(self.outputs);
        for ((target, &value), row) in input_slope.iter_mut().zip(input).zip(rows) {
            *target = if value > 0.0 { dot(row, slope) } else { 0.0 };
        }
    }
}

impl Network {
    /// Random weights of He's variance (2 / inputs; He et al., 2015), zero biases.
    #[must_use]
    pub fn random(rng: &mut Pcg64Mcg) -> Self {
        let mut parameters = vec![0.0; PARAMETERS];
        for layer in LAYERS {
            // A uniform variable on -r..r has variance r^2 / 3.
            let reach = (6.0 / layer.inputs as f32).sqrt();
            for weight in &mut parameters[layer.offset..][..layer.inputs * layer.outputs] {
                *weight = rng.random_range(-reach..reach);
            }
        }
        Self { parameters }
    }

    /// Normalised quantiles for one window's features.
    #[must_use]
    pub fn forward(&self, features: &[f32; FEATURES]) -> Activations {
        let [first, second, last] = LAYERS;
        let mut pass = Activations {
            first: [0.0; HIDDEN],
            second: [0.0; HIDDEN],
            raw: [0.0; OUTPUTS],
            quantiles: [0.0; OUTPUTS],
        };
        first.forward(&self.parameters, features, &mut pass.first);
        rectify(&mut pass.first);
        second.forward(&self.parameters, &pass.first, &mut pass.second);
        rectify(&mut pass.second);
        last.forward(&self.parameters, &pass.second, &mut pass.raw);
        pass.quantiles = cumulate(&pass.raw);
        pass
    }

    /// Adds the gradients of one sample to `gradient`, given the slope of its loss at each quantile.
    pub fn backward(
        &self,
        features: &[f32; FEATURES],
        pass: &Activations,
        slope: &[f32; OUTPUTS],
        gradient: &mut [f32],
    ) {
        let [first, second, last] = LAYERS;
        let raw = uncumulate(&pass.raw, slope);
        let (mut at_second, mut at_first) = ([0.0; HIDDEN], [0.0; HIDDEN]);
        last.backward(&self.parameters, &pass.second, &raw, gradient, Some(&mut at_second));
        second.backward(&self.parameters, &pass.first, &at_second, gradient, Some(&mut at_first));
        first.backward(&self.parameters, features, &at_first, gradient, None);
    }
}

/// Pinball loss over all heads and levels (mean), and its slope at each quantile, in normalised units.
#[must_use]
pub fn pinball(quantiles: &[f32; OUTPUTS], truth: &[f32; HEADS]) -> (f32, [f32; OUTPUTS]) {
    let (mut loss, mut slope) = (0.0, [0.0; OUTPUTS]);
    for (index, (quantile, slope)) in quantiles.iter().zip(&mut slope).enumerate() {
        let level = LEVELS[index % LEVELS.len()] as f32;
        let miss = truth[index / LEVELS.len()] - quantile;
        let weight = if miss > 0.0 { level } else { level - 1.0 };
        loss += weight * miss;
        *slope = -weight / OUTPUTS as f32;
    }
    (loss / OUTPUTS as f32, slope)
}

/// Ordered quantiles from raw outputs: median, then gaps that softplus keeps positive.
fn cumulate(raw: &[f32; OUTPUTS]) -> [f32; OUTPUTS] {
    let mut quantiles = *raw;
    for head in quantiles.chunks_exact_mut(LEVELS.len()) {
        for level in 1..head.len() {
            head[level] = head[level - 1] + softplus(head[level]);
        }
    }
    quantiles
}

/// Slopes at the raw outputs from slopes at the quantiles: each gap moves all quantiles from its own on.
fn uncumulate(raw: &[f32; OUTPUTS], slope: &[f32; OUTPUTS]) -> [f32; OUTPUTS] {
    let mut result = *slope;
    let heads = result.chunks_exact_mut(LEVELS.len()).zip(raw.chunks_exact(LEVELS.len()));
    for (head, raw) in heads {
        for level in (0..head.len() - 1).rev() {
            head[level] += head[level + 1];
        }
        head.iter_mut().zip(raw).skip(1).for_each(|(slope, raw)| *slope *= sigmoid(*raw));
    }
    result
}

fn rectify(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// A dot product in eight lanes, which lets the compiler use vector registers without reordering sums by itself.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a_lanes, a_rest), (b_lanes, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0_f32; 8];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
