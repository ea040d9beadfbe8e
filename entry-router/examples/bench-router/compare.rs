//! The router beside Envoy, `HAProxy` and nginx: same resources, same clients, one core each, in one run.
//!
//! Proxies have core 0, clients and resources core 1. Runs are short and interleaved; figures are medians with their
//! spread, with the time that the host took away beside them. Writes `router.json`.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    load::{self, Run},
    machine,
    peers::{self, Balance, Contender, OURS, Peer, Program, Programs, Resources},
    report,
    table::{Case, Figures, LOADS, Load, Sample, Version},
};

/// Clients, each with one entry under way: a connection with HTTP/1.1, a stream with HTTP/2.
const CLIENTS: usize = 32;

/// Endpoints of the route whose decisions are timed, and the length of its entries.
const ENDPOINTS: u8 = 100;
const DECIDED_BYTES: usize = 1 << 10;

const CONTENDERS: [Contender; 4] = [
    Contender { name: OURS, program: Program::Router, balance: Balance::Turns },
    Contender { name: "envoy", program: Program::Envoy, balance: Balance::Turns },
    Contender { name: "haproxy", program: Program::Haproxy, balance: Balance::Turns },
    Contender { name: "nginx", program: Program::Nginx, balance: Balance::Turns },
];

/// How they are compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; in each, every proxy has one run with each load.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of a run.
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    #[command(flatten)]
    programs: Programs,
    /// Where figures and the proxies' configuration are written.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

pub(crate) async fn compare(args: &Args) -> anyhow::Result<()> {
    let mut addresses = Vec::new();
    for _ in 0..3 {
        addresses.push(load::resource("127.0.0.1").await?);
    }
    let folder = report::folder(&args.out)?;
    let resources = Resources { addresses: &addresses, count: 3, cores: 1.0 };
    let peers = peers::start(&args.programs, &CONTENDERS, resources, &folder.join("router")).await?;
    let mut figures = Figures::default();
    let time = Duration::from_secs_f64(args.seconds);
    for round in 0..args.rounds {
        for (_, load) in LOADS {
            // Whoever comes first in a round does not do so in the next.
            for i in 0..peers.len() {
                let peer = &peers[(i + round) % peers.len()];
                let sample = measure(peer, load, time).await?;
                figures.add(Case { peer: peer.name, load }, sample);
            }
        }
    }
    drop(peers);
    figures.decision_p99 = time_decisions(&args.programs, &folder, time).await?;
    figures.print(&mut io::stdout())?;
    report::write(&folder, &figures.json())?;
    Ok(())
}

/// How long decisions take on a route with many endpoints, in the running proxy.
async fn time_decisions(programs: &Programs, folder: &Path, time: Duration) -> io::Result<Option<f64>> {
    // One listener stands behind all addresses of the loopback network.
    let port = load::resource("0.0.0.0").await?.port();
    let addresses: Vec<_> = (1..=ENDPOINTS).map(|i| ([127, 0, 0, i], port).into()).collect();
    let resources = Resources { addresses: &addresses, count: 10, cores: 1.0 };
    let ours = peers::start(programs, &CONTENDERS[..1], resources, &folder.join("decisions")).await?;
    let Some(ours) = ours.first() else { return Ok(None) };
    load::drive(ours.address, CLIENTS, DECIDED_BYTES, time).await?;
    peers::decision_p99(ours).await
}

async fn measure(peer: &Peer, load: Load, time: Duration) -> io::Result<Sample> {
    drive(peer, load, time / 10).await?;
    let (cpu, stolen) = (peer.cpu(), machine::stolen());
    let run = drive(peer, load, time).await?;
    let seconds = run.took.as_secs_f64();
    Ok(Sample {
        rate: run.entries as f64 / seconds,
        p50: run.latencies.value_at_quantile(0.5) as f64 / 1000.0,
        p99: run.latencies.value_at_quantile(0.99) as f64 / 1000.0,
        cpu: peer.cpu() - cpu,
        rss: peer.rss(),
        stolen: (machine::stolen() - stolen) / seconds,
        errors: run.errors,
    })
}

async fn drive(peer: &Peer, Load { version, bytes }: Load, time: Duration) -> io::Result<Run> {
    match version {
        Version::Http1 => load::drive(peer.address, CLIENTS, bytes, time).await,
        Version::Http2 => load::http2::drive(peer.http2, CLIENTS, bytes, time).await,
    }
}
