//! One thread's listener and the connections of its clients, from the first byte to the drain.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use foreshift_daemon::shutdown::Stop;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{Worker, forward::forward};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;

/// After an error of the listener, such as too many open files, it is left alone for this long.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a body that are read, and passed on, at once, its head beside them.
const READ_AT_ONCE: usize = 64 << 10;

/// Requests of one HTTP/2 connection at once.
const STREAMS: u32 = 256;

/// A listener on an address that other threads, and the next version of this program, may listen on as well.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until asked to stop, then until what is under way has ended.
pub(super) async fn serve(worker: &Arc<Worker>, listener: std::net::TcpListener, mut stop: Stop) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(%error, "a listener does not fit the runtime");
            return;
        }
    };
    let server = Arc::new(server(worker));
    let graceful = GracefulShutdown::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        let full = worker.figures.connections.load(Ordering::Relaxed) >= worker.limits.connections;
        tokio::select! {
            () = stop.requested() => break,
            _ = second.tick() => {
                worker.budget().second();
                worker.pool.tidy();
            }
            // Beyond the most, clients wait in the kernel.
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => attend(worker, &server, &graceful, stream),
                Err(error) => {
                    warn!(%error, "no connection was accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    // Who waits in the kernel was promised a connection; without this it would see a reset.
    while let Some(Ok((stream, _))) = futures::FutureExt::now_or_never(listener.accept()) {
        attend(worker, &server, &graceful, stream);
    }
    drop(listener);
    if tokio::time::timeout(worker.limits.drain, graceful.shutdown()).await.is_err() {
        warn!("some entries had not ended in time and were cut off; they were not acknowledged");
    }
}

fn server(worker: &Worker) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(worker.timers.clone())
        .header_read_timeout(worker.limits.head)
        .max_buf_size(worker.limits.head_bytes + READ_AT_ONCE);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(worker.limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(worker.limits.head)
        .keep_alive_timeout(worker.limits.head);
    server
}

fn attend(
    worker: &Arc<Worker>,
    server: &Arc<auto::Builder<TokioExecutor>>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
) {
    if let Err(error) = prepare(&stream, worker.limits.answer) {
        debug!(%error, "a client went away before it was attended to");
        return;
    }
    let serving = Arc::clone(worker);
    let spoke = Arc::new(AtomicBool::new(false));
    let speaks = Arc::clone(&spoke);
    let service = service_fn(move |request| {
        speaks.store(true, Ordering::Relaxed);
        let worker = Arc::clone(&serving);
        async move {
            let answer = forward(&worker, request).await;
            let hundred = usize::from(answer.status().as_u16() / 100).clamp(1, 5) - 1;
            worker.figures.answers[hundred].fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(answer)
        }
    });
    worker.figures.connections.fetch_add(1, Ordering::Relaxed);
    let (worker, server, watcher) = (Arc::clone(worker), Arc::clone(server), graceful.watcher());
    tokio::spawn(async move {
        let conversation = async {
            match &worker.tls {
                None => watcher.watch(server.serve_connection(TokioIo::new(stream), service)).await,
                // In a box, so that what it needs is no weight of the others.
                Some(tls) => {
                    let encrypted = Box::pin(async {
                        let stream = tls.acceptor().accept(stream).await?;
                        watcher.watch(server.serve_connection(TokioIo::new(stream), service)).await
                    });
                    encrypted.await
                }
            }
        };
        match unless_silent(conversation, &spoke, worker.limits.head).await {
            Some(Ok(())) => {}
            Some(Err(error)) => debug!(error, "a connection of a client ended early"),
            None => debug!("a client never sent a whole head"),
        }
        worker.figures.connections.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Drives a connection to its end, or to when its client had its time for a first head and sent none: before that, not
/// even the version is known whose own limit would end it.
async fn unless_silent<T>(
    connection: impl Future<Output = T>,
    spoke: &AtomicBool,
    limit: Duration,
) -> Option<T> {
    let mut connection = pin!(connection);
    let mut silence = Some(Box::pin(tokio::time::sleep(limit)));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if spoke.load(Ordering::Relaxed) {
            silence = None;
        }
        match &mut silence {
            Some(silence) => silence.as_mut().poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// A client that takes no bytes for as long as an answer may take is gone.
fn prepare(stream: &TcpStream, longest: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(longest))
}
