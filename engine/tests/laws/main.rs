//! Laws of the engine: they hold for any numbers, any clock and any history.

mod affinity;
mod entries;
mod fuzz;
mod movement;
mod shares;
mod worlds;
