//! One GET over plain HTTP/1.1, read in pieces and in bounded time.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// For the address, and for the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// For the whole answer.
const ANSWER: Duration = Duration::from_mins(10);

/// How much of an error's text is told.
const TOLD: usize = 500;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not an address of the kind that is understood.
    #[error("`{0}` is no URL like http://host:port/path; https is not spoken here")]
    Url(String),
    /// No connection, or one that broke off.
    #[error("{0}")]
    Connection(String),
    /// Too slow.
    #[error("no answer in time")]
    Slow,
    /// The server refuses.
    #[error("it answers {code}: {text}")]
    Refused {
        /// The status.
        code: StatusCode,
        /// The beginning of the body.
        text: String,
    },
    /// What came is not what was asked for.
    #[error("{0}")]
    Content(String),
}

/// The parts of `http://host[:port][/path]`.
///
/// # Errors
/// [`HttpError::Url`].
pub fn parse(url: &str) -> Result<Uri, HttpError> {
    let wrong = || HttpError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    if uri.scheme_str() == Some("http") && uri.host().is_some() { Ok(uri) } else { Err(wrong()) }
}

/// Where the host of a URL is; a headless Service is at as many addresses as it has pods.
///
/// # Errors
/// [`HttpError::Connection`] or [`HttpError::Slow`].
pub async fn addresses(uri: &Uri) -> Result<Vec<SocketAddr>, HttpError> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let found = timeout(CONNECT, lookup_host((host, uri.port_u16().unwrap_or(80)))).await;
    let found = found.map_err(|_| HttpError::Slow)?;
    Ok(found.map_err(|error| HttpError::Connection(format!("{host}: {error}")))?.collect())
}

/// Asks one address; `sink` gets the body piece by piece.
///
/// # Errors
/// [`HttpError`]; an answer that breaks off before its end is an error.
pub async fn get(
    address: SocketAddr,
    uri: &Uri,
    mut sink: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), HttpError> {
    let broken = |error: &dyn std::error::Error| HttpError::Connection(format!("{address}: {error}"));
    let stream = timeout(CONNECT, TcpStream::connect(address)).await.map_err(|_| HttpError::Slow)?;
    let stream = TokioIo::new(stream.map_err(|error| broken(&error))?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| broken(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| broken(&error))?;
    let exchange = async {
        let mut answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let code = answer.status();
        let mut text = Vec::new();
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            if code.is_success() {
                sink(data).map_err(HttpError::Content)?;
            } else if text.len() < TOLD {
                text.extend_from_slice(data);
            }
        }
        if code.is_success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&text).chars().take(TOLD).collect::<String>();
        Err(HttpError::Refused { code, text: text.trim().to_owned() })
    };
    // The connection is driven beside the exchange and dropped with it.
    let both = async {
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            done = &mut exchange => done,
            _ = connection => exchange.await,
        }
    };
    timeout(ANSWER, both).await.map_err(|_| HttpError::Slow)?
}
