//! Faults: of resources, of clients, and of what clients send. None loses or doubles an acknowledged entry.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use foreshift_entry_router::proxy::Limits;
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    backend::{Backend, Manner},
    world::{LONG, World, entry},
};

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn hasty() -> Limits {
    Limits { connect: SHORT, answer: SHORT, head: SHORT, ..Limits::default() }
}

/// Nobody listens there.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A listener whose queue is full, so that the kernel drops what else comes: connections to it are never made.
struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    async fn open() -> Self {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
            queue.push(stream);
            assert!(queue.len() < 100, "the queue is full at some time");
        }
        Self { address, _listener: listener, _queue: queue }
    }
}

#[tokio::test]
async fn an_entry_whose_resource_dies_mid_body_is_taken_by_the_next_under_the_same_id() {
    let (lead, next) = (Backend::start(Manner::DieMidBody).await, Backend::start(Manner::Acknowledge).await);
    let world = World::new(&[lead.address, next.address]);
    let body = Bytes::from(vec![7; 40_000]);
    let (head, _) = world.send(entry("e1", body.clone())).await;
    assert_eq!(head.status, StatusCode::ACCEPTED);
    assert_eq!((next.acknowledged()["e1"], next.last().2), (1, body));
    assert!(lead.acknowledged().is_empty());
    world.idle().await;
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_repeated_without_an_id_of_the_client_or_when_it_is_too_long() {
    let (lead, next) = (Backend::start(Manner::DieAtItsEnd).await, Backend::start(Manner::Acknowledge).await);
    let world = World::new(&[lead.address, next.address]);
    for entry in [entry("", "short"), entry("long", vec![7; 200_000])] {
        let (head, _) = world.send(entry).await;
        assert_eq!(head.status, StatusCode::BAD_GATEWAY);
        assert!(head.headers.contains_key("retry-after"));
    }
    assert!(next.acknowledged().is_empty());
    world.idle().await;
}

#[tokio::test]
async fn nothing_was_sent_to_a_resource_that_is_not_there_so_the_next_gets_it_in_any_case() {
    let next = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[closed().await, next.address]);
    let (head, _) = world.send(entry("", vec![7; 200_000])).await;
    assert_eq!(head.status, StatusCode::ACCEPTED);
    assert_eq!(next.last().2.len(), 200_000);
}

#[tokio::test]
async fn a_resource_that_turns_entries_away_is_passed_over_and_one_that_finds_fault_with_them_is_believed() {
    let (lead, next) = (Backend::start(Manner::Answer(503)).await, Backend::start(Manner::Acknowledge).await);
    let world = World::new(&[lead.address, next.address]);
    assert_eq!(world.send(entry("e1", "x")).await.0.status, StatusCode::ACCEPTED);
    assert_eq!(
        world.send(entry("", "x")).await.0.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "no id, no second try"
    );
    lead.behave(Manner::Answer(400));
    assert_eq!(world.send(entry("e2", "x")).await.0.status, StatusCode::BAD_REQUEST);
    assert!(!next.acknowledged().contains_key("e2"));
}

