//! Trains the load forecaster and writes it as ONNX.
//!
//! The way through: [`traces`] and [`episodes`] give series, [`windows`] splits them, [`recipe`] mixes what is learned
//! from, [`training`] fits a [`network`], [`onnx`] writes it down, [`release`] adds the manifest and the model card,
//! [`report`] judges the result against the baselines; [`finetune`] goes on from there with a
//! cluster's own series. [`retrain`] does so with what a cluster [`recorded`], or a [`prometheus`] did, and [`publish`] hands
//! the result to the operator. Equal seeds and data give equal files.

pub mod bench;
pub mod contest;
pub mod demand;
pub mod episodes;
pub mod features;
pub mod finetune;
pub mod http;
pub mod impact;
pub mod network;
pub mod noise;
pub mod onnx;
pub mod optimiser;
pub mod probes;
pub mod prometheus;
pub mod publish;
pub mod recipe;
pub mod recorded;
pub mod release;
pub mod report;
pub mod retrain;
pub mod traces;
pub mod training;
pub mod usefulness;
pub mod windows;
