//! Samples one node each second, folds the samples into its persona and publishes that as a `ResourcePersona`.
//!
//! Data flows one way: [`sources`] (I/O) -> [`sample`] -> [`persona`] (pure) -> [`publish`] (I/O). [`agent`] drives
//! the first three, [`entries`] looks at what the observed pods answer (by [`exposition`]), [`watch`] brings in what the node's persona and Node object say, [`store`] keeps the slow
//! signals over a restart, [`admin`] shows it all. The agent reads pods from the kernel and never from the API.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare with numbers that floats hold exactly"))]

pub mod admin;
pub mod agent;
pub mod args;
pub mod backpressure;
pub mod entries;
pub mod exposition;
#[cfg(test)]
mod fuzz;
pub mod metrics;
mod outage;
pub mod persona;
pub mod publish;
mod quantity;
pub mod resume;
pub mod sample;
pub mod sources;
pub mod store;
pub mod watch;
