//! Calls the warm-up hook of endpoints: a POST without a body, answered 2xx in time.
//!
//! Whom to call, when again and when to give up is the engine's decision ([`foreshift_engine::hooks`]); here are the
//! calls. They run beside the ticks, few at a time, and end with the route or with the lease.

use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};

use foreshift_api::journal_route::Hook;
use foreshift_engine::hooks::Call;
use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet, time::timeout};
use tracing::{debug, info};

use crate::metrics::Metrics;

/// Calls under way at once, of all routes.
const AT_ONCE: usize = 32;

/// What all routes' calls share.
#[derive(Clone, Debug)]
pub struct Caller {
    permits: Arc<Semaphore>,
    metrics: Metrics,
}

/// The calls of one route that are under way; dropping them ends them.
#[derive(Debug, Default)]
pub struct Calls {
    tasks: JoinSet<Answer>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The alternate.
    pub alternate: String,
    /// The endpoint.
    pub endpoint: String,
    /// `Err` says in a few words what was wrong.
    pub result: Result<(), String>,
}

/// Why a call was for nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("is not an IP address")]
    Address,
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("not reached: {0}")]
    Unreachable(#[source] std::io::Error),
    #[error("no HTTP answer: {0}")]
    Protocol(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("answered {0}")]
    Status(hyper::StatusCode),
}

impl Caller {
    /// A caller that counts into these metrics.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)), metrics }
    }

    async fn call(&self, hook: &Hook, call: Call) -> Answer {
        let permit = self.permits.acquire().await;
        let within = hook.timeout.get();
        let result = timeout(within, post(hook, &call.endpoint))
            .await
            .unwrap_or(Err(Failure::Timeout(within)))
            .map_err(|failure| {
                self.metrics.called(failure.kind());
                debug!(endpoint = call.endpoint, attempt = call.attempt, %failure, "a warm-up hook failed");
                failure.to_string()
            });
        drop(permit);
        if result.is_ok() {
            self.metrics.called("ok");
            info!(alternate = call.alternate, endpoint = call.endpoint, "the warm-up hook answered");
        }
        Answer { alternate: call.alternate, endpoint: call.endpoint, result }
    }
}

impl Calls {
    /// What was answered since the last time.
    pub fn answers(&mut self) -> Vec<Answer> {
        let ended = std::iter::from_fn(|| self.tasks.try_join_next());
        ended.filter_map(Result::ok).collect()
    }

    /// Begins calls.
    pub fn begin(&mut self, caller: &Caller, hook: &Hook, calls: Vec<Call>) {
        for call in calls {
            let (caller, hook) = (caller.clone(), hook.clone());
            self.tasks.spawn(async move { caller.call(&hook, call).await });
        }
    }

    /// Calls that were not answered yet, or whose answer was not taken.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Ends what is under way, and waits until it has ended.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn post(hook: &Hook, endpoint: &str) -> Result<(), Failure> {
    let address: IpAddr = endpoint.parse().map_err(|_| Failure::Address)?;
    let authority = std::net::SocketAddr::new(address, hook.port as u16);
    let stream = TcpStream::connect(authority).await.map_err(Failure::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&hook.path)
        .header(header::HOST, authority.to_string())
        .header(header::USER_AGENT, concat!("foreshift-operator/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_LENGTH, 0)
        .body(Empty::<Bytes>::new())?;
    let mut answer = pin!(sender.send_request(request));
    let status = tokio::select! {
        biased;
        answer = &mut answer => answer?.status(),
        ended = connection => {
            ended?;
            answer.await?.status()
        }
    };
    if status.is_success() { Ok(()) } else { Err(Failure::Status(status)) }
}

impl Failure {
    /// A label for metrics: few values, never the text.
    fn kind(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::Address | Self::Protocol(_) | Self::Request(_) => "protocol",
        }
    }
}

#[cfg(test)]
mod tests {
    use foreshift_api::Span;
    use prometheus_client::registry::Registry;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn hook(port: u16) -> Hook {
        Hook { path: "/warm".into(), port: i32::from(port), timeout: Span::from_secs(5) }
    }

    async fn called(hook: &Hook, endpoint: &str) -> Result<(), String> {
        let caller = Caller::new(Metrics::register(&mut Registry::default()));
        let call = Call { alternate: "b".into(), endpoint: endpoint.into(), attempt: 1 };
        let mut calls = Calls::default();
        calls.begin(&caller, hook, vec![call]);
        while calls.under_way() > 0 {
            if let Some(answer) = calls.answers().pop() {
                assert_eq!((answer.alternate.as_str(), answer.endpoint.as_str()), ("b", endpoint));
                return answer.result;
            }
            tokio::task::yield_now().await;
        }
        panic!("no answer")
    }

    /// Answers one request with this; what was asked comes back.
    async fn resource(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (port, served)
    }

    #[tokio::test]
    async fn a_hook_is_posted_to_the_endpoint_and_any_2xx_will_do() {
        let (port, served) = resource("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(called(&hook(port), "127.0.0.1").await, Ok(()));
        let asked = served.await.unwrap();
        assert!(asked.starts_with("POST /warm HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
    }

    #[tokio::test]
    async fn another_status_is_a_failure_and_is_named() {
        let (port, _) = resource("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
        let answer = called(&hook(port), "127.0.0.1").await;
        assert_eq!(answer, Err("answered 503 Service Unavailable".into()));
    }

    #[tokio::test]
    async fn what_cannot_be_reached_or_is_no_http_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refused = called(&hook(port), "127.0.0.1").await.unwrap_err();
        assert!(refused.starts_with("not reached: "), "{refused}");
        assert_eq!(called(&hook(port), "a.name").await, Err("is not an IP address".into()));
        let (port, _) = resource("SSH-2.0-OpenSSH\r\n").await;
        assert!(called(&hook(port), "127.0.0.1").await.unwrap_err().starts_with("no HTTP answer: "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_that_never_answers_ends_with_its_time() {
        // It listens and never accepts.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let caller = Caller::new(Metrics::register(&mut Registry::default()));
        let call = Call { alternate: "b".into(), endpoint: "127.0.0.1".into(), attempt: 1 };
        let answer = caller.call(&hook(port), call).await;
        assert_eq!(answer.result, Err("no answer within 5 s".into()));
    }

    #[tokio::test]
    async fn calls_end_with_their_route() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let caller = Caller::new(Metrics::register(&mut Registry::default()));
        let mut calls = Calls::default();
        let call = Call { alternate: "b".into(), endpoint: "127.0.0.1".into(), attempt: 1 };
        calls.begin(&caller, &hook(port), vec![call]);
        calls.stop().await;
        assert_eq!(caller.permits.available_permits(), AT_ONCE);
        assert!(calls.answers().is_empty());
    }
}
