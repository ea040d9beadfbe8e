//! The same closed loop by HTTP/2 with prior knowledge: a few connections with several streams each.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Answers, Run, gather, histogram};

/// Connections of clients.
const CONNECTIONS: usize = 4;

/// Keeps `streams` busy for a time, spread over the connections; each sends its next entry when the last one is
/// answered.
pub(crate) async fn drive(
    address: SocketAddr,
    streams: usize,
    bytes: usize,
    time: Duration,
) -> io::Result<Run> {
    let body = Bytes::from(vec![b'x'; bytes]);
    let began = Instant::now();
    let (mut connections, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(io).await.map_err(io::Error::other)?;
        connections.push(tokio::spawn(connection));
        for _ in 0..streams / CONNECTIONS {
            clients.push(tokio::spawn(client(sender.clone(), address, body.clone(), began + time)));
        }
    }
    let run = gather(clients, began).await;
    // Without senders they have ended but for their farewell.
    connections.iter().for_each(tokio::task::JoinHandle::abort);
    run
}

async fn client(
    mut sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    body: Bytes,
    until: Instant,
) -> io::Result<Answers> {
    let target = format!("http://{address}/insert");
    let (mut latencies, mut errors) = (histogram()?, 0);
    while Instant::now() < until {
        let began = Instant::now();
        let request = Request::post(&target)
            .header("content-type", "application/octet-stream")
            .body(Full::new(body.clone()))
            .map_err(io::Error::other)?;
        let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        body.collect().await.map_err(io::Error::other)?;
        if head.status == StatusCode::ACCEPTED {
            latencies.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            errors += 1;
        }
    }
    Ok(Answers { latencies, errors })
}
