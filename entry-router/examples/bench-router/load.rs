//! Clients in a closed loop, and the resources that they reach, on raw sockets: whatever time these take is not the
//! proxy's to use.

pub(crate) mod http2;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) const ANSWER: &[u8] =
    b"HTTP/1.1 202 Accepted\r\ncontent-type: text/plain\r\ncontent-length: 15\r\n\r\naccepted, thank";

/// What a run came to.
pub(crate) struct Run {
    pub(crate) entries: u64,
    pub(crate) errors: u64,
    pub(crate) took: Duration,
    /// Microseconds.
    pub(crate) latencies: Histogram<u64>,
}

/// What one client was answered.
struct Answers {
    latencies: Histogram<u64>,
    errors: u64,
}

/// A resource that takes every entry; answers where it listens.
pub(crate) async fn resource(host: &str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((host, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream));
        }
    });
    Ok(address)
}

async fn take(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Reader::default();
    while read.message(&mut stream).await?.is_some() {
        stream.write_all(ANSWER).await?;
    }
    Ok(())
}

/// Keeps `clients` connections busy for a time; each sends its next entry when the last one is answered.
pub(crate) async fn drive(
    address: SocketAddr,
    clients: usize,
    bytes: usize,
    time: Duration,
) -> io::Result<Run> {
    let request = Arc::new(entry(bytes));
    let began = Instant::now();
    let until = began + time;
    let clients = (0..clients).map(|_| tokio::spawn(client(address, Arc::clone(&request), until))).collect();
    gather(clients, began).await
}

async fn gather(clients: Vec<JoinHandle<io::Result<Answers>>>, began: Instant) -> io::Result<Run> {
    let mut run = Run { entries: 0, errors: 0, took: Duration::ZERO, latencies: histogram()? };
    for client in clients {
        match client.await.map_err(io::Error::other)? {
            Ok(Answers { latencies, errors }) => {
                run.entries += latencies.len();
                run.errors += errors;
                run.latencies.add(&latencies).map_err(io::Error::other)?;
            }
            Err(_) => run.errors += 1,
        }
    }
    run.took = began.elapsed();
    Ok(run)
}

async fn client(address: SocketAddr, request: Arc<Vec<u8>>, until: Instant) -> io::Result<Answers> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut latencies, mut errors, mut read) = (histogram()?, 0, Reader::default());
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(&request).await?;
        match read.message(&mut stream).await? {
            Some(head) if head.starts_with(b"HTTP/1.1 202") => {
                latencies.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Some(_) => errors += 1,
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(Answers { latencies, errors })
}

/// A request of so many bytes.
pub(crate) fn entry(bytes: usize) -> Vec<u8> {
    let head = format!(
        "POST /insert HTTP/1.1\r\nhost: journal\r\ncontent-type: application/octet-stream\r\ncontent-length: {bytes}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + bytes, b'x');
    request
}

/// Microseconds up to a minute, to three digits.
pub(crate) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 3).map_err(io::Error::other)
}

/// Reads messages with a `Content-Length`, or in chunks, one at a time.
pub(crate) struct Reader {
    buffer: Vec<u8>,
    head: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: vec![0; 128 << 10], head: Vec::with_capacity(512) }
    }
}

impl Reader {
    /// The head of the next message when all of it came; none at the end.
    pub(crate) async fn message(&mut self, stream: &mut TcpStream) -> io::Result<Option<&[u8]>> {
        let mut filled = 0;
        let head = loop {
            let read = stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Ok(None);
            }
            filled += read;
            if let Some(end) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if filled == self.buffer.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        self.head.clear();
        self.head.extend_from_slice(&self.buffer[..head]);
        match length(&self.head) {
            Some(length) => {
                let mut left = length.saturating_sub(filled - head);
                while left > 0 {
                    let most = left.min(self.buffer.len());
                    let read = stream.read(&mut self.buffer[..most]).await?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    left -= read;
                }
            }
            // Only answers come in chunks here, and they are short.
            None => {
                while !self.buffer[head..filled].ends_with(b"0\r\n\r\n") {
                    let read = stream.read(&mut self.buffer[filled..]).await?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    filled += read;
                }
            }
        }
        Ok(Some(&self.head))
    }
}

/// What a head tells of its body's length.
pub(crate) fn length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok())
}
