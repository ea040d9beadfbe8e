//! Connections to resources, by endpoint. Each thread has its own. Those of HTTP/1.1 take one entry at a time and wait
//! here for the next one, those of HTTP/2 are shared.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::Either;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    source::Sending,
    streams::{Stream, Streams},
};
use crate::snapshot::Protocol;

/// Waiting connections of one endpoint at most; those beyond are closed.
const MOST_WAITING: usize = 256;

/// A connection that waited for so long is closed: whoever is at its other end will do so soon.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    waiting: Arc<Mutex<BTreeMap<SocketAddr, Vec<Waiting>>>>,
    streams: Streams,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    connection: http1::SendRequest<Sending>,
}

/// A connection for one entry, with the way back to where it waits.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender,
    pub(crate) endpoint: SocketAddr,
    /// It served an entry before, so its other end may have closed it meanwhile.
    pub(crate) reused: bool,
}

#[derive(Debug)]
enum Sender {
    Whole(http1::SendRequest<Sending>),
    Shared(Stream),
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
    /// One that is there, else a new one.
    pub(crate) async fn get(
        &self,
        endpoint: SocketAddr,
        protocol: Protocol,
        timeout: Duration,
    ) -> Result<Connection, Error> {
        match protocol {
            Protocol::Http1 => match self.waiting(endpoint) {
                Some(connection) => Ok(connection),
                None => self.connect(endpoint, timeout).await,
            },
            Protocol::Http2 => {
                let (stream, reused) = self.streams.get(endpoint, timeout).await?;
                Ok(Connection { sender: Sender::Shared(stream), endpoint, reused })
            }
        }
    }

    /// Gives one back whose answer has ended.
    pub(crate) fn give_back(&self, connection: Connection) {
        let Connection { sender: Sender::Whole(sender), endpoint, .. } = connection else { return };
        if sender.is_closed() {
            return;
        }
        let mut waiting = self.lock();
        let here = waiting.entry(endpoint).or_default();
        if here.len() < MOST_WAITING {
            here.push(Waiting { since: Instant::now(), connection: sender });
        }
    }

    /// Nobody else shall get one that failed an entry; those that have it already may end.
    pub(crate) fn give_up(&self, connection: &Connection) {
        if let Sender::Shared(stream) = &connection.sender {
            self.streams.give_up(connection.endpoint, stream);
        }
    }

    /// Closes those that waited for long; called once a second.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        self.lock().retain(|_, here| {
            here.retain(|w| !w.connection.is_closed() && now.duration_since(w.since) < LONGEST_WAIT);
            !here.is_empty()
        });
        self.streams.tidy(now);
    }

    /// The last one first: those that nobody needs grow old.
    fn waiting(&self, endpoint: SocketAddr) -> Option<Connection> {
        let mut waiting = self.lock();
        let here = waiting.get_mut(&endpoint)?;
        while let Some(Waiting { connection, .. }) = here.pop() {
            if connection.is_ready() {
                return Some(Connection { sender: Sender::Whole(connection), endpoint, reused: true });
            }
        }
        None
    }

    async fn connect(&self, endpoint: SocketAddr, timeout: Duration) -> Result<Connection, Error> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(endpoint))
            .await
            .map_err(|_| Error::TimedOut(timeout))??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        // Its errors are those of the entry that is on it; without one nobody misses it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection { sender: Sender::Whole(sender), endpoint, reused: false })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Sends an entry at once, so that its answer is waited for without it; one of which nothing was sent comes back in
    /// the error.
    pub(crate) fn send(
        &mut self,
        request: Request<Sending>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Sending>>>> {
        match &mut self.sender {
            Sender::Whole(sender) => Either::Left(sender.try_send_request(request)),
            Sender::Shared(stream) => Either::Right(stream.sender().try_send_request(request)),
        }
    }
}
