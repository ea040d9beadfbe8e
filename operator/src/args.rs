//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use foreshift_api::Span;
use foreshift_daemon::log::LogFormat;

use crate::history::writer::Place;

/// Ticks outside of these neither follow a load nor leave the API server alone.
const TICKS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);

/// Plans and programs the shares of every JournalRoute.
#[derive(Clone, Debug, Parser)]
#[command(name = "foreshift-operator", version)]
pub struct Args {
    /// What to do instead of running the operator.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where health and metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9100")]
    pub admin: SocketAddr,
    /// Folder with load.onnx and load.json; looked at again every ten seconds.
    #[arg(long, value_name = "DIR", default_value = "/models")]
    pub model_dir: PathBuf,
    /// Folder in which loads are recorded for retraining, served as CSV at `/history`; without it nothing is recorded.
    #[arg(long, value_name = "DIR")]
    pub history_dir: Option<PathBuf>,
    /// Size of that record, 1 MiB at least; beyond it the oldest loads are dropped.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 40))]
    pub history_max_bytes: u64,
    /// How often every route is planned anew, for example 1s or 500ms.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = tick)]
    pub tick: Duration,
    /// Log filter: a level, or levels by module such as `info,foreshift_operator=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// Name under which this replica holds the lease; by default made from the process id.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    pub pod_namespace: String,
}

/// What to do instead of running the operator.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Load the model in a folder and prove it against its golden vectors; the operator runs this before it
    /// trusts a file.
    CheckModel {
        /// Folder with load.onnx and load.json; without it both come from the standard input, as the operator sends
        /// them.
        dir: Option<PathBuf>,
    },
}

impl Args {
    /// Where loads are recorded, if they are.
    #[must_use]
    pub fn history(&self) -> Option<Place> {
        Some(Place { folder: self.history_dir.clone()?, most: self.history_max_bytes })
    }

    /// Who this replica is.
    #[must_use]
    pub fn identity(&self) -> String {
        self.pod_name.clone().unwrap_or_else(|| format!("foreshift-operator-{}", std::process::id()))
    }
}

fn tick(text: &str) -> Result<Duration, String> {
    let tick = text.parse::<Span>()?.get();
    if TICKS.contains(&tick) { Ok(tick) } else { Err("give a time from 100ms to 1m".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_flags_of_the_chart_are_understood() {
        let line = "op --admin=0.0.0.0:9100 --model-dir=/models --tick=500ms --log=info --log-format=plain";
        let args = parsed(line).unwrap();
        assert_eq!((args.tick, args.log_format), (Duration::from_millis(500), LogFormat::Plain));
        assert!(args.command.is_none());
    }

    #[test]
    fn loads_are_recorded_only_where_a_folder_is_named() {
        assert_eq!(parsed("op").unwrap().history(), None);
        let place = parsed("op --history-dir=/history").unwrap().history();
        assert_eq!(place, Some(Place { folder: "/history".into(), most: 64 << 20 }));
        assert!(parsed("op --history-dir=/history --history-max-bytes=1000").is_err());
    }

    #[test]
    fn a_tick_that_makes_no_sense_is_refused_with_an_example() {
        for tick in ["0s", "1", "1h", "soon"] {
            let error = parsed(&format!("op --tick={tick}")).unwrap_err().to_string();
            assert!(error.contains("100ms") || error.contains("30s"), "{error}");
        }
    }
}
