//! How many entries a second the simulator takes on one core.

use std::{fs, io::ErrorKind, path::Path, time::Instant};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    cluster::ShippedModel,
    error::{Error, Result},
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

/// Puts the figure into the JSON object in a file, beside what is there.
///
/// # Errors
/// [`Error::File`], or [`Error::Input`] if there is something else in it.
pub fn put(file: &Path, entries_per_second: f64) -> Result<()> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => "{}".to_owned(),
        read => read.map_err(|error| Error::file(file, error))?,
    };
    let mut figures: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| Error::at(file, Some(error.line() as u64), &error.to_string(), "a JSON object"))?;
    figures.insert("simulator_entries_per_second".into(), entries_per_second.into());
    fs::write(file, format!("{:#}\n", Value::Object(figures))).map_err(|error| Error::file(file, error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_put_beside_those_that_are_there_and_into_nothing_else() {
        let file = std::env::temp_dir().join(format!("foreshift-bench-{}.json", std::process::id()));
        put(&file, 1.0).unwrap();
        fs::write(&file, r#"{"assign_allocations": 0}"#).unwrap();
        put(&file, 2e6).unwrap();
        let figures: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        fs::write(&file, "[]").unwrap();
        let refused = put(&file, 1.0).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        assert_eq!(
            figures,
            serde_json::json!({"assign_allocations": 0, "simulator_entries_per_second": 2e6})
        );
        assert!(refused.contains("a JSON object"), "{refused}");
    }
}
