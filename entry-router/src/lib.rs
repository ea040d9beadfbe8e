//! Assigns every single entry of a route to its lead or an alternate, with the engine's rules.
//!
//! [`assigner`] is the heart that every door shares: it chooses a resource and an endpoint for an entry, counts it as in
//! flight, and learns from what becomes of it. [`standing`] tells it once a tick what the route's resources are.

pub mod assigner;
pub mod routes;
pub mod standing;
