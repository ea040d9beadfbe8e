//! What this replica saw of a route's resources, told in the route's status and to people.

pub mod people;
pub mod rows;
pub mod writer;

pub use rows::Rows;
pub use writer::{Writer, Writes};
