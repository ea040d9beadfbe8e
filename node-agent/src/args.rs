//! The command line; the chart's DaemonSet is its first user.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use foreshift_api::{Decimal, Span};
use foreshift_daemon::log::LogFormat;
use foreshift_engine::persona::score::{PowerModel, Prices};

use crate::persona::{Costing, HALF_LIFE};

/// Samples this node each second and publishes its ResourcePersona.
#[derive(Parser, Clone, Debug)]
#[command(name = "foreshift-node-agent", version)]
pub struct Args {
    /// Name of this node's Node object.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,
    /// Where the node's /proc is mounted.
    #[arg(long, default_value = "/proc")]
    pub proc_root: PathBuf,
    /// Where the node's /sys/fs/cgroup is mounted.
    #[arg(long, default_value = "/sys/fs/cgroup")]
    pub cgroup_root: PathBuf,
    /// Where the node's /sys is mounted; without it the speed of the node's links is not known.
    #[arg(long)]
    pub sys_root: Option<PathBuf>,
    /// Cgroup that stands for the node, relative to the cgroup root; without it the whole machine is the node.
    #[arg(long)]
    pub node_cgroup: Option<PathBuf>,
    /// What the node's network carries, in bytes a second; without it the speed of its links.
    #[arg(long, value_parser = amount)]
    pub network_capacity: Option<f64>,
    /// What the node's work may take of memory, in bytes; without it what the Node calls allocatable. Declare it where the
    /// kubelet evicts softly, which the Node does not tell.
    #[arg(long, value_parser = amount)]
    pub memory_capacity: Option<f64>,
    /// Where health, metrics and the newest persona are served.
    #[arg(long, default_value = "0.0.0.0:9101")]
    pub admin: SocketAddr,
    /// Folder for what shall outlive a restart; without it only the published persona does.
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Time after which an event counts half in the stability score.
    #[arg(long, default_value_t = HALF_LIFE)]
    pub half_life: Span,
    /// Log filter, such as `info` or `info,foreshift_node_agent=debug`.
    #[arg(long, default_value = "info")]
    pub log: String,
    /// Form of a log line.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// What the node costs; a persona's own `spec.cost` wins.
    #[command(flatten)]
    pub cost: CostArgs,
}

/// Prices and power, all optional, in one currency.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct CostArgs {
    /// Price of the node for an hour.
    #[arg(long, value_parser = amount)]
    pub hourly_price: Option<f64>,
    /// Licences that run on the node, for an hour.
    #[arg(long, value_parser = amount)]
    pub license_per_hour: Option<f64>,
    /// Price of a kilowatt-hour.
    #[arg(long, value_parser = amount)]
    pub price_per_kilowatt_hour: Option<f64>,
    /// Watts of the idle node.
    #[arg(long, value_parser = amount, requires = "watts_busy")]
    pub watts_idle: Option<f64>,
    /// Watts of the fully busy node.
    #[arg(long, value_parser = amount, requires = "watts_idle")]
    pub watts_busy: Option<f64>,
    /// Hourly cost that scores 50.
    #[arg(long, value_parser = amount)]
    pub reference_hourly_cost: Option<f64>,
}

impl From<CostArgs> for Costing {
    fn from(args: CostArgs) -> Self {
        Self {
            prices: Prices {
                node: args.hourly_price,
                licences: args.license_per_hour,
                kilowatt_hour: args.price_per_kilowatt_hour,
            },
            power: args.watts_idle.zip(args.watts_busy).map(|(idle, busy)| PowerModel { idle, busy }),
            reference: args.reference_hourly_cost,
        }
    }
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<Decimal>()?.get() {
        value if value >= 0.0 => Ok(value),
        _ => Err(format!("`{text}` is negative; write zero or more")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["foreshift-node-agent", "--node-name=n1"].iter().chain(flags))
    }

    #[test]
    fn every_flag_that_the_chart_passes_is_understood() {
        Args::command().debug_assert();
        let args = parse(&[
            "--proc-root=/host/proc",
            "--cgroup-root=/host/sys/fs/cgroup",
            "--sys-root=/host/sys",
            "--admin=0.0.0.0:9101",
            "--state-dir=/state",
            "--log=debug",
            "--log-format=json",
            "--node-cgroup=foreshift/n1",
            "--network-capacity=125000000",
            "--memory-capacity=8000000000",
            "--hourly-price=0.192",
            "--license-per-hour=0.05",
            "--price-per-kilowatt-hour=0.31",
            "--watts-idle=50",
            "--watts-busy=200",
            "--reference-hourly-cost=0.3",
        ])
        .unwrap();
        let costing = Costing::from(args.cost);
        assert_eq!(costing.power, Some(PowerModel { idle: 50.0, busy: 200.0 }));
        assert_eq!((args.network_capacity, args.memory_capacity), (Some(125_000_000.0), Some(8e9)));
        assert_eq!(args.half_life, HALF_LIFE);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write_instead() {
        let cases = [
            ("--hourly-price=cheap", "0.75"),
            ("--network-capacity=-1", "zero or more"),
            ("--watts-idle=50", "--watts-busy"),
            ("--half-life=forever", "5m"),
        ];
        for (flag, expected) in cases {
            let error = parse(&[flag]).unwrap_err().to_string();
            assert!(error.contains(expected), "{flag}: {error}");
        }
    }
}
