//! The proxy before real sockets: what passes, and that no fault loses or doubles an acknowledged entry.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod backend;
mod faults;
mod fuzz;
mod grpc;
mod kills;
mod outage;
mod passing;
mod process;
mod shadow;
mod tls;
mod world;
