//! Two frontends to one assigner, for those who move entries themselves: an API (gRPC and JSON), and an endpoint picker for
//! Envoy and every other gateway that speaks the Gateway API Inference Extension's protocol.
//!
//! A frontend knows its protocol and nothing of how an entry is assigned: that is what it asks a [`assign::Assign`] for.

pub mod api;
pub mod assign;
pub mod envoy;
#[cfg(test)]
mod fixtures;
pub mod health;
pub mod leases;
pub mod serve;

pub mod proto;
