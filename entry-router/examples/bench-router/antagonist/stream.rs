//! The stream of entries, drawn once and sent through every proxy, and the clients that send it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use rand_distr::{Distribution, Exp, LogNormal};
use rand_pcg::Pcg64Mcg;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::load::{Reader, entry, histogram};

/// Lengths of entries: the median in bytes, and the deviation of the logarithm.
const MEDIAN: f64 = 1000.0;
const SIGMA: f64 = 0.5;

/// Longer ones are cut.
const LONGEST: f64 = 16_384.0;

/// An entry that is not acknowledged within this time has failed, and counts as having taken as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// When each entry is due, and its length.
pub(crate) struct Entries(Vec<(Duration, usize)>);

/// A connection that is kept, with what reads from it.
type Connection = (TcpStream, Reader);

/// Those that wait for an entry.
type Idle = Arc<Mutex<Vec<Connection>>>;

impl Entries {
    /// Independent of each other, so many a second on average.
    pub(crate) fn drawn(seed: u64, rate: f64, time: Duration) -> Self {
        let mut random = Pcg64Mcg::new(u128::from(seed) << 1 | 1);
        let (mut at, mut entries) = (0.0, Vec::new());
        let (Ok(gap), Ok(bytes)) = (Exp::new(rate), LogNormal::new(MEDIAN.ln(), SIGMA)) else {
            return Self(entries);
        };
        loop {
            at += gap.sample(&mut random);
            if at >= time.as_secs_f64() {
                return Self(entries);
            }
            entries.push((Duration::from_secs_f64(at), bytes.sample(&mut random).min(LONGEST) as usize));
        }
    }
}

/// Of a drawn entry.
pub(crate) fn mean_bytes() -> usize {
    (MEDIAN * (SIGMA * SIGMA / 2.0).exp()) as usize
}

/// Sends every entry when it is due, whatever became of those before, on a connection that is kept or a new one where all
/// are busy. Answers latencies in microseconds, from when each was due, and how many failed.
pub(crate) async fn send(
    address: SocketAddr,
    Entries(entries): &Entries,
    began: Instant,
) -> io::Result<(Histogram<u64>, u64)> {
    let idle = Idle::default();
    let mut under_way = JoinSet::new();
    let (mut latencies, mut failed) = (histogram()?, 0);
    let mut count = |ended: Option<Duration>| {
        failed += u64::from(ended.is_none());
        latencies.saturating_record(ended.unwrap_or(PATIENCE).as_micros() as u64);
    };
    for &(due, bytes) in entries {
        let due = began + due;
        sleep_until(due).await;
        while let Some(Ok(ended)) = under_way.try_join_next() {
            count(ended);
        }
        let idle = Arc::clone(&idle);
        under_way.spawn(async move {
            match timeout_at(due + PATIENCE, exchange(address, bytes, &idle)).await {
                Ok(Ok(true)) => Some(due.elapsed()),
                _ => None,
            }
        });
    }
    while let Some(ended) = under_way.join_next().await {
        count(ended.map_err(io::Error::other)?);
    }
    Ok((latencies, failed))
}

/// Whether it was acknowledged.
async fn exchange(address: SocketAddr, bytes: usize, idle: &Idle) -> io::Result<bool> {
    let waiting = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let (mut stream, mut read) = if let Some(connection) = waiting {
        connection
    } else {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        (stream, Reader::default())
    };
    stream.write_all(&entry(bytes)).await?;
    let head = read.message(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let acknowledged = head.starts_with(b"HTTP/1.1 202");
    idle.lock().unwrap_or_else(PoisonError::into_inner).push((stream, read));
    Ok(acknowledged)
}
