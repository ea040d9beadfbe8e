//! Forecasts, plans and programs the shares of every JournalRoute.
//!
//! [`foreshift_view`] holds what the API server says, [`controller`] turns once a tick, [`route`] reconciles one route,
//! [`persona`] writes what nodes are told and what is forecast of them. Every decision is the engine's; this crate
//! reads, asks and writes; [`history`] keeps what was offered. Only the holder of the [`lease`] writes, every replica watches.

pub mod admin;
pub mod args;
pub mod controller;
pub mod events;
pub mod history;
pub mod lease;
pub mod metrics;
pub mod models;
pub mod persona;
pub mod process;
pub mod route;
pub mod write;

#[cfg(test)]
mod fixtures;
