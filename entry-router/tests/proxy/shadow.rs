//! Shadow copies: what an alternate gets, and that nothing it does with them reaches a client.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use foreshift_engine::{resource::Readiness, shadow::View};
use foreshift_entry_router::{
    assigner::Outcome,
    proxy::Limits,
    shadow::{self, Dropped},
    snapshot::{
        Protocol::{Http1, Http2},
        RouteSnapshot,
    },
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    backend::{Backend, Manner},
    world::{World, entry, snapshot, speak, until},
};

/// All entries are copied, in one window that never ends, and copies are waited for as long as entries.
fn always() -> Value {
    json!({"every": "1h", "duration": "1h", "percent": 100, "maxLatencyRatio": "100000"})
}

/// The first resource is the lead, the others are warm already.
fn warm(resources: &[SocketAddr], asked: &Value) -> RouteSnapshot {
    let mut snapshot = cold(resources, asked);
    snapshot.members.iter_mut().for_each(|member| member.warm = Some(1.0));
    snapshot
}

fn cold(resources: &[SocketAddr], asked: &Value) -> RouteSnapshot {
    let mut snapshot = snapshot(resources);
    snapshot.spec.shadow = Some(serde_json::from_value(asked.clone()).unwrap());
    snapshot
}

fn alternate(world: &World) -> View {
    world.routes.only().unwrap().seen().alternates.remove(0)
}

fn dropped(world: &World, why: Dropped) -> u64 {
    world.figures.shadow.dropped[why as usize].load(Ordering::Relaxed)
}

fn bytes(world: &World) -> usize {
    world.figures.shadow.bytes.load(Ordering::Relaxed)
}

/// Reads what comes and answers with the beginning of an answer, then ends the connection.
async fn half_an_answer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
            });
        }
    });
    address
}

/// Nobody listens there.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_copy_is_marked_has_an_id_of_its_own_and_the_client_hears_of_the_lead_only() {
    let (lead, next) = (Backend::start(Manner::Acknowledge).await, Backend::start(Manner::Answer(201)).await);
    let asked = json!({"every": "1h", "duration": "1h", "percent": 100, "header": {"name": "x-dry-run", "value": "yes"}});
    let mut world = World::snapshot(warm(&[lead.address, next.address], &asked), Limits::default());
    for id in ["e1", ""] {
        let (head, _) = world.send(entry(id, "hello")).await;
        assert_eq!(head.status, StatusCode::ACCEPTED);
    }
    until(|| alternate(&world).copies == 2).await;
    let (headers, path, body) = next.last();
    assert_eq!(
        (path.as_str(), body, &headers["x-dry-run"]),
        ("/insert?x=1", Bytes::from("hello"), &"yes".parse().unwrap())
    );
    assert!(next.ids().iter().all(|id| id.starts_with("shadow-")), "{:?}", next.ids());
    assert!(next.ids().contains(&"shadow-e1".to_owned()));
    assert!(!lead.last().0.contains_key("x-dry-run"));
    assert_eq!((lead.acknowledged().len(), bytes(&world), world.in_flight()), (2, 0, 0));
    world.stop().await;
}

#[tokio::test]
async fn copies_go_to_the_port_that_the_route_names_for_them() {
    for (main, apart) in [(Http1, Http1), (Http1, Http2), (Http2, Http1)] {
        let [lead, next] = [(); 2].map(|()| Backend::speaking(main, Manner::Acknowledge));
        let aside = Backend::speaking(apart, Manner::Acknowledge);
        let (lead, next, aside) = tokio::join!(lead, next, aside);
        let mut snapshot = warm(&[lead.address, next.address], &always());
        snapshot.members.iter_mut().for_each(|member| member.protocol = main);
        snapshot.members[1].shadow_endpoints = vec![aside.address];
        snapshot.members[1].shadow_protocol = apart;
        let world = World::snapshot(snapshot, Limits::default());
        let (head, _) = world.send(entry("e1", "hello")).await;
        assert_eq!(head.status, StatusCode::ACCEPTED);
        until(|| aside.acknowledged().contains_key("shadow-e1")).await;
        assert!(next.ids().is_empty());
    }
}

