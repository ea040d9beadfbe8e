//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Holds Foreshift's decisions against rival policies, on the same entries and without a cluster.
#[derive(Debug, Parser)]
#[command(name = "foreshift-simulator", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one scenario.
    Run(RunArgs),
    /// Run all scenarios and write the golden report.
    Golden(GoldenArgs),
    /// Hold what the scenarios show against the goals.
    Goals(GoalsArgs),
    /// Measure how many entries a second each policy is simulated with.
    Bench(BenchArgs),
}

/// Where scenarios are.
#[derive(Debug, clap::Args)]
pub struct ScenariosArgs {
    /// Folder with the scenarios.
    #[arg(long, value_name = "DIR", default_value = "simulator/scenarios")]
    pub scenarios: PathBuf,
}

/// Arguments of `goals`.
#[derive(Debug, clap::Args)]
pub struct GoalsArgs {
    /// The scenarios.
    #[command(flatten)]
    pub scenarios: ScenariosArgs,
    /// How many seeds.
    #[arg(long, default_value_t = crate::golden::SEEDS, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
}

/// Arguments of `golden`.
#[derive(Debug, clap::Args)]
pub struct GoldenArgs {
    /// The scenarios.
    #[command(flatten)]
    pub scenarios: ScenariosArgs,
    /// The page that holds the report.
    #[arg(long, value_name = "FILE.md", default_value = "docs/simulator.md")]
    pub page: PathBuf,
    /// Only record the bounds that the tests hold Foreshift to, beside the scenarios.
    #[arg(long)]
    pub record: bool,
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Also put `simulator_entries_per_second` into the JSON object in this file, beside what is there.
    #[arg(long, value_name = "FILE.json")]
    pub into: Option<PathBuf>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The scenario.
    #[arg(long, value_name = "FILE.yaml")]
    pub scenario: PathBuf,
    /// Entries of the first route, instead of drawn ones: `timestamp_ms,class,source,destination,bytes,steps`. Classes
    /// that the scenario does not name count as its first. It runs to the end of the trace.
    #[arg(long, value_name = "FILE.csv")]
    pub trace: Option<PathBuf>,
    /// Only these policies; all where nothing is said.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub policies: Vec<String>,
    /// How many seeds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub first_seed: u64,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write a page with plots of the first seed there.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// How figures are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
}
