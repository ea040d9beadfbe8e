//! Discrete-event simulation: Foreshift's own decisions against rival policies on the same entries.
//!
//! A [`scenario`] says what there is; a [`source`] brings entries second by second; a [`lane`] sends each of them
//! through one policy into a [`fleet`] of its own, so that all policies see the same entries and the same draws;
//! a [`tally`] counts and [`figures`] says what the counts mean. Foreshift decides here through the very code of
//! the node agent and the operator ([`cluster`]); nothing in this crate re-implements a rule of the engine.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare with numbers that floats hold exactly"))]

pub mod args;
pub mod bench;
pub mod cluster;
pub mod error;
pub mod figures;
pub mod fleet;
pub mod goals;
pub mod golden;
pub mod lane;
pub mod page;
pub mod policies;
pub mod run;
pub mod scenario;
pub mod shape;
pub mod source;
pub mod table;
pub mod tally;
