//! Four replicas with the same CPU quota, and a neighbour that takes 60 % of the first one's for 10 of every 20 s: how long
//! do entries take through the router, and through proxies that choose by power of two choices or by turns?
//!
//! All real: replicas work for every entry on one thread each in a cgroup of its own (`e2e/bench/antagonist` makes them), the
//! neighbour burns CPU in the first one's. The load is open, the same stream of entries for every proxy, 0.9 of what
//! the replicas can do while one is disturbed. Latency counts from when an entry was due.

mod figures;
mod stream;

use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    load, machine,
    peers::{self, Balance, Contender, OURS, Peer, Program, Programs, Resources},
    replica, report,
};
use figures::{Figures, Sample};
use stream::Entries;

/// Core of replicas and neighbour; proxies and clients have the other one.
const CORE: &str = "1";

/// Work of a round ([`replica::rounds`]), in seconds of a core.
const ROUND: f64 = 0.4e-3;

/// Part of the first replica's quota that the neighbour takes.
const DISTURBANCE: f64 = 0.6;

/// It rests for so long, and is at work for as long.
const HALF_WAVE: Duration = Duration::from_secs(10);

/// Load, in parts of what the replicas can do while one is disturbed.
const LOAD: f64 = 0.9;

/// Between runs the replicas come to rest.
const REST: Duration = Duration::from_secs(1);

/// How the capacity of a replica is measured: clients in a closed loop, for so long.
const CLIENTS: usize = 4;
const MEASURED: Duration = Duration::from_secs(4);

const CONTENDERS: [Contender; 4] = [
    Contender { name: OURS, program: Program::Router, balance: Balance::Turns },
    Contender { name: "envoy p2c", program: Program::Envoy, balance: Balance::TwoChoices },
    Contender { name: "haproxy p2c", program: Program::Haproxy, balance: Balance::TwoChoices },
    Contender { name: "haproxy rr", program: Program::Haproxy, balance: Balance::Turns },
];

/// How it is done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; in each, every proxy has one run with the same entries.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Waves of a run, 20 s each.
    #[arg(long, default_value_t = 2)]
    waves: u32,
    /// Cgroup of each replica: the folder of the controller that holds its CPU quota.
    #[arg(long, required = true, num_args = 2..)]
    cgroups: Vec<PathBuf>,
    /// That quota, in cores.
    #[arg(long)]
    quota: f64,
    #[command(flatten)]
    programs: Programs,
    /// Where figures and the proxies' configuration are written.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// A process of ours in a replica's cgroup; ends with this value.
struct Kept(Child);

pub(crate) async fn antagonist(args: &Args) -> anyhow::Result<()> {
    let hashes_a_second = replica::hashes_a_second();
    let mut replicas = Vec::new();
    let mut addresses = Vec::new();
    for cgroup in &args.cgroups {
        let address = free()?;
        replicas.push(start_replica(cgroup, address, hashes_a_second)?);
        addresses.push(address);
    }
    listen(&addresses).await?;
    let capacity = capacity(addresses[0]).await?;
    let rate = LOAD * (addresses.len() as f64 - DISTURBANCE) * capacity;
    let folder = report::folder(&args.out)?;
    let resources = Resources { addresses: &addresses, count: addresses.len(), cores: args.quota };
    let peers = peers::start(&args.programs, &CONTENDERS, resources, &folder.join("antagonist")).await?;
    let neighbour = Neighbour {
        cgroup: &args.cgroups[0],
        hashes: replica::hashes_a_slot(DISTURBANCE * args.quota, hashes_a_second),
        quota: args.quota,
    };
    let mut figures = Figures::new(capacity, rate);
    for round in 0..args.rounds {
        let entries = Entries::drawn(round, rate, 2 * HALF_WAVE * args.waves);
        // Whoever comes first in a round does not do so in the next.
        for i in 0..peers.len() {
            let peer = &peers[(i + round as usize) % peers.len()];
            figures.add(peer.name, run(peer, &entries, &neighbour, args.waves).await?);
            sleep(REST).await;
        }
    }
    drop((peers, replicas));
    figures.print(&mut io::stdout())?;
    report::write(&folder, &figures.json())?;
    Ok(())
}

async fn run(peer: &Peer, entries: &Entries, neighbour: &Neighbour<'_>, waves: u32) -> io::Result<Sample> {
    let (stolen, began) = (machine::stolen(), Instant::now());
    let (sent, taken) =
        tokio::join!(stream::send(peer.address, entries, began), neighbour.disturb(began, waves));
    let seconds = began.elapsed().as_secs_f64();
    let (latencies, failed) = sent?;
    Ok(Sample {
        entries: latencies.len(),
        failed,
        p50: latencies.value_at_quantile(0.5) as f64 / 1000.0,
        p99: latencies.value_at_quantile(0.99) as f64 / 1000.0,
        p999: latencies.value_at_quantile(0.999) as f64 / 1000.0,
        taken: taken?,
        stolen: (machine::stolen() - stolen) / seconds,
    })
}

/// Who disturbs the first replica.
struct Neighbour<'a> {
    cgroup: &'a Path,
    hashes: u64,
    quota: f64,
}

impl Neighbour<'_> {
    /// Rests and works by turns; answers the part of the quota that it took while it worked.
    async fn disturb(&self, began: Instant, waves: u32) -> io::Result<f64> {
        let mut used = 0.0;
        for wave in 0..waves {
            sleep_until(began + HALF_WAVE * (2 * wave + 1)).await;
            // Before the replica, which would otherwise halve with it what there is.
            let mut command = Command::new("nice");
            command.args(["-n", "-10"]);
            let burner = start(&mut command, self.cgroup, &["burner", "--hashes", &self.hashes.to_string()])?;
            sleep_until(began + HALF_WAVE * (2 * wave + 2)).await;
            used += machine::cpu(burner.0.id());
        }
        Ok(used / (self.quota * (HALF_WAVE * waves).as_secs_f64()))
    }
}

/// Entries of mean size that a replica takes in a second when nobody disturbs it.
async fn capacity(replica: SocketAddr) -> io::Result<f64> {
    let bytes = stream::mean_bytes();
    load::drive(replica, CLIENTS, bytes, MEASURED / 4).await?;
    let run = load::drive(replica, CLIENTS, bytes, MEASURED).await?;
    Ok(run.entries as f64 / run.took.as_secs_f64())
}

fn start_replica(cgroup: &Path, address: SocketAddr, hashes_a_second: f64) -> io::Result<Kept> {
    let hashes = (ROUND * hashes_a_second) as u64;
    let arguments =
        ["replica", "--address", &address.to_string(), "--hashes", &hashes.to_string()].map(String::from);
    start(&mut Command::new("env"), cgroup, &arguments.each_ref().map(String::as_str))
}

/// This program once more, with other arguments, on its core and in a cgroup.
fn start(command: &mut Command, cgroup: &Path, arguments: &[&str]) -> io::Result<Kept> {
    let child = command
        .args(["taskset", "-c", CORE])
        .arg(env::current_exe()?)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()?;
    let kept = Kept(child);
    fs::write(cgroup.join("cgroup.procs"), kept.0.id().to_string())?;
    Ok(kept)
}

async fn listen(replicas: &[SocketAddr]) -> io::Result<()> {
    for &replica in replicas {
        let mut tries = 0;
        while tokio::net::TcpStream::connect(replica).await.is_err() {
            tries += 1;
            if tries > 100 {
                return Err(io::Error::other(format!("the replica at {replica} does not listen")));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
