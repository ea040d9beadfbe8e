//! `foreshift-simulator`: see `foreshift-simulator --help`.

use std::io::Write as _;

use clap::Parser as _;
use foreshift_simulator::{
    args::{Args, Command, Format, RunArgs},
    cluster::ShippedModel,
    policies::{self, Settings},
    run::{self, Order},
    scenario::Scenario,
    table,
};

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Run(args) => run_one(&args),
    }
}

fn run_one(args: &RunArgs) -> anyhow::Result<()> {
    let scenario = Scenario::read(&args.scenario)?;
    let policies = if args.policies.is_empty() {
        policies::ALL.to_vec()
    } else {
        policies::named(args.policies.iter().map(String::as_str))?
    };
    let order = Order {
        scenario: &scenario,
        trace: args.trace.as_deref(),
        policies: &policies,
        first_seed: args.first_seed,
        seeds: args.seeds,
        settings: Settings::default(),
    };
    let report = run::run(order, &ShippedModel::load()?)?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Table => write!(out, "{}", table::table(&report))?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&table::json(&report))?)?,
    }
    Ok(())
}
