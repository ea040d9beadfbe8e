//! Serves a frontend: HTTP/1.1 and HTTP/2 on one port, with limits that no client can pass.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// Connections at once; the next ones wait in the listener's queue.
const CONNECTIONS: usize = 4096;

/// Requests at once on one connection.
const STREAMS: u32 = 4096;

/// A client that has not sent its headers by then is sent away.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// A silent connection is asked whether somebody is there, and closed if nobody is.
const PING_AFTER: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// What is under way may end within this time when the frontend closes.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Serves until `stop` completes, then ends what is under way.
pub async fn serve(listener: TcpListener, frontend: Router, stop: impl Future<Output = ()>) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN);
    let (builder, room) = (Arc::new(builder), Arc::new(Semaphore::new(CONNECTIONS)));
    let (closing, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection went at once");
            continue;
        }
        let service = TowerToHyperService::new(frontend.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = closing.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!(error, "a connection ended with an error");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(FINISH_WITHIN, closing.shutdown()).await.is_err() {
        warn!("not every call was finished in time");
    }
    connections.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{
        body::Body,
        http::{Request, StatusCode, header},
    };
    use serde_json::{Value, json};
    use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
    use tonic::transport::Channel;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        api::{self, AssignApi},
        fixtures::Fixed,
        health,
        leases::LEASE,
        proto::router::{AssignRequest, Outcome, ReportRequest, outcome, router_client::RouterClient},
    };

    /// The API on a port of its own.
    struct Frontend {
        address: SocketAddr,
        assigner: Arc<Fixed>,
        api: Arc<AssignApi<Fixed>>,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    impl Frontend {
        async fn open() -> Self {
            let assigner = Arc::new(Fixed::default());
            let api = Arc::new(AssignApi::new(assigner.clone(), 1));
            let (service, pulse) = health::of(assigner.clone());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let frontend = api::frontend(&api, service);
            let (stop, stopped) = oneshot::channel::<()>();
            let server = tokio::spawn(async move {
                tokio::select! {
                    () = pulse.follow(std::future::pending()) => {}
                    () = serve(listener, frontend, async { drop(stopped.await) }) => {}
                }
            });
            Self { address, assigner, api, stop, server }
        }

        async fn channel(&self) -> Channel {
            Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
        }

        async fn close(self) {
            self.stop.send(()).unwrap();
            self.server.await.unwrap();
        }
    }

    fn entry() -> AssignRequest {
        AssignRequest { route: "shop/journal".into(), class: "audit".into(), ..AssignRequest::default() }
    }

    #[tokio::test]
    async fn grpc_and_health_are_on_one_port_and_calls_end_before_the_door_closes() {
        let frontend = Frontend::open().await;
        let mut router = RouterClient::new(frontend.channel().await);
        let answer = router.assign(entry()).await.unwrap().into_inner();
        assert_eq!(answer.endpoints, ["10.0.0.1:80", "10.0.0.2:80"]);
        let outcome = Outcome {
            ticket: answer.ticket,
            result: outcome::Result::Acknowledged.into(),
            endpoint: "10.0.0.2:80".into(),
            ..Outcome::default()
        };
        let report = ReportRequest { outcomes: vec![outcome] };
        assert!(router.report(report).await.unwrap().into_inner().unknown_tickets.is_empty());
        assert_eq!(frontend.assigner.closed()[0].endpoint, "10.0.0.2:80".parse().ok());
        let mut health = HealthClient::new(frontend.channel().await);
        for service in ["", "liveness", "foreshift.router.v1.Router"] {
            let check = HealthCheckRequest { service: service.into() };
            assert_eq!(health.check(check).await.unwrap().into_inner().status, 1, "{service}");
        }
        frontend.close().await;
    }

    #[tokio::test]
    async fn a_stream_is_answered_entry_by_entry() {
        let frontend = Frontend::open().await;
        let mut router = RouterClient::new(frontend.channel().await);
        let mut wrong = entry();
        wrong.route = "nonsense".into();
        let entries = tokio_stream::iter([entry(), wrong, entry()]);
        let mut results = router.assign_stream(entries).await.unwrap().into_inner();
        let mut assigned = Vec::new();
        while let Some(result) = results.message().await.unwrap() {
            assigned.push(matches!(
                result.result,
                Some(crate::proto::router::assign_result::Result::Assigned(_))
            ));
        }
        assert_eq!(assigned, [true, false, true]);
        frontend.api.expire(Instant::now() + LEASE);
        assert_eq!(frontend.assigner.closed().len(), 2, "nobody reported them");
        frontend.close().await;
    }

    async fn posted(path: &str, body: &Value) -> (StatusCode, Option<String>, Value) {
        let api = Arc::new(AssignApi::new(Arc::new(Fixed::default()), 1));
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = api::json::router(api).oneshot(request).await.unwrap();
        let status = response.status();
        let after = response.headers().get(header::RETRY_AFTER).map(|v| v.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, after, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn json_says_the_same_and_every_problem_has_its_status_and_a_sentence() {
        let (status, _, answer) = posted("/v1/assign", &json!({"route": "shop/journal", "bytes": 5})).await;
        assert_eq!(
            (status, &answer["resource"], &answer["leaseSeconds"]),
            (StatusCode::OK, &json!("b"), &json!(30))
        );
        let cases = [
            (json!({"route": "shop/unknown"}), 404, None, "unknownRoute"),
            (json!({"route": "shop/empty"}), 503, Some("1"), "noEndpoint"),
            (json!({"route": "shop/full"}), 429, Some("2"), "overloaded"),
            (json!({"route": "nonsense"}), 400, None, "invalid"),
            (json!({"route": "shop/journal", "clas": "typo"}), 400, None, "invalid"),
            (json!({}), 400, None, "invalid"),
        ];
        for (body, code, after, reason) in cases {
            let (status, told_after, problem) = posted("/v1/assign", &body).await;
            assert_eq!((status.as_u16(), told_after.as_deref()), (code, after), "{body}");
            assert_eq!(problem["reason"], reason, "{body}");
            assert!(problem["message"].as_str().is_some_and(|message| message.len() > 10), "{problem}");
        }
        let batch = json!({"entries": [{"route": "shop/journal"}, {"route": "shop/empty"}]});
        let (status, _, answer) = posted("/v1/assign/batch", &batch).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["results"][0]["assigned"]["resource"], "b");
        assert_eq!(answer["results"][1]["refusal"]["reason"], "noEndpoint");
        let many = json!({"entries": vec![json!({"route": "shop/journal"}); 1025]});
        assert_eq!(posted("/v1/assign/batch", &many).await.0, StatusCode::BAD_REQUEST);
        let (_, _, answer) =
            posted("/v1/report", &json!({"outcomes": [{"ticket": "7-7", "result": "failed"}]})).await;
        assert_eq!(answer["unknownTickets"], json!(["7-7"]));
    }
}
