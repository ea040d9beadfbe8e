//! What the network sees of a window, and how its answers become loads again.
//!
//! A window is counted from its last load in units of its own spread, so that one network serves every level and
//! every amount of noise (after `RevIN`, Kim et al., 2022). The ONNX graph computes the same (see [`crate::onnx`]):
//! whoever runs the model feeds plain loads, and training cannot drift away from serving.

use foreshift_predictor::{HEADS, LEVELS, WINDOW};

/// The normalised window and four numbers on its character.
pub const FEATURES: usize = WINDOW + 4;

/// Share of the mean load in the scale, so that a flat window is not blown up.
pub const LEVEL_SHARE: f32 = 0.02;

/// The least scale, in units of load.
pub const LEAST_SCALE: f32 = 5e-3;

/// The load from which the network need not know how high it is: above all at which a node's limit shows.
pub const HIGHEST_LEVEL: f32 = 2.5;

/// A window as the network sees it.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Normalised loads oldest first; then the last load up to [`HIGHEST_LEVEL`], the shares of deviation and of
    /// movement in the scale, and how near the last load is to zero, each in `0.0..=1.0`.
    pub values: [f32; FEATURES],
    last: f32,
    scale: f32,
}

impl Features {
    /// Normalises a window: `(x - last) / (deviation + mean |difference| + 2 % of the mean + 0.005)`.
    #[must_use]
    pub fn of(window: &[f32; WINDOW]) -> Self {
        let last = window[WINDOW - 1];
        let mean = average(window.iter().copied());
        let deviation = average(window.iter().map(|x| (x - mean) * (x - mean))).sqrt();
        let movement = average(window.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
        let scale = deviation + movement + LEVEL_SHARE * mean + LEAST_SCALE;
        let mut values = [0.0; FEATURES];
        values.iter_mut().zip(window).for_each(|(value, x)| *value = (x - last) / scale);
        values[WINDOW..].copy_from_slice(&[
            last.clamp(0.0, HIGHEST_LEVEL),
            deviation / scale,
            movement / scale,
            last / (last + scale),
        ]);
        Self { values, last, scale }
    }

    /// The spread that normalised values are counted in, in units of load.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// What came to pass, in normalised units.
    #[must_use]
    pub fn normalise(&self, truth: &[f64; HEADS]) -> [f32; HEADS] {
        truth.map(|load| (load as f32 - self.last) / self.scale)
    }

    /// Normalised quantiles as loads, none below zero.
    #[must_use]
    pub fn denormalise(&self, quantiles: &[f32]) -> [f32; HEADS * LEVELS.len()] {
        let load = |at: usize| quantiles.get(at).map_or(0.0, |q| (q * self.scale + self.last).max(0.0));
        std::array::from_fn(load)
    }
}

fn average(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len() as f32;
    values.sum::<f32>() / count
}
