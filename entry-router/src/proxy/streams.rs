//! HTTP/2 connections to resources, by prior knowledge: many entries share one, up to a bound, then there is another.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};

use super::{
    pool::{Error, LONGEST_WAIT},
    source::Sending,
};

/// Entries on one connection at once; a hundred is the least that RFC 9113, section 6.5.2, asks servers to allow.
const MOST_STREAMS: usize = 100;

/// A connection on which nothing comes is asked whether somebody is there, and closed if nobody answers.
const PING_AFTER: Duration = Duration::from_secs(10);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<BTreeMap<SocketAddr, Endpoint>>>);

/// The connections of one endpoint, the fullest first.
#[derive(Debug, Default)]
struct Endpoint {
    shared: Vec<Shared>,
    /// Held while one is opened, so that a crowd does not open one each.
    opening: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Shared {
    sender: SendRequest<Sending>,
    /// Each stream has a share of it.
    streams: Arc<()>,
    used: Instant,
}

/// Room for one entry on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Stream {
    sender: SendRequest<Sending>,
    share: Arc<()>,
}

impl Streams {
    /// Room on a connection that is there (then `true` comes with it), else on a new one.
    pub(super) async fn get(&self, endpoint: SocketAddr, within: Duration) -> Result<(Stream, bool), Error> {
        if let Some(stream) = self.room(endpoint) {
            return Ok((stream, true));
        }
        let opening = Arc::clone(&self.lock().entry(endpoint).or_default().opening);
        let opened = async {
            let _alone = opening.lock().await;
            // Somebody may have opened one meanwhile.
            if let Some(stream) = self.room(endpoint) {
                return Ok((stream, true));
            }
            let shared = open(endpoint).await?;
            let stream = shared.stream();
            self.lock().entry(endpoint).or_default().shared.push(shared);
            Ok((stream, false))
        };
        timeout(within, opened).await.map_err(|_| Error::TimedOut(within))?
    }

    /// Takes the connection of a stream out; the streams that it has go on.
    pub(super) fn give_up(&self, endpoint: SocketAddr, stream: &Stream) {
        if let Some(here) = self.lock().get_mut(&endpoint) {
            here.shared.retain(|shared| !Arc::ptr_eq(&shared.streams, &stream.share));
        }
    }

    /// Closes those that nobody uses.
    pub(super) fn tidy(&self, now: Instant) {
        self.lock().retain(|_, here| {
            here.shared.retain(|shared| {
                let idle = shared.streams() == 0 && now.duration_since(shared.used) >= LONGEST_WAIT;
                !idle && !shared.sender.is_closed()
            });
            // Who opens one right now has a share of the lock.
            !here.shared.is_empty() || Arc::strong_count(&here.opening) > 1
        });
    }

    fn room(&self, endpoint: SocketAddr) -> Option<Stream> {
        let mut all = self.lock();
        let here = &mut all.get_mut(&endpoint)?.shared;
        here.retain(|shared| !shared.sender.is_closed());
        let free = here.iter_mut().find(|shared| shared.streams() < MOST_STREAMS)?;
        free.used = Instant::now();
        Some(free.stream())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Endpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn streams(&self) -> usize {
        Arc::strong_count(&self.streams) - 1
    }

    fn stream(&self) -> Stream {
        Stream { sender: self.sender.clone(), share: Arc::clone(&self.streams) }
    }
}

impl Stream {
    pub(super) fn sender(&mut self) -> &mut SendRequest<Sending> {
        &mut self.sender
    }
}

async fn open(endpoint: SocketAddr) -> Result<Shared, Error> {
    let stream = TcpStream::connect(endpoint).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN)
        .handshake(TokioIo::new(stream))
        .await?;
    // Its errors are those of the entries that are on it.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Shared { sender, streams: Arc::default(), used: Instant::now() })
}
