//! What people hand in: scenarios and traces, sound, spoilt and huge.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

mod fuzz;
mod memory;

/// A scenario that is sound.
const SCENARIO: &str = include_str!("../../scenarios/slow-alternate.yaml");

/// The header of a trace and its line end.
const HEADER: &str = "timestamp_ms,class,source,destination,bytes,steps\n";
