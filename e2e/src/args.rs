//! The command line of `foreshift-demo`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Parser, Subcommand};

use crate::{route::Run, shape::Shape};

/// Drives real journal entries at a cluster with Foreshift in it, and shows what becomes of them.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drive a shape, once for each run, on the cluster of KUBECONFIG.
    Run(Box<DemoArgs>),
    /// Drive many shapes at three nodes, and keep what their agents saw as traces for the trainer.
    Record(Box<RecordArgs>),
    /// Hold a summary against the goals; fails when a required one is missed.
    Check(CheckArgs),
}

/// How the demo is driven.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// The rate over time.
    #[arg(long, value_enum, default_value_t, env = "SHAPE")]
    pub shape: Shape,
    /// Runs, in the order given here.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "lead_only,reactive,foreshift")]
    pub runs: Vec<Run>,
    /// Folder for the summary, the pictures and the samples.
    #[arg(long, default_value = "target/demo")]
    pub out: PathBuf,
    /// Where.
    #[command(flatten)]
    pub stage: StageArgs,
}

/// What is recorded.
#[derive(Clone, Debug, clap::Args)]
pub struct RecordArgs {
    /// The file, CSV packed with gzip.
    #[arg(long, default_value = "models/traces/local-cluster.csv.gz")]
    pub out: PathBuf,
    /// Parts of three minutes; in each, every node sees a shape of its own.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=480))]
    pub parts: u32,
    /// Draws the shapes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where.
    #[command(flatten)]
    pub stage: StageArgs,
}

/// The cluster, and what is driven in it.
#[derive(Clone, Debug, clap::Args)]
pub struct StageArgs {
    /// Log lines to send: files, or folders of *.log. Default: the logs of the local cluster's components, elsewhere
    /// those of the pods in kube-system.
    #[arg(long)]
    pub logs: Vec<PathBuf>,
    /// Nodes of the lead and its two alternates. Default: the first three that take pods.
    #[arg(long, value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Image of the journal service: systemd-journal-remote as its entrypoint, and journalctl beside it unless the
    /// cluster is the local one.
    #[arg(long, default_value = "foreshift.dev/journal:dev")]
    pub image: String,
    /// Pods of each resource: the steps in which shares can move.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub pods: u32,
    /// Entries in a request. Few, so that no pod fills a journal file within a run: all pods of a resource would begin
    /// a new one in the same second, which saturates the node for as long whatever its share is.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub batch: u32,
    /// Requests a second that load the lead fully. Default: measured, which needs the lead's cgroup on this machine.
    #[arg(long)]
    pub capacity: Option<f64>,
    /// Where requests go. Default: the cluster IP of Service journal, which only nodes and pods can reach.
    #[arg(long)]
    pub target: Option<SocketAddr>,
    /// Address of this machine that requests come from, such as one of the pods' network: what comes from elsewhere a
    /// Service may hide behind ports of its own, which it uses again too soon. Default: what the kernel takes.
    #[arg(long)]
    pub from: Option<IpAddr>,
    /// Service of the entry router, as NAMESPACE/SERVICE: Foreshift's runs go through it.
    #[arg(long)]
    pub router: Option<String>,
    /// State folder of the local cluster; set by `cluster run`.
    #[arg(long, env = "CLUSTER_STATE")]
    pub cluster_state: Option<PathBuf>,
    /// Cgroup of the lead's node, for a node on this machine that is not of the local cluster.
    #[arg(long)]
    pub lead_cgroup: Option<String>,
}

/// What is checked.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The summary of a demo.
    #[arg(long, default_value = "target/demo/summary.json")]
    pub summary: PathBuf,
    /// Fail when any goal is missed, not only a required one.
    #[arg(long)]
    pub strict: bool,
    /// Print missed goals only; `run` has printed all of them.
    #[arg(long)]
    pub quiet: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together_and_runs_everything_by_default() {
        Args::command().debug_assert();
        let args = Args::parse_from(["foreshift-demo", "run"]);
        let Command::Run(demo) = args.command else { panic!("run was asked for") };
        assert_eq!(demo.runs, [Run::LeadOnly, Run::Reactive, Run::Foreshift]);
        assert_eq!(demo.shape, Shape::Ramp);
    }

    #[test]
    fn the_short_ramp_is_named_on_the_command_line() {
        let flags = ["foreshift-demo", "run", "--shape", "short-ramp", "--runs", "reactive,foreshift"];
        let Command::Run(demo) = Args::parse_from(flags).command else { panic!("run was asked for") };
        assert_eq!((demo.shape, demo.runs), (Shape::ShortRamp, vec![Run::Reactive, Run::Foreshift]));
    }
}
