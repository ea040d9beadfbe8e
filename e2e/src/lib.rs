//! Drives real journal entries at a real cluster and measures what Foreshift does with them.
//!
//! The pieces from the bottom up: a rate over time ([`shape`]), entries ([`entries`]), the open-loop [`sender`] and its
//! [`tally`]; the cluster ([`stage`], [`rest`], [`route`], [`router`], [`shares`], [`gauge`]); the count
//! afterwards ([`journal`]); and what is made of it all ([`outcome`], [`summary`], [`goals`], [`table`],
//! [`verdict`], [`plot`]). [`drive`] makes one run of them, [`demo`] all runs by a [`plan`], and shows its
//! [`progress`]. [`record`] drives [`program`]s of drawn shapes instead, and keeps what the nodes' agents saw as
//! [`trace`]s.

pub mod args;
pub mod calibrate;
pub mod cgroup;
pub mod demo;
pub mod drive;
pub mod entries;
pub mod error;
pub mod gauge;
pub mod goals;
pub mod ids;
pub mod journal;
pub mod local;
pub mod logs;
pub mod outcome;
pub mod plan;
pub mod plot;
pub mod program;
pub mod progress;
pub mod record;
pub mod rest;
pub mod route;
pub mod router;
pub mod sample;
pub mod sender;
pub mod shape;
pub mod shares;
pub mod stage;
pub mod summary;
pub mod table;
pub mod tally;
pub mod trace;
pub mod verdict;
