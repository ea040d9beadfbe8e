//! One look at one pod's metrics page: plain HTTP/1.1, read as it arrives.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::exposition::{Page, PageError, Query, Reader};

/// A page is there within this time, from the connection to its last byte.
pub const TIMEOUT: Duration = Duration::from_millis(1500);

const ACCEPT: &str = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5";

/// Bytes of a response's head, and of a chunk of its body.
const BUFFER: usize = 64 << 10;

/// Why a pod's metrics were not read.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The address is not asked.
    #[error("{0} is not the address of a pod")]
    NoPod(IpAddr),
    /// Nobody listens.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// The page took too long.
    #[error("no whole page within {} ms", TIMEOUT.as_millis())]
    Timeout,
    /// It is not HTTP, or broke off.
    #[error("not a whole HTTP response: {0}")]
    Http(#[from] hyper::Error),
    /// The path of the observation is no path.
    #[error("{0}")]
    Path(#[from] http::Error),
    /// The page is not there.
    #[error("answered {0}; compare port and path with what the pod serves")]
    Status(StatusCode),
    /// Compressed though nobody asked for it.
    #[error("the page is compressed, which was not asked for")]
    Encoded,
    /// The page is too large, or about other things.
    #[error(transparent)]
    Page(#[from] PageError),
}

impl ScrapeError {
    /// Short name for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoPod(_) => "no_pod",
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Http(_) | Self::Path(_) => "http",
            Self::Status(_) => "status",
            Self::Encoded => "encoded",
            Self::Page(PageError::Absent) => "absent",
            Self::Page(_) => "too_large",
        }
    }
}

/// Reads the page at `path` of a pod.
pub async fn scrape(pod: SocketAddr, path: &str, query: &Query) -> Result<Page, ScrapeError> {
    timeout(TIMEOUT, page(pod, path, query)).await.map_err(|_| ScrapeError::Timeout)?
}

async fn page(pod: SocketAddr, path: &str, query: &Query) -> Result<Page, ScrapeError> {
    let stream = TcpStream::connect(pod).await.map_err(ScrapeError::Connect)?;
    let request = Request::get(path)
        .header(header::HOST, pod.to_string())
        .header(header::USER_AGENT, concat!("foreshift-node-agent/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, ACCEPT)
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await?;
        let plain = response.headers().get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
        match response.status() {
            StatusCode::OK if plain => read(response.into_body(), query).await,
            StatusCode::OK => Err(ScrapeError::Encoded),
            status => Err(ScrapeError::Status(status)),
        }
    });
    let mut open = true;
    loop {
        tokio::select! {
            page = &mut exchange => return page,
            // What it holds is still to be read; an error of it is one of the exchange too.
            _ = &mut connection, if open => open = false,
        }
    }
}

async fn read(mut body: Incoming, query: &Query) -> Result<Page, ScrapeError> {
    let mut reader = Reader::new(query);
    while let Some(frame) = body.frame().await {
        if let Some(chunk) = frame?.data_ref() {
            reader.feed(chunk)?;
        }
    }
    Ok(reader.finish()?)
}
