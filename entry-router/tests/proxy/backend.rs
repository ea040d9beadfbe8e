//! A resource for tests, in HTTP/1.1 and HTTP/2: acknowledges entries and remembers their ids, or fails in the way it is told to.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use foreshift_entry_router::snapshot::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, task::JoinHandle};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What a resource does with entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads them and acknowledges.
    Acknowledge,
    /// Answers with this status, having read them.
    Answer(u16),
    /// Ends the connection after the first piece of the body.
    DieMidBody,
    /// Ends the connection after the whole body.
    DieAtItsEnd,
    /// Answers as a gRPC service does, with this status behind the message.
    Call(&'static str),
    /// Reads them and never answers.
    Silence,
    /// Acknowledges, then ends the connection without a word.
    CloseAfterwards,
    /// Acknowledges after this long.
    Late(Duration),
    /// The same for the first hundred entries, then at once.
    Cold(Duration),
}

/// A running resource.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    manner: Mutex<Manner>,
    /// How often each id was acknowledged.
    acknowledged: Mutex<BTreeMap<String, usize>>,
    last: Mutex<Option<(HeaderMap, String, Bytes)>>,
    /// Ids in the order in which entries came.
    ids: Mutex<Vec<String>>,
    task: Mutex<Option<JoinHandle<()>>>,
    connections: AtomicUsize,
    received: AtomicUsize,
}

impl Backend {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::serving(manner, auto::Builder::new(TokioExecutor::new())).await
    }

    /// Speaks this and nothing else.
    pub(crate) async fn speaking(protocol: Protocol, manner: Manner) -> Self {
        let server = auto::Builder::new(TokioExecutor::new());
        let server = match protocol {
            Protocol::Http1 => server.http1_only(),
            Protocol::Http2 => server.http2_only(),
        };
        Self::serving(manner, server).await
    }

    async fn serving(manner: Manner, server: auto::Builder<TokioExecutor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            manner: Mutex::new(manner),
            acknowledged: Mutex::default(),
            last: Mutex::default(),
            ids: Mutex::default(),
            task: Mutex::default(),
            connections: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (inner, server) = (Arc::clone(&serving), server.clone());
                inner.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&inner), request));
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        *inner.task.lock().unwrap() = Some(task);
        Self { address, inner }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
    }

    /// Nobody listens any more.
    pub(crate) fn stop(&self) {
        if let Some(task) = self.inner.task.lock().unwrap().take() {
            task.abort();
        }
    }

    pub(crate) fn acknowledged(&self) -> BTreeMap<String, usize> {
        self.inner.acknowledged.lock().unwrap().clone()
    }

    /// Ids in the order in which entries came.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.inner.ids.lock().unwrap().clone()
    }

    /// Connections that were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// Entries of which all came.
    pub(crate) fn received(&self) -> usize {
        self.inner.received.load(Ordering::Relaxed)
    }

    /// Head, path and body of the last entry.
    pub(crate) fn last(&self) -> (HeaderMap, String, Bytes) {
        self.inner.last.lock().unwrap().clone().expect("an entry came")
    }
}

async fn answer(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, &'static str> {
    let manner = *inner.manner.lock().unwrap();
    let (head, mut body) = request.into_parts();
    if manner == Manner::DieMidBody {
        let _ = body.frame().await;
        return Err("dies");
    }
    let Ok(body) = body.collect().await else { return Err("the body is not whole") };
    let id = head.headers.get("x-entry-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    *inner.last.lock().unwrap() = Some((head.headers, head.uri.to_string(), body.to_bytes()));
    let before = {
        let mut ids = inner.ids.lock().unwrap();
        ids.push(id.clone());
        ids.len() - 1
    };
    inner.received.fetch_add(1, Ordering::Relaxed);
    let status = match manner {
        Manner::Answer(status) => StatusCode::from_u16(status).unwrap(),
        Manner::DieAtItsEnd => return Err("dies"),
        Manner::Silence => std::future::pending().await,
        Manner::Cold(_) if before >= 100 => StatusCode::ACCEPTED,
        Manner::Late(pause) | Manner::Cold(pause) => {
            tokio::time::sleep(pause).await;
            StatusCode::ACCEPTED
        }
        _ => StatusCode::ACCEPTED,
    };
    if status.is_success() {
        *inner.acknowledged.lock().unwrap().entry(id).or_default() += 1;
    }
    let body = Full::from("taken");
    let mut answer = Response::new(match manner {
        Manner::Call(status) => {
            let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(status))]);
            body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed()
        }
        _ => body.boxed(),
    });
    *answer.status_mut() = status;
    if manner == Manner::CloseAfterwards {
        answer.headers_mut().insert("connection", "close".parse().unwrap());
    }
    Ok(answer)
}
