//! Two doors to one assigner, for those who move entries themselves: an API (gRPC and JSON), and an endpoint picker for
//! Envoy and every other gateway that speaks the Gateway API Inference Extension's protocol.
//!
//! A door knows its protocol and nothing of how an entry is assigned: that is what it asks a [`desk::Desk`] for.

pub mod api;
pub mod desk;
pub mod envoy;
#[cfg(test)]
mod fixtures;
pub mod health;
pub mod leases;
pub mod serve;

pub mod proto;
