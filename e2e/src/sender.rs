//! The open-loop sender: every request leaves when it is due, whatever became of the ones before it.
//!
//! Latency counts from the moment a request was due, so a stalled service cannot hide the requests that it kept
//! waiting (no coordinated omission). Each request has a connection of its own, because kept-alive connections
//! never move to another endpoint, unless they are asked for; nothing is sent twice. The thread is its own, so that what else the demo
//! does cannot delay a request. Due times are met within the runtime's timer tick of one millisecond.

mod dial;
mod kept;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep_until, timeout_at},
};

use crate::{
    entries::{CONTENT_TYPE, Pool},
    error::{Error, Result},
    sender::{dial::dial, kept::Kept},
    tally::{Ending, Tally, Total},
};

/// What is sent, and to whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// The journal service.
    pub target: SocketAddr,
    /// The address that requests come from; without one the kernel takes it.
    pub from: Option<IpAddr>,
    /// Name of the run; part of every entry's id.
    pub run: String,
    /// Entries in a request.
    pub batch: u32,
    /// A request without an answer for this long has failed.
    pub timeout: Duration,
    /// More requests are not under way at once; what exceeds this has failed without being sent.
    pub max_in_flight: usize,
    /// Over which connections.
    pub connections: Connections,
}

/// Which connection a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connections {
    /// One of its own.
    #[default]
    New,
    /// The one that has been idle for longest, or a new one where all are busy.
    Kept,
}