#[tokio::test]
async fn whatever_an_alternate_does_with_copies_no_answer_changes_and_what_they_hold_is_bounded() {
    const LATE: Manner = Manner::Late(Duration::from_millis(500));
    let manners = [Manner::Silence, Manner::DieMidBody, Manner::DieAtItsEnd, Manner::Answer(500), LATE];
    let mut alternates =
        vec![("half an answer".to_owned(), half_an_answer().await), ("nobody".to_owned(), nobody().await)];
    for manner in manners {
        alternates.push((format!("{manner:?}"), Backend::start(manner).await.address));
    }
    for (what, address) in alternates {
        let lead = Backend::start(Manner::Acknowledge).await;
        let limits = Limits {
            shadow: shadow::Limits { bytes: 300_000, ..shadow::Limits::default() },
            ..Limits::default()
        };
        let mut world = World::snapshot(warm(&[lead.address, address], &always()), limits);
        let entries = (0..100).map(|n| {
            let (world, id) = (&world, format!("e{n}"));
            async move {
                let (head, body) = world.send(entry(&id, vec![7; 20_000])).await;
                assert!(bytes(world) <= 300_000);
                (head.status, body)
            }
        });
        for (status, body) in futures::future::join_all(entries).await {
            assert_eq!((status, body), (StatusCode::ACCEPTED, "taken".into()), "{what}");
        }
        assert!(lead.acknowledged().values().all(|&times| times == 1), "{what}");
        assert_eq!(lead.acknowledged().len(), 100, "{what}");
        if what == "Silence" {
            // Answers came while copies still hang, and those beyond the bounds were dropped.
            assert!((1..=16).contains(&alternate(&world).under_way) && alternate(&world).copies == 0);
            let all_dropped = || Dropped::ALL.iter().map(|&why| dropped(&world, why)).sum::<u64>();
            let without_room = world.routes.only().unwrap().tally().copies_without_room;
            until(|| all_dropped() + without_room + u64::from(alternate(&world).under_way) == 100).await;
        } else {
            until(|| alternate(&world).under_way == 0 && bytes(&world) == 0).await;
            assert!(alternate(&world).copies > 0, "{what}");
        }
        let began = std::time::Instant::now();
        world.stop().await;
        assert!(began.elapsed() < Limits::default().drain, "{what}: copies delay no end");
        assert_eq!(bytes(&world), 0, "{what}");
    }
}

