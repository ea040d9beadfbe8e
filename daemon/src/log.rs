//! Log lines on standard output.

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The client logs every failed call as an error; whoever called says what fails and what becomes of it.
const QUIET: &str = "kube_client::client::builder=off";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    #[value(alias = "text")]
    Plain,
}

/// Starts to log what `filter` lets through: a level, or levels by module; it may name the quiet parts, too. Once a process.
///
/// # Errors
/// If `filter` is none.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Plain => log.init(),
    }
    Ok(())
}
