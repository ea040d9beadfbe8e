//! gRPC from end to end: a client and services by tonic, and the router between them.

use std::{net::SocketAddr, pin::Pin};

use bytes::Bytes;
use foreshift_entry_router::{assigner::Outcome, proxy::Limits, snapshot::Protocol};
use foreshift_frontends::{
    proto::router::{
        AssignBatchRequest, AssignBatchResponse, AssignRequest, AssignResponse, AssignResult, ReportRequest,
        ReportResponse,
        assign_result::Result as Assigned,
        router_client::RouterClient,
        router_server::{Router, RouterServer},
    },
    serve::serve,
};
use futures::{Stream, StreamExt};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::{Code, Status, Streaming, service::Routes, transport::Channel};

use crate::{
    backend::{Backend, Manner},
    world::{World, until},
};

/// Does what the class of an entry says.
struct Service(&'static str);

type Results = Pin<Box<dyn Stream<Item = Result<AssignResult, Status>> + Send>>;

impl Service {
    /// Listens on a port of its own for as long as the test runs.
    async fn start(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let frontend = Routes::new(RouterServer::new(Self(name))).into_axum_router();
        tokio::spawn(serve(listener, frontend, std::future::pending()));
        address
    }

    fn answer(&self, asked: &AssignRequest) -> Result<AssignResponse, Status> {
        match asked.class.as_str() {
            "invalid" => Err(Status::invalid_argument("it says nothing")),
            "full" if self.0 == "lead" => Err(Status::unavailable("no room")),
            _ => Ok(AssignResponse {
                resource: self.0.into(),
                reason: asked.class.repeat(1000),
                ..AssignResponse::default()
            }),
        }
    }
}

#[tonic::async_trait]
impl Router for Service {
    type AssignStreamStream = Results;

    async fn assign(
        &self,
        asked: tonic::Request<AssignRequest>,
    ) -> Result<tonic::Response<AssignResponse>, Status> {
        self.answer(asked.get_ref()).map(tonic::Response::new)
    }

    async fn assign_batch(
        &self,
        _: tonic::Request<AssignBatchRequest>,
    ) -> Result<tonic::Response<AssignBatchResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn assign_stream(
        &self,
        asked: tonic::Request<Streaming<AssignRequest>>,
    ) -> Result<tonic::Response<Results>, Status> {
        let this = Self(self.0);
        let answers = asked.into_inner().map(move |asked| {
            this.answer(&asked?).map(|answer| AssignResult { result: Some(Assigned::Assigned(answer)) })
        });
        Ok(tonic::Response::new(Box::pin(answers)))
    }

    async fn report(
        &self,
        _: tonic::Request<ReportRequest>,
    ) -> Result<tonic::Response<ReportResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

async fn client(world: &World) -> RouterClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", world.address)).unwrap();
    RouterClient::new(channel.connect().await.unwrap())
}

fn asked(class: &str, id: &str) -> tonic::Request<AssignRequest> {
    let mut request = tonic::Request::new(AssignRequest { class: class.into(), ..AssignRequest::default() });
    if !id.is_empty() {
        request.metadata_mut().insert("x-entry-id", id.parse().unwrap());
    }
    request
}

fn outcomes(world: &World, place: usize) -> [u64; 5] {
    world.routes.only().unwrap().tally().resources[place].outcomes
}

#[tokio::test]
async fn calls_pass_with_their_statuses_which_tell_of_the_resource_what_they_mean() {
    let world = World::new(&[Service::start("lead").await]);
    let mut client = client(&world).await;
    let answer = client.assign(asked("audit", "")).await.unwrap().into_inner();
    assert_eq!((answer.resource.as_str(), answer.reason.len()), ("lead", 5000));
    let refused = client.assign(asked("invalid", "")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "it says nothing"));
    let failed = client.assign(asked("full", "")).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    world.idle().await;
    let outcomes = outcomes(&world, 0);
    for outcome in [Outcome::Acknowledged, Outcome::Refused, Outcome::Failed] {
        assert_eq!(outcomes[outcome as usize], 1, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_turned_away_goes_to_the_next_resource_if_its_id_makes_that_safe() {
    let world = World::new(&[Service::start("lead").await, Service::start("next").await]);
    let mut client = client(&world).await;
    let answer = client.assign(asked("full", "e1")).await.unwrap().into_inner();
    assert_eq!(answer.resource, "next");
    assert_eq!(client.assign(asked("full", "")).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn messages_stream_both_ways_before_either_side_has_ended() {
    let world = World::new(&[Service::start("lead").await]);
    let mut client = client(&world).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let messages = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver
            .recv()
            .await
            .map(|class: &str| (AssignRequest { class: class.into(), ..AssignRequest::default() }, receiver))
    });
    let mut answers = client.assign_stream(messages).await.unwrap().into_inner();
    for class in ["a", "b", "c"] {
        sender.send(class).await.unwrap();
        let Some(Assigned::Assigned(answer)) = answers.message().await.unwrap().unwrap().result else {
            panic!("an answer for {class}")
        };
        assert_eq!(answer.reason, class.repeat(1000));
    }
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
    world.idle().await;
    assert_eq!(outcomes(&world, 0)[Outcome::Acknowledged as usize], 1);
}

#[tokio::test]
async fn a_resource_whose_port_speaks_http_2_gets_every_entry_by_it() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::speaking(&[lead.address], Limits::default(), Protocol::Http2);
    for n in 0..20 {
        let answer = world.send(crate::world::entry(&n.to_string(), "hello")).await;
        assert_eq!(answer.0.status, StatusCode::ACCEPTED);
    }
    let (headers, path, body) = lead.last();
    assert_eq!((path.as_str(), body), ("http://journal/insert?x=1", Bytes::from("hello")));
    assert_eq!((&headers["te"], headers.contains_key("host")), (&"trailers".parse().unwrap(), false));
    assert_eq!(lead.acknowledged().len(), 20);
    assert!(lead.connections() <= 2, "one for each thread of the router");
}

#[tokio::test]
async fn a_connection_has_a_hundred_entries_at_once_and_then_there_is_another() {
    let lead = Backend::start(Manner::Silence).await;
    let world = World::speaking(&[lead.address], Limits::default(), Protocol::Http2);
    let io = TokioIo::new(world.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let waiting: Vec<_> = (0..250)
        .map(|_| {
            let request = Request::post("http://journal/in").body(Full::new(Bytes::from("x"))).unwrap();
            tokio::spawn(sender.clone().send_request(request))
        })
        .collect();
    until(|| lead.received() == 250).await;
    assert_eq!(lead.connections(), 3);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    connection.abort();
    world.idle().await;
}

#[tokio::test]
async fn log_records_that_come_by_grpc_are_counted() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let io = TokioIo::new(world.connect().await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    // A request of one resource with one scope with three empty records.
    let message = [0x0a, 8, 0x12, 6, 0x12, 0, 0x12, 0, 0x12, 0];
    let body = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
    let call = "http://journal/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let request = Request::post(call).header("content-type", "application/grpc");
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    answer.into_body().collect().await.unwrap();
    world.idle().await;
    let tally = world.routes.only().unwrap().tally();
    assert_eq!(tally.resources[0].entries[Outcome::Acknowledged as usize], 3);
}
