//! A replica that does real work for every entry, on one thread, and who disturbs it.

use std::{
    hint::black_box,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval},
};

use crate::load::{ANSWER, Reader, length};

/// Work of an entry, in rounds: so many in any case, and so many a KiB.
const ROUNDS: f64 = 5.0;
const ROUNDS_A_KIB: f64 = 1.0;

/// How the burner's time is cut: it burns at the start of each slot.
const SLOT: Duration = Duration::from_millis(5);

#[derive(Debug, clap::Args)]
pub(crate) struct ReplicaArgs {
    /// Where it listens.
    #[arg(long)]
    address: SocketAddr,
    /// Hashes that make a round of work.
    #[arg(long)]
    hashes: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BurnerArgs {
    /// Hashes at the start of every slot of 5 ms.
    #[arg(long)]
    hashes: u64,
}

/// Rounds of work for an entry of so many bytes.
pub(crate) fn rounds(bytes: usize) -> f64 {
    ROUNDS + ROUNDS_A_KIB * bytes as f64 / 1024.0
}

/// Serves until it is killed. The thread that works also reads and writes, so entries wait for one another.
pub(crate) async fn serve(args: &ReplicaArgs) -> io::Result<()> {
    let listener = TcpListener::bind(args.address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(take(stream, args.hashes));
    }
}

async fn take(mut stream: TcpStream, hashes: u64) -> io::Result<()> {
    use tokio::io::AsyncWriteExt;
    stream.set_nodelay(true)?;
    let mut read = Reader::default();
    while let Some(head) = read.message(&mut stream).await? {
        let rounds = rounds(length(head).unwrap_or(0));
        hash((rounds * hashes as f64) as u64);
        stream.write_all(ANSWER).await?;
    }
    Ok(())
}

/// Burns until it is killed. What it misses for want of CPU it does not make up for.
pub(crate) async fn burn(args: &BurnerArgs) {
    let mut slots = interval(SLOT);
    slots.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        slots.tick().await;
        hash(args.hashes);
    }
}

/// Hashes that a burner does in a slot to take so many cores.
pub(crate) fn hashes_a_slot(cores: f64, hashes_a_second: f64) -> u64 {
    (cores * SLOT.as_secs_f64() * hashes_a_second) as u64
}

/// How many hashes this core does in a second when nobody disturbs it: the best of a few tries.
pub(crate) fn hashes_a_second() -> f64 {
    const TRY: u64 = 200_000;
    let tries = (0..50).map(|_| {
        let began = Instant::now();
        hash(TRY);
        TRY as f64 / began.elapsed().as_secs_f64()
    });
    tries.fold(0.0, f64::max)
}

/// A chain of FNV-1a hashes, each of eight bytes; nothing of it can be left out.
fn hash(times: u64) {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for _ in 0..times {
        for byte in state.to_le_bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    black_box(state);
}
