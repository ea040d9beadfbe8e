//! Assigns every single entry of a route to its lead or an alternate, with the engine's rules.
//!
//! [`assigner`] chooses a resource and an endpoint for an entry, counts it as in flight, and learns from its outcome.
//! A [`snapshot`] says once a tick what the route's resources are. The frontends share one assigner for each route:
//! [`proxy`] forwards entries, [`frontends`] serve those who forward entries themselves, [`shadow`] sends copies to
//! alternates. [`observed`] writes what was seen into the route's status, and [`admin`] reports it to people and
//! machines.

pub mod admin;
pub mod args;
mod assign;
pub mod assigner;
pub mod entry;
pub mod frontends;
pub mod metrics;
pub mod observed;
pub mod process;
pub mod proxy;
pub mod routes;
pub mod shadow;
pub mod snapshot;
