//! `foreshift-trainer`: trains the load forecaster, judges one, or retrains one on a cluster's own loads.

mod nightly;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use foreshift_models::release::{Release, sources};
use foreshift_models::report::Report;
use foreshift_models::training::{Schedule, train};
use foreshift_models::{bench, impact, recipe, traces};

/// Trains Foreshift's load forecaster and judges it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network and write load.onnx, load.json and CARD.md.
    Train(Train),
    /// Train the impact model on recorded entries and write impact.onnx and impact.json.
    TrainImpact(TrainImpact),
    /// Take all figures that the models are held against, print them and write them as JSON.
    Bench(Bench),
    /// Print how good a model is, by data set and against the baselines.
    Evaluate(Evaluate),
    /// Train further on a cluster's own loads, and publish what is better there.
    Retrain(nightly::Retrain),
}

#[derive(Args)]
struct Train {
    /// Folder with nab/, worldcup98/ and azure-llm/ (see models/README.md).
    #[arg(long)]
    data: PathBuf,
    /// Folder with the project's own recordings.
    #[arg(long, default_value = "models/traces")]
    traces: PathBuf,
    /// Folder to write to; made if need be.
    #[arg(long)]
    out: PathBuf,
    /// Seed of the weights, the episodes and the order of the windows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Optimiser steps.
    #[arg(long, default_value_t = Schedule::default().steps, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

#[derive(Args)]
struct TrainImpact {
    /// Recording of models/record/record.py, plain or packed.
    #[arg(long)]
    entries: PathBuf,
    /// Folder to write to.
    #[arg(long)]
    out: PathBuf,
    /// Seed of the weights, the drawn worlds and the order of the entries.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct Bench {
    /// Folder with nab/, worldcup98/ and azure-llm/ (see models/README.md).
    #[arg(long)]
    data: PathBuf,
    /// Folder with the project's own recordings.
    #[arg(long, default_value = "models/traces")]
    traces: PathBuf,
    /// Folder with the shipped models.
    #[arg(long)]
    models: PathBuf,
    /// JSON file to write.
    #[arg(long)]
    out: PathBuf,
    /// Optimiser steps of the models that never saw a set; fewer for a quick look.
    #[arg(long, default_value_t = bench::LEFT_OUT_STEPS, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

#[derive(Args)]
struct Evaluate {
    /// Folder with nab/, worldcup98/ and azure-llm/ (see models/README.md).
    #[arg(long)]
    data: PathBuf,
    /// Folder with the project's own recordings.
    #[arg(long, default_value = "models/traces")]
    traces: PathBuf,
    /// Folder with load.onnx and load.json.
    #[arg(long)]
    model: PathBuf,
    /// Write the folder's CARD.md anew instead of printing.
    #[arg(long)]
    card: bool,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Train(arguments) => run_training(&arguments),
        Command::TrainImpact(arguments) => run_impact_training(&arguments),
        Command::Bench(arguments) => run_bench(&arguments),
        Command::Evaluate(arguments) => run_evaluation(&arguments),
        Command::Retrain(arguments) => nightly::run(&arguments),
    }
}

fn run_training(arguments: &Train) -> anyhow::Result<()> {
    let sets = traces::all(&arguments.data, &arguments.traces)?;
    let mixture = recipe::mixture(&sets, recipe::EPISODES, arguments.seed);
    let schedule = Schedule { steps: arguments.steps, ..Schedule::default() };
    let network = train(&mixture, arguments.seed, &schedule, |step, loss| {
        eprintln!("step {step} of {}: pinball loss {loss:.4}", schedule.steps);
    });
    let release = Release::new(&network, arguments.seed, &schedule, sources(&sets));
    let model = release.load().context("the trained model is not fit to be shipped")?;
    let report = Report::of(&sets, &model);
    release.write(&arguments.out, &report)?;
    eprintln!("wrote load.onnx, load.json and CARD.md to {}", arguments.out.display());
    Ok(())
}

fn run_impact_training(arguments: &TrainImpact) -> anyhow::Result<()> {
    let rows = impact::recording(&arguments.entries)?;
    let network = impact::train(&rows, arguments.seed, &impact::schedule());
    let files = impact::release(&network, &rows, arguments.seed, &impact::schedule())?;
    impact::write(&arguments.out, &files)?;
    let report = impact::report(&rows, &files, arguments.seed)?;
    writeln!(std::io::stdout().lock(), "{report:#?}").context("cannot print the report")
}

fn run_bench(arguments: &Bench) -> anyhow::Result<()> {
    let sets = traces::all(&arguments.data, &arguments.traces)?;
    let figures = bench::measure(&sets, &arguments.models, arguments.steps, 1)?;
    let json = serde_json::to_string_pretty(&figures)?;
    if let Some(folder) = arguments.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&arguments.out, &json).with_context(|| arguments.out.display().to_string())?;
    writeln!(std::io::stdout().lock(), "{json}").context("cannot print the figures")
}

fn run_evaluation(arguments: &Evaluate) -> anyhow::Result<()> {
    let sets = traces::all(&arguments.data, &arguments.traces)?;
    let release = Release::read(&arguments.model)?;
    let model = release.load()?;
    let report = Report::of(&sets, &model);
    if arguments.card {
        return Ok(release.write(&arguments.model, &report)?);
    }
    write!(std::io::stdout().lock(), "## {}\n\n{report}", model.name()).context("cannot print the report")
}
