//! Forecasts, plans and programs the shares of every JournalRoute.
//!
//! [`caches`] holds what the API server says, [`controller`] turns once a tick, [`route`] reconciles one route,
//! [`persona`] writes what nodes are told and what is forecast of them. Every decision is the engine's; this crate
//! reads, asks and writes; [`history`] keeps what was offered. Only the holder of the [`lease`] writes, every replica watches.

pub mod admin;
pub mod args;
pub mod caches;
pub mod controller;
pub mod events;
pub mod history;
pub mod key;
pub mod lease;
pub mod metrics;
pub mod models;
pub mod persona;
pub mod process;
pub mod route;
pub mod write;

#[cfg(test)]
mod fixtures;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The engine's clock: time since 1970.
fn since_epoch(now: Timestamp) -> Duration {
    now.as_duration().unsigned_abs()
}

/// Time from `then` to `now`; zero if `then` lies ahead, as it does under clock skew.
fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
