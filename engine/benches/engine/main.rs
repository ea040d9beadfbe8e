//! How long a decision takes. Prints the figures and writes them to `target/bench/engine.json`.

mod entry;
mod fleet;

use std::{
    env, fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use criterion::Criterion;
use serde_json::{Value, json};

use crate::{entry::Crowd, fleet::Fleet};

/// Alternates that a single entry is placed among.
const ALTERNATES: [usize; 3] = [10, 100, 1000];

#[allow(clippy::print_stdout, reason = "the figures are for whoever runs it")]
fn main() -> Result<()> {
    let target = target_folder()?;
    let criterion = target.join("criterion");
    let mut bench = Criterion::default()
        .output_directory(&criterion)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let mut allocations = 0;
    for alternates in ALTERNATES {
        let crowd = Crowd::of(alternates);
        allocations += allocations_of(&crowd);
        bench.bench_function(&format!("assign_{alternates}"), |b| b.iter(|| crowd.assign()));
    }
    let mut fleet = Fleet::new(10_000, 5_000);
    bench = bench.sample_size(20);
    bench.bench_function("plan_10000", |b| b.iter(|| fleet.tick()));
    bench.final_summary();
    if env::args().any(|argument| argument == "--test" || argument == "--list") {
        return Ok(());
    }

    let nanoseconds = |name: &str| median(&criterion.join(name));
    let figures = json!({
        "assign_ns": {
            "10": nanoseconds("assign_10")?,
            "100": nanoseconds("assign_100")?,
            "1000": nanoseconds("assign_1000")?,
        },
        "assign_allocations": allocations,
        "plan_10000_routes_5000_nodes_ms": nanoseconds("plan_10000")? / 1e6,
    });
    let file = target.join("bench/engine.json");
    fs::create_dir_all(target.join("bench"))?;
    fs::write(&file, format!("{figures:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{figures:#}\n{}", file.display());
    Ok(())
}

fn allocations_of(crowd: &Crowd) -> u64 {
    let counted = allocation_counter::measure(|| {
        for _ in 0..1000 {
            black_box(crowd.assign());
        }
    });
    counted.count_total
}

/// `target`, wherever it is: this program is `target/release/deps/engine-…`.
fn target_folder() -> Result<PathBuf> {
    let program = env::current_exe()?;
    program.ancestors().nth(3).map(Path::to_path_buf).context("this program is not in a target folder")
}

fn median(folder: &Path) -> Result<f64> {
    let file = folder.join("new/estimates.json");
    let text = fs::read_to_string(&file).with_context(|| format!("criterion left no {}", file.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    median.with_context(|| format!("{} has no median", file.display()))
}
