//! The network: dense layers with rectified units between features and quantiles, with hand-written gradients.
//!
//! Samples go through in batches, so that nearly all time is spent in matrix products. Everything runs in a fixed
//! order on one thread: equal input, equal bits. The last layer's outputs are read in threes, one for each head: the
//! median, then the gaps to the next two quantiles before softplus.

use foreshift_predictor::LEVELS;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

/// One dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[inputs, outputs]`.
    pub weights: Array2<f32>,
    /// `[outputs]`.
    pub biases: Array1<f32>,
}

/// The layers, input first; all but the last are rectified.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// At least one.
    pub layers: Vec<Dense>,
}

/// What a forward pass leaves behind for the backward pass.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Outputs of the rectified layers, `[samples, units]` each.
    hidden: Vec<Array2<f32>>,
    raw: Array2<f32>,
    /// `[samples, heads x levels]`, normalised and ordered within each head.
    pub quantiles: Array2<f32>,
}

impl Network {
    /// Random weights of He's variance (2 / inputs; He et al., 2015), zero biases; `sizes` from inputs to outputs.
    #[must_use]
    pub fn random(sizes: &[usize], rng: &mut Pcg64Mcg) -> Self {
        let layers = sizes.windows(2).map(|pair| {
            // A uniform variable on -r..r has variance r^2 / 3.
            let reach = (6.0 / pair[0] as f32).sqrt();
            Dense {
                weights: Array2::from_shape_simple_fn((pair[0], pair[1]), || rng.random_range(-reach..reach)),
                biases: Array1::zeros(pair[1]),
            }
        });
        Self { layers: layers.collect() }
    }

    /// A network of the same shape with nothing but zeros, to gather gradients in.
    #[must_use]
    pub fn zeroed(&self) -> Self {
        let zeroed = |layer: &Dense| Dense {
            weights: Array2::zeros(layer.weights.dim()),
            biases: Array1::zeros(layer.biases.len()),
        };
        Self { layers: self.layers.iter().map(zeroed).collect() }
    }

    /// All parameters, layer by layer, weights before biases.
    pub fn parameters(&self) -> impl Iterator<Item = &f32> {
        self.layers.iter().flat_map(|layer| layer.weights.iter().chain(&layer.biases))
    }

    /// As [`Network::parameters`].
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.layers.iter_mut().flat_map(|layer| layer.weights.iter_mut().chain(&mut layer.biases))
    }

    /// Normalised quantiles for a batch of features, `[samples, inputs]`.
    #[must_use]
    pub fn forward(&self, features: &ArrayView2<'_, f32>) -> Pass {
        let mut hidden: Vec<Array2<f32>> = Vec::new();
        let mut raw = features.to_owned();
        for (index, layer) in self.layers.iter().enumerate() {
            let mut output = raw.dot(&layer.weights);
            output += &layer.biases;
            if index > 0 {
                hidden.push(raw);
            }
            if index + 1 < self.layers.len() {
                output.mapv_inplace(|value| value.max(0.0));
            }
            raw = output;
        }
        let mut quantiles = raw.clone();
        for mut sample in quantiles.outer_iter_mut() {
            sample.as_slice_mut().into_iter().for_each(cumulate);
        }
        Pass { hidden, raw, quantiles }
    }

    /// Writes the gradients of a batch into `gradient`, given the slope of its loss at each quantile.
    pub fn backward(
        &self,
        features: &ArrayView2<'_, f32>,
        pass: &Pass,
        mut slope: Array2<f32>,
        gradient: &mut Self,
    ) {
        for (mut slope, raw) in slope.outer_iter_mut().zip(pass.raw.outer_iter()) {
            if let (Some(slope), Some(raw)) = (slope.as_slice_mut(), raw.as_slice()) {
                uncumulate(raw, slope);
            }
        }
        for (index, (layer, target)) in self.layers.iter().zip(&mut gradient.layers).enumerate().rev() {
            let input = if index > 0 { pass.hidden[index - 1].view() } else { *features };
            ndarray::linalg::general_mat_mul(1.0, &input.t(), &slope, 0.0, &mut target.weights);
            target.biases = slope.sum_axis(Axis(0));
            if index > 0 {
                slope = slope.dot(&layer.weights.t());
                // Units that were silent carry no slope.
                Zip::from(&mut slope)
                    .and(&input)
                    .for_each(|slope, &value| *slope = if value > 0.0 { *slope } else { 0.0 });
            }
        }
    }
}

/// Pinball loss of one sample over all heads and levels (mean); its slopes, times `weight`, go into `slope`.
pub fn pinball(quantiles: &[f32], truth: &[f32], weight: f32, slope: &mut [f32]) -> f32 {
    let (mut loss, outputs) = (0.0, quantiles.len() as f32);
    for (index, (quantile, slope)) in quantiles.iter().zip(slope).enumerate() {
        let level = LEVELS[index % LEVELS.len()] as f32;
        let miss = truth[index / LEVELS.len()] - quantile;
        let toll = if miss > 0.0 { level } else { level - 1.0 };
        loss += toll * miss;
        *slope = -toll * weight / outputs;
    }
    loss * weight / outputs
}

/// Ordered quantiles from raw outputs: median, then gaps that softplus keeps positive.
fn cumulate(raw: &mut [f32]) {
    for head in raw.chunks_exact_mut(LEVELS.len()) {
        for level in 1..head.len() {
            head[level] = head[level - 1] + softplus(head[level]);
        }
    }
}

/// Slopes at the raw outputs from slopes at the quantiles: each gap moves all quantiles from its own on.
fn uncumulate(raw: &[f32], slope: &mut [f32]) {
    for (head, raw) in slope.chunks_exact_mut(LEVELS.len()).zip(raw.chunks_exact(LEVELS.len())) {
        for level in (0..head.len() - 1).rev() {
            head[level] += head[level + 1];
        }
        head.iter_mut().zip(raw).skip(1).for_each(|(slope, raw)| *slope *= sigmoid(*raw));
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
