//! What every long-running program of Foreshift does alike: write its log, stop when it is asked to, and answer on its
//! admin port.

pub mod admin;
pub mod log;
pub mod shutdown;
