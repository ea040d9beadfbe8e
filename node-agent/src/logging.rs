//! Log lines on standard output, for people or as JSON.

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::args::LogFormat;

/// The client logs every failed call as an error; the agent says once what fails, and when it is over.
const QUIET: &str = "kube_client::client::builder=off";

/// Starts to log what `filter` lets through; it may name the quiet parts, too.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
    }
    Ok(())
}
