//! The router beside Envoy, `HAProxy` and nginx: same resources, same clients, one core each, in one run.
//!
//! Proxies have core 0, clients and resources core 1. Runs are short and interleaved; figures are medians with their
//! spread, with the time that the host took away beside them. Writes `router.json`.

mod load;
mod peers;
mod table;

use std::{fs, io, path::PathBuf, time::Duration};

use clap::Parser;
use peers::{Peer, Programs};
use table::{Case, Figures, Sample};

/// Connections of clients.
const CLIENTS: usize = 32;

/// Lengths of entries.
const SIZES: [usize; 2] = [1 << 10, 64 << 10];

#[derive(Debug, Parser)]
struct Args {
    /// Rounds; in each, every proxy has one run with each length.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of a run.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Our program.
    #[arg(long)]
    router: PathBuf,
    /// Theirs; who is not named is left out.
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// See there.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// See there.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Where figures and the proxies' configuration are written.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(compare(&args))
}

async fn compare(args: &Args) -> anyhow::Result<()> {
    let mut resources = Vec::new();
    for _ in 0..3 {
        resources.push(load::resource().await?);
    }
    let folder = fs::canonicalize(&args.out).or_else(|_| {
        fs::create_dir_all(&args.out)?;
        fs::canonicalize(&args.out)
    })?;
    let programs = Programs {
        router: fs::canonicalize(&args.router)?,
        envoy: args.envoy.clone(),
        haproxy: args.haproxy.clone(),
        nginx: args.nginx.clone(),
    };
    let peers = peers::start(&programs, &resources, &folder.join("router")).await?;
    let mut figures = Figures::default();
    for round in 0..args.rounds {
        for bytes in SIZES {
            // Whoever comes first in a round does not do so in the next.
            for i in 0..peers.len() {
                let peer = &peers[(i + round) % peers.len()];
                let sample = measure(peer, bytes, Duration::from_secs_f64(args.seconds)).await?;
                figures.add(Case { peer: peer.name, bytes }, sample);
            }
        }
    }
    figures.decision_p99 = peers::decision_p99(&peers).await?;
    drop(peers);
    figures.print(&mut io::stdout())?;
    fs::write(folder.join("router.json"), serde_json::to_string_pretty(&figures.json())?)?;
    Ok(())
}

async fn measure(peer: &Peer, bytes: usize, time: Duration) -> io::Result<Sample> {
    load::drive(peer.address, CLIENTS, bytes, time / 10).await?;
    let (cpu, stolen) = (peer.cpu(), stolen());
    let run = load::drive(peer.address, CLIENTS, bytes, time).await?;
    let seconds = run.took.as_secs_f64();
    Ok(Sample {
        rate: run.entries as f64 / seconds,
        p50: run.latencies.value_at_quantile(0.5) as f64 / 1000.0,
        p99: run.latencies.value_at_quantile(0.99) as f64 / 1000.0,
        cpu: peer.cpu() - cpu,
        rss: peer.rss(),
        stolen: (self::stolen() - stolen) / seconds,
        errors: run.errors,
    })
}

/// Time that the host took from this machine's cores, in seconds.
fn stolen() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let cpu = stat.lines().next().unwrap_or_default();
    cpu.split_whitespace().nth(8).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) / 100.0
}