#[tokio::test]
async fn an_entry_that_fell_into_a_black_hole_is_not_acknowledged_and_soon_nothing_falls_there() {
    let (lead, next) = (Backend::start(Manner::Silence).await, Backend::start(Manner::Acknowledge).await);
    let world = World::with(&[lead.address, next.address], hasty());
    let mut statuses = Vec::new();
    while statuses.last() != Some(&StatusCode::ACCEPTED) {
        assert!(statuses.len() < 50, "the black hole is noticed");
        statuses.push(world.send(entry("e", "x")).await.0.status);
    }
    assert_eq!(statuses[0], StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(next.acknowledged()["e"], 1);
    world.idle().await;
}

#[tokio::test]
async fn an_alternate_behind_a_black_hole_delays_entries_and_takes_none() {
    let (lead, next) = (Backend::start(Manner::Answer(503)).await, Backend::start(Manner::Acknowledge).await);
    let hole = BlackHole::open().await;
    let world = World::with(&[lead.address, hole.address, next.address], hasty());
    for n in 0..20 {
        let (head, _) = world.send(entry(&n.to_string(), "x")).await;
        assert_eq!(head.status, StatusCode::ACCEPTED);
    }
    assert!(next.acknowledged().len() == 20 && next.acknowledged().values().all(|times| *times == 1));
    world.idle().await;
}

#[tokio::test]
async fn with_all_alternates_down_the_lead_keeps_everything() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::with(&[lead.address, closed().await, BlackHole::open().await.address], hasty());
    for n in 0..50 {
        assert_eq!(world.send(entry(&n.to_string(), "x")).await.0.status, StatusCode::ACCEPTED);
    }
    lead.behave(Manner::Answer(503));
    let status = world.send(entry("full", "x")).await.0.status;
    assert!(status.is_server_error(), "nobody took it, and the client hears it: {status}");
    lead.behave(Manner::Acknowledge);
    assert_eq!(world.send(entry("full", "x")).await.0.status, StatusCode::ACCEPTED);
    assert_eq!(lead.acknowledged().len(), 51);
    world.idle().await;
}

