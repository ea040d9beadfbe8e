//! `foreshift-simulator`: see `foreshift-simulator --help`.

use std::io::Write as _;

use clap::Parser as _;
use foreshift_simulator::{
    args::{Args, BenchArgs, Command, Format, GoalsArgs, GoldenArgs, RunArgs},
    bench,
    cluster::ShippedModel,
    goals,
    golden::{self, Bounds},
    page,
    policies::{self, Settings},
    run::{self, Order},
    scenario::Scenario,
    table,
};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Run(args) => run_one(&args),
        Command::Golden(args) => write_golden(&args),
        Command::Goals(args) => print_goals(&args),
        Command::Bench(args) => print_speed(&args),
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
    if let Some(folder) = &args.report {
        page::write(folder, &args.scenario.display().to_string(), &report)?;
    }
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Table => write!(out, "{}", table::table(&report))?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&table::json(&report))?)?,
    }
    Ok(())
}

fn write_golden(args: &GoldenArgs) -> anyhow::Result<()> {
    let folder = &args.scenarios.scenarios;
    let shipped = golden::shipped(folder)?;
    let model = ShippedModel::load()?;
    if !args.record {
        golden::insert(&args.page, &golden::report(&shipped, &model)?)?;
        return Ok(());
    }
    let mut bounds = Bounds::default();
    for scenario in &shipped {
        bounds.record(&scenario.name, &golden::measured(scenario, &model)?);
    }
    Ok(bounds.write(folder)?)
}

fn print_goals(args: &GoalsArgs) -> anyhow::Result<()> {
    let shipped = golden::shipped(&args.scenarios.scenarios)?;
    let measured = goals::measure(&shipped, args.seeds, &ShippedModel::load()?)?;
    let (goals, excess) = (goals::table(&measured.goals), goals::excess_tables(&measured.excess));
    Ok(write!(std::io::stdout(), "{goals}{excess}")?)
}

fn print_speed(args: &BenchArgs) -> anyhow::Result<()> {
    let speeds = bench::measure()?;
    // The policy that does least by itself: what is left is the simulator.
    let bare = speeds.iter().find(|speed| speed.policy == "round_robin");
    let figure = bare.map_or(0.0, |speed| speed.entries_per_second);
    if let Some(file) = &args.into {
        bench::put(file, figure)?;
    }
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => {
            writeln!(out, "{}", json!({"simulator_entries_per_second": figure, "policies": speeds}))?;
        }
        Format::Table => {
            let row = |speed: &bench::Speed| {
                vec![speed.policy.to_owned(), format!("{:.0}", speed.entries_per_second)]
            };
            let head = vec!["policy".to_owned(), "entries a second".to_owned()];
            let rows: Vec<Vec<String>> = std::iter::once(head).chain(speeds.iter().map(row)).collect();
            write!(out, "{}", table::aligned(&rows))?;
        }
    }
    Ok(())
}