/// A sender at work. Dropping it stops it.
#[derive(Debug)]
pub struct Sender {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Sender {
    /// Starts sending a request at each of `arrivals`, counted from `start`.
    pub fn start(
        load: Load,
        pool: Arc<Pool>,
        arrivals: impl Iterator<Item = Duration> + Send + 'static,
        start: Instant,
    ) -> Result<Self> {
        let tally = Arc::new(Tally::new(load.batch));
        let (stop, stopped) = watch::channel(false);
        let work = drive(Arc::new(load), pool, arrivals, start, Arc::clone(&tally), stopped);
        let failed = |error: std::io::Error| Error::Unfit(format!("the sender cannot start: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("sender".into())
            .spawn(move || runtime.block_on(work))
            .map_err(failed)?;
        Ok(Self { tally, stop, thread })
    }

    /// The counts, while they grow.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Sends no more, and waits until what is under way has ended.
    pub async fn stop(self) -> Result<Total> {
        // Without a receiver it has stopped already.
        let _ = self.stop.send(true);
        self.finish().await
    }

    /// Waits until every request has ended.
    pub async fn finish(self) -> Result<Total> {
        let Self { tally, stop, thread } = self;
        let joined = tokio::task::spawn_blocking(|| thread.join()).await;
        drop(stop);
        match joined {
            Ok(Ok(())) => Ok(tally.total()),
            _ => Err(Error::Unfit("the sender ended early by a fault of its own".into())),
        }
    }
}

/// As many requests may be under way as this process may have sockets, some left for the rest of it.
#[must_use]
pub fn most_in_flight() -> usize {
    const ENOUGH: usize = 4096;
    const RESERVED: usize = 128;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    open_files.map_or(ENOUGH, |files| files.saturating_sub(RESERVED).clamp(64, ENOUGH))
}

async fn drive(
    load: Arc<Load>,
    pool: Arc<Pool>,
    arrivals: impl Iterator<Item = Duration>,
    start: Instant,
    tally: Arc<Tally>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut under_way = JoinSet::new();
    let kept = Arc::new(Kept::new(load.target, load.from));
    for (request, due) in (0_u64..).zip(arrivals) {
        let due = start + due;
        tokio::select! {
            biased;
            // An error means that the Sender was dropped.
            _ = stopped.changed() => break,
            () = sleep_until(due.into()) => {}
        }
        tally.sent();
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= load.max_in_flight {
            tally.ended(request, Ending::Overflowed);
            continue;
        }
        let (load, pool, tally) = (Arc::clone(&load), Arc::clone(&pool), Arc::clone(&tally));
        let kept = Arc::clone(&kept);
        under_way.spawn(async move {
            let body = pool.batch(&load.run, request * u64::from(load.batch), load.batch, SystemTime::now());
            let upload = async {
                match load.connections {
                    Connections::New => upload(load.target, load.from, body).await,
                    Connections::Kept => kept.upload(body).await,
                }
            };
            let ending = match timeout_at((due + load.timeout).into(), upload).await {
                Ok(Ok(true)) => Ending::Acknowledged(due.elapsed()),
                Ok(_) => Ending::Refused,
                Err(_) => Ending::TimedOut,
            };
            tally.ended(request, ending);
        });
    }
    while under_way.join_next().await.is_some() {}
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One upload over a new connection; true when it was acknowledged.
async fn upload(target: SocketAddr, from: Option<IpAddr>, body: Vec<u8>) -> Result<bool, Failure> {
    let stream = dial(target, from).await?;
    // Closed by a reset: hundreds of connections a second would otherwise use up the ports in TIME_WAIT.
    stream.set_zero_linger()?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = post(target, body)?;
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    let exchange = exchange(&mut client, request);
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => Ok(answer?),
        closed = &mut connection => {
            closed?;
            Ok(exchange.await?)
        }
    }
}

fn post(target: SocketAddr, body: Vec<u8>) -> http::Result<Request<Full<Bytes>>> {
    Request::post("/upload")
        .header(header::HOST, target.to_string())
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .body(Full::new(Bytes::from(body)))
}

/// Whether it was acknowledged, once all of the answer is here.
async fn exchange(
    client: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> hyper::Result<bool> {
    let answer = client.send_request(request).await?;
    let acknowledged = answer.status().is_success();
    answer.into_body().collect().await?;
    Ok(acknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::Origin;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    fn pool() -> Arc<Pool> {
        let mut pool = Pool::default();
        pool.add(&Origin { program: "kubelet".into(), host: "n1".into() }, "a line\n");
        Arc::new(pool)
    }

    fn load(target: SocketAddr, timeout: Duration, max_in_flight: usize) -> Load {
        let connections = Connections::New;
        Load { target, from: None, run: "test".into(), batch: 3, timeout, max_in_flight, connections }
    }

    /// A service on loopback that gives every upload the same answer, or none.
    async fn service(answer: Option<&'static str>) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 65536];
                let _ = stream.read(&mut buffer).await;
                match answer {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => open.push(stream),
                }
            }
        });
        (address, tasks)
    }

    async fn send(load: Load, requests: u32) -> Total {
        let arrivals = (0..requests).map(|n| Duration::from_millis(u64::from(n)));
        Sender::start(load, pool(), arrivals, Instant::now()).unwrap().finish().await.unwrap()
    }

    #[tokio::test]
    async fn what_is_answered_202_is_acknowledged() {
        let (target, _service) =
            service(Some("HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\nOK.\n")).await;
        let total = send(load(target, Duration::from_secs(5), 100), 20).await;
        assert_eq!((total.counts.sent, total.counts.acknowledged), (20, 20));
        assert!(total.acknowledges(59) && !total.acknowledges(60));
    }

    #[tokio::test]
    async fn an_error_is_no_acknowledgement() {
        let (target, _service) = service(Some("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")).await;
        let total = send(load(target, Duration::from_secs(5), 100), 5).await;
        assert_eq!((total.counts.acknowledged, total.counts.refused), (0, 5));
    }

    #[tokio::test]
    async fn a_service_that_hangs_delays_no_request_and_overflow_is_counted() {
        let (target, _service) = service(None).await;
        let total = send(load(target, Duration::from_millis(300), 4), 10).await;
        assert_eq!((total.counts.sent, total.counts.timed_out, total.counts.overflowed), (10, 4, 6));
        assert_eq!(total.counts.failed(), 10);
    }
}
