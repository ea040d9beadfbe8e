//! What the cluster says, as the engine sees it.
//!
//! [`watch`] fills the [`caches`] from the API server. [`observe()`] reads from them what one route names, and
//! [`resources`] makes of it what the engine plans with. Control plane and data plane see the cluster by this crate
//! alone, so they cannot differ in what a ready endpoint, a fresh persona or a route's policy is. Nothing here writes.

pub mod caches;
pub mod convert;
pub mod endpoints;
pub mod freshness;
pub mod index;
pub mod labels;
pub mod observe;
pub mod policy;
pub mod ports;
pub mod resources;
mod route_key;
pub mod time;
pub mod watch;

pub use caches::Caches;
pub use observe::{Observed, observe};
pub use route_key::RouteKey;
