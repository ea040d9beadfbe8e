//! How many entries a second the simulator takes on one core.

use std::{path::Path, time::Instant};

use serde::Serialize;

use crate::{
    cluster::ShippedModel,
    error::Result,
    policies::{self, Named, Settings},
    run::{self, Order},
    scenario::Scenario,
};

/// Runs of each policy; the median counts.
const RUNS: usize = 5;

/// A demand that rests, of small entries, so that nearly all time goes into entries.
const SCENARIO: &str = "\
duration: 60s
settle: 0s
resources:
  a: {nodes: [{cores: 16, pods: 4}]}
  b: {nodes: [{cores: 16, pods: 4}]}
classes: [{name: x, workMs: 1}]
route:
  lead: {service: a, port: 9428}
  alternates: [{service: b, port: 9428}]
  target: {service: t}
demand: {shape: {constant: {level: 1.0}}}
";

/// Entries a second of one policy, drawn, sent, queued, served and counted.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// The policy.
    pub policy: &'static str,
    /// Entries a second on one core.
    pub entries_per_second: f64,
}

/// Measures every policy.
///
/// # Errors
/// [`crate::error::Error::Model`] if the release is broken.
pub fn measure() -> Result<Vec<Speed>> {
    let scenario = Scenario::parse(Path::new("bench.yaml"), SCENARIO)?;
    let model = ShippedModel::load()?;
    policies::ALL.iter().map(|policy| speed(*policy, &scenario, &model)).collect()
}

fn speed(policy: Named, scenario: &Scenario, model: &ShippedModel) -> Result<Speed> {
    let mut speeds = Vec::with_capacity(RUNS);
    for seed in 1..=RUNS as u64 {
        let order = Order {
            scenario,
            trace: None,
            policies: &[policy],
            first_seed: seed,
            seeds: 1,
            settings: Settings::default(),
        };
        let begun = Instant::now();
        let report = run::run(order, model)?;
        let entries: u64 = report.policies.iter().map(|outcome| outcome.figures.entries).sum();
        speeds.push(entries as f64 / begun.elapsed().as_secs_f64());
    }
    speeds.sort_unstable_by(f64::total_cmp);
    Ok(Speed { policy: policy.name, entries_per_second: speeds[RUNS / 2].round() })
}
