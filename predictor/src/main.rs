//! `foreshift-predictor`: what a model file is, and how well it forecasts a series of one's own.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use foreshift_predictor::evaluate::{evaluate, impact, series::Series};
use foreshift_predictor::impact::{ImpactModel, Predictor};
use foreshift_predictor::{Card, Manifest, Model, inspect};

/// Looks into a load model, and judges it on a series of your own.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Forecast a series with a model and with the baselines, and say how well each did.
    Evaluate(Evaluate),
    /// Predict the costs of entries with the impact model and with simple rules, and say how well each did.
    EvaluateImpact(EvaluateImpact),
    /// Print what a model file holds, without running it.
    Inspect(Inspect),
}

#[derive(Args)]
struct Evaluate {
    /// The ONNX file; the manifest beside it (same name, .json) is used if there.
    #[arg(long)]
    model: PathBuf,
    /// CSV of `timestamp,value`.
    #[arg(long)]
    series: PathBuf,
    /// Length of a step, for example 15s or 5m.
    #[arg(long, value_parser = period)]
    period: Duration,
    /// Load from which a step counts as saturated.
    #[arg(long, default_value_t = 0.9)]
    saturation: f64,
    /// What counts as a load of 1, in the units of the file; found out if not given.
    #[arg(long)]
    capacity: Option<f64>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args)]
struct EvaluateImpact {
    /// CSV of `timestamp_ms,class,source,destination,bytes,steps,cost_ms`.
    #[arg(long)]
    entries: PathBuf,
    /// The ONNX file, with its manifest beside it; the one that this release was built with if not given.
    #[arg(long)]
    model: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args)]
struct Inspect {
    /// The ONNX file.
    model: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Lines for people.
    Table,
    /// One JSON object.
    Json,
}

fn main() -> anyhow::Result<()> {
    let text = match Arguments::parse().command {
        Command::Evaluate(arguments) => run_evaluation(&arguments)?,
        Command::EvaluateImpact(arguments) => run_impact_evaluation(&arguments)?,
        Command::Inspect(arguments) => run_inspection(&arguments)?,
    };
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn run_evaluation(arguments: &Evaluate) -> anyhow::Result<String> {
    ensure!(
        arguments.saturation.is_finite() && arguments.saturation > 0.0,
        "--saturation must be above 0, for example 0.9"
    );
    ensure!(
        arguments.capacity.is_none_or(|capacity| capacity.is_finite() && capacity > 0.0),
        "--capacity must be above 0: the value at which the resource is full"
    );
    let model = load(&arguments.model)?;
    let path = arguments.series.display();
    let file = File::open(&arguments.series).with_context(|| format!("cannot open {path}"))?;
    let series =
        Series::read(file, arguments.period, arguments.capacity).with_context(|| path.to_string())?;
    let evaluation = evaluate(&model, &series, arguments.saturation);
    Ok(match arguments.format {
        Format::Table => evaluation.to_string(),
        Format::Json => serde_json::to_string_pretty(&evaluation)?,
    })
}

fn run_impact_evaluation(arguments: &EvaluateImpact) -> anyhow::Result<String> {
    let model = match &arguments.model {
        Some(path) => ImpactModel::load(&bytes(path)?, &bytes(&path.with_extension("json"))?)
            .with_context(|| path.display().to_string())?,
        None => ImpactModel::shipped()?,
    };
    let path = arguments.entries.display();
    let file = File::open(&arguments.entries).with_context(|| format!("cannot open {path}"))?;
    let (rows, notices) = impact::read(file).with_context(|| path.to_string())?;
    let evaluation = impact::evaluate_impact(&rows, Predictor::new(Some(Arc::new(model))), notices);
    Ok(match arguments.format {
        Format::Table => evaluation.to_string(),
        Format::Json => serde_json::to_string_pretty(&evaluation)?,
    })
}

fn run_inspection(arguments: &Inspect) -> anyhow::Result<String> {
    let onnx = bytes(&arguments.model)?;
    let card = Card::of(&onnx, manifest(&arguments.model)?.as_ref())?;
    Ok(match arguments.format {
        Format::Table => card.to_string(),
        Format::Json => serde_json::to_string_pretty(&card)?,
    })
}

/// The model with its manifest, or on the strength of its own bytes alone.
fn load(path: &Path) -> anyhow::Result<Model> {
    let onnx = bytes(path)?;
    let model = match manifest(path)? {
        Some(manifest) => Model::load(&onnx, &manifest),
        None => Model::load_unsigned(&onnx),
    };
    model.with_context(|| path.display().to_string())
}

fn manifest(model: &Path) -> anyhow::Result<Option<Manifest>> {
    let path = model.with_extension("json");
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Manifest::from_json(&bytes(&path)?).with_context(|| path.display().to_string())?))
}

/// A file, up to one byte more than any of ours may have.
fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(inspect::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A span like `500ms`, `15s`, `5m` or `1h`.
fn period(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time; write for example 15s, 5m or 1h");
    let digits = text.trim_end_matches(char::is_alphabetic);
    let scale = match &text[digits.len()..] {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<f64>().map_err(|_| wrong())? * scale;
    let sensible = (1e-3..=86_400.0).contains(&seconds);
    sensible.then(|| Duration::from_secs_f64(seconds)).ok_or_else(wrong)
}