#[tokio::test]
async fn when_all_are_down_clients_hear_it_and_when_they_come_to_wait() {
    let world = World::with(&[closed().await, closed().await], hasty());
    let (head, body) = world.send(entry("e", "x")).await;
    assert_eq!(
        (head.status, head.headers["retry-after"].as_bytes()),
        (StatusCode::BAD_GATEWAY, b"1".as_slice())
    );
    assert!(String::from_utf8_lossy(&body).contains("was not acknowledged"));
    let world = World::new(&[closed().await]);
    world.routes.update(Vec::new());
    assert_eq!(world.send(entry("e", "x")).await.0.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn connections_that_resources_close_between_entries_lose_none() {
    let lead = Backend::start(Manner::CloseAfterwards).await;
    let world = World::new(&[lead.address]);
    for n in 0..200 {
        let (head, _) = world.send(entry(&n.to_string(), "x")).await;
        assert_eq!(head.status, StatusCode::ACCEPTED);
    }
    assert!(lead.acknowledged().values().all(|times| *times == 1));
}

#[tokio::test]
async fn clients_that_send_their_head_slowly_or_never_are_cut_off_and_others_are_served() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::with(&[lead.address], hasty());
    let mut slow = world.connect().await;
    slow.write_all(b"POST / HTTP/1.1\r\nhost: jour").await.unwrap();
    let mut idle = world.connect().await;
    assert_eq!(world.send(entry("e", "x")).await.0.status, StatusCode::ACCEPTED);
    for stream in [&mut slow, &mut idle] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("it is cut off");
        assert!(ended.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"));
    }
}

#[tokio::test]
async fn hundreds_that_send_a_head_byte_by_byte_are_cut_off_however_long_they_go_on() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::with(&[lead.address], hasty());
    let drips = (0..300).map(|_| async {
        let mut stream = world.connect().await;
        let head = b"POST / HTTP/1.1\r\nhost: x\r\nx-long: ".iter().chain(std::iter::repeat(&b'a'));
        for byte in head {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(SHORT / 20).await;
        }
    });
    let drips = tokio::time::timeout(LONG, futures::future::join_all(drips));
    let others = async {
        for n in 0..50 {
            assert_eq!(world.send(entry(&n.to_string(), "x")).await.0.status, StatusCode::ACCEPTED);
        }
    };
    let (cut_off, ()) = tokio::join!(drips, others);
    cut_off.expect("all are cut off");
    assert_eq!(lead.acknowledged().len(), 50);
    world.idle().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_gives_its_room_back() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::with(&[lead.address], hasty());
    let answer = world.send_raw(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nonly this").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    world.idle().await;
    assert!(lead.acknowledged().is_empty());
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off_though_it_never_stops_and_a_stream_may_be_slow() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::with(&[lead.address], hasty());
    let drip = async |head: &[u8], piece: &[u8], pieces: usize, end: &[u8]| {
        let mut stream = world.connect().await;
        stream.write_all(head).await.unwrap();
        for _ in 0..pieces {
            tokio::time::sleep(SHORT / 4).await;
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
        let _ = stream.write_all(end).await;
        let mut answer = [0; 12];
        let read = stream.read_exact(&mut answer).await;
        read.map(|_| String::from_utf8_lossy(&answer).into_owned())
    };
    let dripping = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    let stream = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let both = futures::future::join(
        drip(dripping, b"a", usize::MAX, b""),
        drip(stream, b"1\r\na\r\n", 12, b"0\r\n\r\n"),
    );
    let (dripped, streamed) = tokio::time::timeout(LONG, both).await.expect("no body drips on");
    // Who still writes may see the reset before the answer.
    assert!(dripped.as_ref().is_ok_and(|answer| answer == "HTTP/1.1 408") || dripped.is_err(), "{dripped:?}");
    assert_eq!(streamed.unwrap(), "HTTP/1.1 202");
    world.idle().await;
    assert_eq!(lead.acknowledged().len(), 1);
}

#[tokio::test]
async fn clients_that_go_away_leave_nothing_behind() {
    let lead = Backend::start(Manner::Silence).await;
    let world = World::new(&[lead.address]);
    let mut streams: Vec<TcpStream> = Vec::new();
    for n in 0..40 {
        let mut stream = world.connect().await;
        let length = if n % 2 == 0 { 4 } else { 400 };
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nbody");
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    crate::world::until(|| world.in_flight() == 40).await;
    drop(streams);
    world.idle().await;
    assert!(lead.acknowledged().is_empty());
}

#[tokio::test]
async fn heads_beyond_the_most_are_refused() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let long = format!("POST / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(100_000));
    let too_long = format!("POST / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(33_000));
    let many = format!("POST / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: 1\r\n".repeat(500));
    for head in [long, too_long, many] {
        let answer = world.send_raw(head.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert!(lead.acknowledged().is_empty());
}

#[tokio::test]
async fn through_faults_of_all_kinds_every_acknowledged_entry_is_somewhere_and_only_once() {
    let mut resources = Vec::new();
    for _ in 0..4 {
        resources.push(Backend::start(Manner::Acknowledge).await);
    }
    let addresses: Vec<SocketAddr> = resources.iter().map(|resource| resource.address).collect();
    let world = World::with(&addresses, hasty());
    let manners = [
        Manner::DieMidBody,
        Manner::DieAtItsEnd,
        Manner::CloseAfterwards,
        Manner::Answer(503),
        Manner::Silence,
    ];
    let mut acknowledged = 0;
    for round in 0..20_usize {
        for (i, resource) in resources.iter().enumerate() {
            resource.behave(if i == round % 4 { manners[round / 4] } else { Manner::Acknowledge });
        }
        if round == 17 {
            resources[3].stop();
        }
        let ids: Vec<String> = (0..25).map(|n| format!("{round}-{n}")).collect();
        let answers =
            futures::future::join_all(ids.iter().map(|id| world.send(entry(id, vec![1; 2000])))).await;
        let told: Vec<&String> = ids
            .iter()
            .zip(&answers)
            .filter(|(_, (head, _))| head.status.is_success())
            .map(|(id, _)| id)
            .collect();
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for (id, times) in resources.iter().flat_map(Backend::acknowledged) {
            *held.entry(id).or_default() += times;
        }
        assert!(told.iter().all(|id| held.get(*id) == Some(&1)), "round {round}: {told:?} against {held:?}");
        acknowledged += told.len();
    }
    assert!(acknowledged > 400, "{acknowledged} of 500 were acknowledged at once");
    world.idle().await;
}
