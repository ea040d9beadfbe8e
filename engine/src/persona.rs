//! The arithmetic of a node's persona: signals in, load and scores out.
//!
//! [`load`] says how much is asked of the node and [`affinity`] how well it answers, [`score`] turns them and the
//! slow signals into 0 to 100, [`decay`] keeps those slow signals, [`grid`] keeps the windows that the forecaster
//! reads, and [`publish`] says when a new persona is worth telling.

pub mod affinity;
pub mod decay;
pub mod grid;
pub mod load;
pub mod publish;
pub mod score;

/// What is not a number becomes `fallback`; the rest is held within `low..=high`.
fn within(value: f64, low: f64, high: f64, fallback: f64) -> f64 {
    if value.is_nan() { fallback } else { value.clamp(low, high) }
}

/// A ratio between 0 and 1; what is not a number is zero.
fn ratio(value: f64) -> f64 {
    within(value, 0.0, 1.0, 0.0)
}
