//! How many instructions a decision takes: the same on every run and every machine of a kind, however busy.

#![allow(missing_docs, reason = "gungraun writes items of its own")]

#[path = "../../benches/engine/entry.rs"]
mod entry;
#[path = "../../benches/engine/fleet.rs"]
mod fleet;

use std::hint::black_box;

use foreshift_engine::assign::Assignment;
use gungraun::{library_benchmark, library_benchmark_group, main};

use crate::{entry::Crowd, fleet::Fleet};

#[library_benchmark(setup = Crowd::of)]
#[bench::among_10(10)]
#[bench::among_100(100)]
#[bench::among_1000(1000)]
fn assign(crowd: Crowd) -> (Assignment, Crowd) {
    // What is given back is dropped where nobody counts.
    (black_box(crowd.assign()), crowd)
}

/// Routes and nodes, planned once before.
fn planned(routes: usize) -> Fleet {
    let mut fleet = Fleet::new(routes, routes / 2);
    fleet.tick();
    fleet
}

#[library_benchmark(setup = planned)]
#[bench::of_1000_routes(1000)]
fn plan(mut fleet: Fleet) -> (usize, Fleet) {
    (black_box(fleet.tick()), fleet)
}

library_benchmark_group!(name = decisions, benchmarks = [assign, plan]);
main!(library_benchmark_groups = decisions);
