//! What the agent says to the API server, against a small one in memory.

mod fake;
mod follow;
mod publish;
mod resume;
