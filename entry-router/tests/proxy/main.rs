//! The proxy before real sockets: what passes, and that no fault loses or doubles an acknowledged entry.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod faults;
mod passing;
mod shadow;
mod world;
