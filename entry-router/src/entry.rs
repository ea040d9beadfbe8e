//! What an entry is: read from the head of its request and from its body as it streams, never from a body kept whole.

pub mod class;
pub mod count;
pub mod trace;