#[tokio::test]
async fn an_alternate_that_fails_its_copies_is_judged_unfit_at_the_end_of_the_window_and_fit_when_it_recovers()
 {
    let asked = json!({"every": "10s", "duration": "9s", "percent": 100, "minEntries": 20, "maxErrorRatio": "0.4", "maxLatencyRatio": "1000"});
    for protocol in [Http1, Http2] {
        let lead = Backend::speaking(protocol, Manner::Acknowledge).await;
        let next = Backend::speaking(protocol, Manner::Answer(500)).await;
        let mut snapshot = warm(&[lead.address, next.address], &asked);
        speak(&mut snapshot, protocol);
        let mut world = World::snapshot(snapshot, Limits::default());
        world.tick();
        let window = async |world: &mut World| {
            for _ in 0..25 {
                world.send(entry("", "hello")).await;
                until(|| alternate(world).under_way == 0).await;
            }
            (0..20).for_each(|_| world.tick());
            alternate(world).verdict.map(|verdict| verdict.readiness)
        };
        assert_eq!(window(&mut world).await, Some(Readiness::NotReady), "{protocol:?}");
        let readiness = |world: &World| {
            world.routes.only().unwrap().with_snapshot(|snapshot| snapshot.members[1].resource.readiness)
        };
        assert_eq!(readiness(&world), Some(Readiness::NotReady), "without an operator it gates here");
        next.behave(Manner::Acknowledge);
        assert_eq!(window(&mut world).await, Some(Readiness::Ready), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_copied_call_is_judged_by_the_status_behind_its_answer() {
    for (status, expected) in [("0", Outcome::Acknowledged), ("3", Outcome::Failed), ("13", Outcome::Failed)]
    {
        let lead = Backend::start(Manner::Call("0")).await;
        let next = Backend::speaking(Http2, Manner::Call(status)).await;
        // Nothing is known of the ports, and calls are HTTP/2 even so.
        let world = World::snapshot(warm(&[lead.address, next.address], &always()), Limits::default());
        let io = TokioIo::new(world.connect().await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let call = Request::post("http://journal/package.Service/Method")
            .header("content-type", "application/grpc")
            .header("x-entry-id", "e1")
            .body(Full::new(Bytes::from_static(b"\0\0\0\0\x05hello")))
            .unwrap();
        let answer = sender.send_request(call).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.trailers().unwrap()["grpc-status"], "0", "the client hears of the lead only");
        until(|| world.routes.only().unwrap().tally().resources[1].copies[expected as usize] == 1).await;
        assert_eq!((next.ids(), next.last().2.len()), (vec!["shadow-e1".to_owned()], 10), "{status}");
    }
}

#[tokio::test]
async fn an_alternate_that_hangs_with_every_copy_on_one_connection_gets_the_next_ones_on_another() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let next = Backend::speaking(Http2, Manner::Silence).await;
    let mut snapshot = warm(&[lead.address, next.address], &always());
    snapshot.members[1].shadow_protocol = Http2;
    let limits = Limits { answer: Duration::from_millis(200), ..Limits::default() };
    let world = World::snapshot(snapshot, limits);
    for copies in 1..=3 {
        world.send(entry("", "hello")).await;
        until(|| alternate(&world).copies == copies).await;
    }
    assert_eq!(next.connections(), 3);
}

#[tokio::test]
async fn a_body_that_is_not_kept_whole_is_not_copied_and_an_entry_that_is_refused_neither() {
    let (lead, next) = (Backend::start(Manner::Acknowledge).await, Backend::start(Manner::Acknowledge).await);
    let world = World::snapshot(warm(&[lead.address, next.address], &always()), Limits::default());
    world.send(entry("long", vec![7; 200_000])).await;
    assert_eq!(dropped(&world, Dropped::Body), 1);
    lead.behave(Manner::Answer(400));
    world.send(entry("faulty", "hello")).await;
    lead.behave(Manner::Acknowledge);
    world.send(entry("sound", "hello")).await;
    until(|| alternate(&world).copies == 1).await;
    assert_eq!((next.ids(), alternate(&world).under_way), (vec!["shadow-sound".to_owned()], 0));
}

#[tokio::test]
async fn a_cold_alternate_is_warmed_by_copies_so_that_clients_meet_none_of_its_slow_entries() {
    const SLOW: Duration = Duration::from_millis(20);
    let (lead, next) = (Backend::start(Manner::Acknowledge).await, Backend::start(Manner::Cold(SLOW)).await);
    let mut snapshot = cold(&[lead.address, next.address], &always());
    // The lead has room for one entry at a time, so the next one would go to the alternate.
    snapshot.members[0].resource.capacity = 0.01;
    let mut world = World::snapshot(snapshot, Limits::default());
    let mut rounds = 0;
    while !next.ids().iter().any(|id| !id.starts_with("shadow-")) {
        let entries = (0..20).map(|_| world.send(entry("", "hello")));
        for (head, _) in futures::future::join_all(entries).await {
            assert_eq!(head.status, StatusCode::ACCEPTED);
        }
        until(|| alternate(&world).under_way == 0).await;
        world.tick();
        rounds += 1;
        assert!(rounds < 40, "the alternate never gets an entry: {:?}", alternate(&world));
    }
    let slow: Vec<String> =
        next.ids().into_iter().take(100).filter(|id| !id.starts_with("shadow-")).collect();
    assert_eq!((slow.len(), alternate(&world).is_warm), (0, true), "{slow:?}");
}

#[tokio::test]
async fn without_copies_clients_meet_the_slow_entries_of_a_cold_alternate() {
    let (lead, next) =
        (Backend::start(Manner::Acknowledge).await, Backend::start(Manner::Cold(Duration::ZERO)).await);
    let mut snapshot = snapshot(&[lead.address, next.address]);
    snapshot.members[0].resource.capacity = 0.01;
    let world = World::snapshot(snapshot, Limits::default());
    futures::future::join_all((0..20).map(|_| world.send(entry("", "hello")))).await;
    assert!(!next.ids().is_empty());
}
