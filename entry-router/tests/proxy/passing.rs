//! What passes through, and how.

use bytes::Bytes;
use foreshift_entry_router::assigner::Outcome;
use futures::Stream;
use http::{Request, StatusCode, Version};
use http_body_util::{Full, StreamBody};
use hyper::{
    body::Frame,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use crate::{
    backend::{Backend, Manner},
    world::{World, entry, until, whole},
};

type Piece = Result<Frame<Bytes>, std::io::Error>;

#[tokio::test]
async fn an_entry_passes_with_its_path_headers_and_body_and_gets_an_id() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let mut request = entry("", "hello");
    request.headers_mut().insert("x-entry-type", "audit".parse().unwrap());
    request.headers_mut().insert("connection", "x-mine".parse().unwrap());
    request.headers_mut().insert("x-mine", "1".parse().unwrap());
    let (head, body) = world.send(request).await;
    assert_eq!((head.status, body), (StatusCode::ACCEPTED, "taken".into()));
    let (headers, path, body) = lead.last();
    assert_eq!((path.as_str(), body), ("/insert?x=1", Bytes::from("hello")));
    assert_eq!((&headers["x-entry-type"], headers["x-entry-id"].len()), (&"audit".parse().unwrap(), 32));
    assert!(!headers.contains_key("x-mine"));
    world.send(entry("mine", "hello")).await;
    assert_eq!(lead.last().0["x-entry-id"], "mine");
    world.idle().await;
}

#[tokio::test]
async fn a_long_body_in_chunks_passes_unchanged_and_is_not_kept() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let pieces =
        sent.chunks(70_001).map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))));
    let body = StreamBody::new(futures::stream::iter(pieces.collect::<Vec<_>>()));
    let (mut sender, connection) = http1::handshake(TokioIo::new(world.connect().await)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/upload").header("host", "journal").body(body).unwrap();
    let (head, _) = whole(sender.send_request(request).await.unwrap()).await;
    assert_eq!(head.status, StatusCode::ACCEPTED);
    assert!(lead.last().2 == sent);
}

#[tokio::test]
async fn the_entries_of_a_batch_are_counted_as_it_streams_and_its_bytes_stay_as_they_were() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let batch = Bytes::from("MESSAGE=an entry\nPRIORITY=6\n\n".repeat(5000));
    for (kind, entries) in
        [("application/vnd.fdo.journal", 5000), ("text/plain", 5001), ("application/x-ndjson", 5002)]
    {
        let mut request = entry("", batch.clone());
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        assert_eq!(world.send(request).await.0.status, StatusCode::ACCEPTED);
        assert_eq!(lead.last().2, batch);
        world.idle().await;
        let tally = world.routes.only().unwrap().tally();
        assert_eq!(tally.resources[0].entries[Outcome::Acknowledged as usize], entries, "{kind}");
    }
}

#[tokio::test]
async fn http_2_comes_in_by_prior_knowledge_with_many_entries_at_once() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let io = TokioIo::new(world.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let entries = (0..50).map(|n| {
        let mut sender = sender.clone();
        async move {
            let request = Request::post("http://journal.shop/in")
                .version(Version::HTTP_2)
                .header("x-entry-id", n.to_string())
                .body(Full::new(Bytes::from("hello")))
                .unwrap();
            whole(sender.send_request(request).await.unwrap()).await.0.status
        }
    });
    let statuses = futures::future::join_all(entries).await;
    assert!(statuses.iter().all(|status| *status == StatusCode::ACCEPTED), "{statuses:?}");
    assert_eq!(lead.acknowledged().len(), 50);
    assert_eq!(lead.last().0["host"], "journal.shop");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_hears_it_from_the_router() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::new(&[lead.address]);
    let mut stream = world.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 202");
    assert!(!lead.last().0.contains_key("expect"));
}

#[tokio::test]
async fn what_is_under_way_ends_before_the_process_does() {
    let lead = Backend::start(Manner::Acknowledge).await;
    let mut world = World::new(&[lead.address]);
    let (mut sender, connection) = http1::handshake(TokioIo::new(world.connect().await)).await.unwrap();
    tokio::spawn(connection);
    let (pieces, body) = open_body();
    let request =
        Request::post("/").header("host", "journal").header("x-entry-id", "last").body(body).unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    until(|| world.in_flight() == 1).await;
    let address = world.address;
    let stopped = world.stop();
    let rest = async {
        // Nobody new is let in from the moment the listener is closed.
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        pieces.send(Ok(Frame::data(Bytes::from("late")))).await.unwrap();
        drop(pieces);
    };
    tokio::join!(stopped, rest);
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(lead.acknowledged()["last"], 1);
}

/// A body that goes on for as long as its sender lives.
fn open_body() -> (mpsc::Sender<Piece>, StreamBody<impl Stream<Item = Piece>>) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Piece>| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    (sender, StreamBody::new(Box::pin(pieces)))
}
