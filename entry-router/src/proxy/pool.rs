//! Connections to resources that wait for the next entry, by endpoint. Each thread has its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::source::Sending;

/// Waiting connections of one endpoint at most; those beyond are closed.
const MOST_WAITING: usize = 256;

/// A connection that waited for so long is closed: whoever is at its other end will do so soon.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<BTreeMap<SocketAddr, Vec<Waiting>>>>);

#[derive(Debug)]
struct Waiting {
    since: Instant,
    connection: SendRequest<Sending>,
}

/// A connection with the way back to where it waits.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Sending>,
    pub(crate) endpoint: SocketAddr,
    /// It served an entry before, so its other end may have closed it meanwhile.
    pub(crate) reused: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error("no connection: {0}")]
    Refused(#[from] std::io::Error),
    #[error("no connection: {0}")]
    Handshake(#[from] hyper::Error),
}

impl Pool {
    /// One that waits, the last one first: those that nobody needs grow old.
    pub(crate) fn waiting(&self, endpoint: SocketAddr) -> Option<Connection> {
        let mut waiting = self.lock();
        let here = waiting.get_mut(&endpoint)?;
        while let Some(Waiting { connection, .. }) = here.pop() {
            if connection.is_ready() {
                return Some(Connection { sender: connection, endpoint, reused: true });
            }
        }
        None
    }

    /// A new one.
    pub(crate) async fn connect(&self, endpoint: SocketAddr, timeout: Duration) -> Result<Connection, Error> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(endpoint))
            .await
            .map_err(|_| Error::TimedOut(timeout))??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        // Its errors are those of the entry that is on it; without one nobody misses it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection { sender, endpoint, reused: false })
    }

    /// Gives one back whose answer has ended.
    pub(crate) fn give_back(&self, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut waiting = self.lock();
        let here = waiting.entry(connection.endpoint).or_default();
        if here.len() < MOST_WAITING {
            here.push(Waiting { since: Instant::now(), connection: connection.sender });
        }
    }

    /// Closes those that waited for long; called once a second.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        self.lock().retain(|_, here| {
            here.retain(|w| !w.connection.is_closed() && now.duration_since(w.since) < LONGEST_WAIT);
            !here.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
