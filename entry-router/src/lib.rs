//! Assigns every single entry of a route to its lead or an alternate, with the engine's rules.
//!
//! [`assigner`] is the heart that every door shares: it chooses a resource and an endpoint for an entry, counts it as in
//! flight, and learns from what becomes of it. [`standing`] tells it once a tick what the route's resources are, [`proxy`] is
//! the door that entries pass through, [`shadow`] sends copies of some to alternates, [`doors`] are those for who moves entries himself, [`observed`] writes what was seen into
//! the route's status, and [`admin`] tells people and machines what goes on.

pub mod admin;
pub mod args;
pub mod assigner;
mod desk;
pub mod doors;
pub mod entry;
pub mod metrics;
pub mod observed;
pub mod process;
pub mod proxy;
pub mod routes;
pub mod shadow;
pub mod standing;
