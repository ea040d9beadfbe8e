//! Connections that are kept between requests, as most clients do it.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
};

use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{Failure, dial::dial, exchange, post};

/// The connections of one sender. Dropping it closes them.
#[derive(Debug)]
pub(super) struct Kept {
    target: SocketAddr,
    from: Option<IpAddr>,
    /// Taken at the front and given back at the end, so that none idles until the other side closes it.
    idle: Mutex<VecDeque<SendRequest<Full<Bytes>>>>,
    drivers: Mutex<JoinSet<()>>,
}

impl Kept {
    pub(super) fn new(target: SocketAddr, from: Option<IpAddr>) -> Self {
        Self { target, from, idle: Mutex::default(), drivers: Mutex::default() }
    }

    /// One upload; true when it was acknowledged.
    pub(super) async fn upload(&self, body: Vec<u8>) -> Result<bool, Failure> {
        let mut client = self.connection().await?;
        let acknowledged = exchange(&mut client, post(self.target, body)?).await?;
        if !client.is_closed() {
            lock(&self.idle).push_back(client);
        }
        Ok(acknowledged)
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        loop {
            let waiting = lock(&self.idle).pop_front();
            let Some(mut client) = waiting else { return self.connect().await };
            // It may have been closed from the other side meanwhile; nothing was sent on it yet.
            if client.ready().await.is_ok() {
                return Ok(client);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = dial(self.target, self.from).await?;
        let (client, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut drivers = lock(&self.drivers);
        while drivers.try_join_next().is_some() {}
        // Its errors are those of the request that is on it.
        drivers.spawn(async move {
            let _ = connection.await;
        });
        Ok(client)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A service that acknowledges so many uploads a connection, then closes it; counts connections.
    async fn service(uploads: usize) -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut buffer = vec![0; 4096];
                for left in (0..uploads).rev() {
                    let _ = stream.read(&mut buffer).await;
                    let close = if left == 0 { "connection: close\r\n" } else { "" };
                    let answer = format!("HTTP/1.1 202 Accepted\r\n{close}content-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        (address, connections, tasks)
    }

    #[tokio::test]
    async fn a_connection_serves_one_request_after_the_other_until_it_is_closed() {
        let (target, connections, _service) = service(3).await;
        let kept = Kept::new(target, None);
        for _ in 0..7 {
            assert!(kept.upload(b"A=1\n\n".to_vec()).await.unwrap());
        }
        assert_eq!(connections.load(Ordering::Relaxed), 3);
    }
}
