//! Real processes that end without a word, and what a client holds of it: an entry that was acknowledged is there, and
//! none is there twice but under its own id.

use std::{collections::BTreeMap, net::SocketAddr, process::Command};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    backend::{Backend, Manner},
    process::{Resource, Router},
    world::{LONG, World, entry, until},
};

/// Entries that are under way when something dies.
const UNDER_WAY: usize = 64;

#[tokio::test]
async fn a_resource_killed_in_the_middle_of_bodies_loses_none_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut lead = Resource::start(folder.path(), "lead");
    let next = Resource::start(folder.path(), "next");
    let world = World::new(&[lead.process.address, next.process.address]);
    for n in 0..UNDER_WAY {
        assert_eq!(world.send(entry(&format!("before-{n}"), "x")).await.0.status, StatusCode::ACCEPTED);
    }
    let (first, second) = (vec![7; 20_000], vec![8; 20_000]);
    let mut clients = Vec::new();
    for n in 0..UNDER_WAY {
        let mut client = world.connect().await;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-entry-id: during-{n}\r\ncontent-length: 40000\r\nconnection: close\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&first).await.unwrap();
        clients.push(client);
    }
    until(|| world.in_flight() == UNDER_WAY).await;
    lead.process.kill();
    for client in &mut clients {
        client.write_all(&second).await.unwrap();
    }
    for (n, client) in clients.into_iter().enumerate() {
        let answer = crate::world::rest(client).await;
        // Retries are bounded: beyond that it is the client's own turn, under the same id.
        if !answer.starts_with("HTTP/1.1 202") {
            assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
            insist(&[world.address], 0, &format!("during-{n}")).await;
        }
    }
    world.idle().await;
    let (lead, next) = (lead.acknowledged(), next.acknowledged());
    assert!((0..UNDER_WAY).all(|n| lead.get(&format!("before-{n}")) == Some(&1)));
    assert!((0..UNDER_WAY).all(|n| next.get(&format!("during-{n}")) == Some(&1)));
    assert_eq!((lead.len(), next.len()), (UNDER_WAY, UNDER_WAY));
}

#[tokio::test]
async fn of_two_routers_one_may_be_killed_and_clients_go_on_with_the_other_under_the_same_ids() {
    let (lead, next) = (Backend::start(Manner::Acknowledge).await, Backend::start(Manner::Acknowledge).await);
    let resources = [lead.address, next.address];
    let (mut first, second) = (Router::start(&resources, &[]), Router::start(&resources, &[]));
    let routers = [first.process.address, second.process.address];
    let senders: Vec<_> = (0..UNDER_WAY)
        .map(|client| {
            tokio::spawn(async move {
                for n in 0..50 {
                    insist(&routers, client, &format!("{client}-{n}")).await;
                }
            })
        })
        .collect();
    // Not before there is something to lose.
    until(|| lead.acknowledged().len() + next.acknowledged().len() >= 10 * UNDER_WAY).await;
    first.process.kill();
    for sender in senders {
        tokio::time::timeout(LONG, sender).await.expect("all are acknowledged in the end").unwrap();
    }
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for (id, times) in lead.acknowledged().into_iter().chain(next.acknowledged()) {
        *held.entry(id).or_default() += times;
    }
    assert_eq!(held.len(), 50 * UNDER_WAY, "every entry, and nothing that no client sent");
    let twice = held.values().filter(|times| **times > 1).count();
    assert!(twice <= UNDER_WAY, "{twice}: only what was under way when the router died");
}

/// Sends an entry to one router or the other until one of them says that it was acknowledged.
async fn insist(routers: &[SocketAddr], first: usize, id: &str) {
    for router in routers.iter().cycle().skip(first % routers.len()) {
        if let Ok(StatusCode::ACCEPTED) = send(*router, id).await {
            return;
        }
    }
}

async fn send(router: SocketAddr, id: &str) -> Result<StatusCode, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(router).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("/").header("host", "journal").header("x-entry-id", id);
    let answer = sender.send_request(request.body(Full::new(Bytes::from(vec![1; 2000])))?).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}

#[tokio::test]
async fn ten_thousand_idle_connections_stand_in_nobodys_way() {
    raise_the_limit_of_open_files();
    let lead = Backend::start(Manner::Acknowledge).await;
    // Nobody is cut off for being idle while the others connect.
    let router = Router::start(&[lead.address], &["--head-timeout=10m"]);
    let mut idle = Vec::new();
    for n in 0..10_000 {
        let stream = TcpStream::connect(router.process.address).await;
        idle.push(stream.unwrap_or_else(|error| panic!("connection {n}: {error}")));
    }
    for n in 0..50 {
        let status = send(router.process.address, &n.to_string()).await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    assert_eq!(lead.acknowledged().len(), 50);
    let mut byte = [0];
    for stream in &idle {
        let read = stream.try_read(&mut byte);
        assert!(read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "it is still there");
    }
}

/// To what the system allows; the router, as a child, has the same.
fn raise_the_limit_of_open_files() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let hard = files.split_whitespace().nth(1).unwrap();
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &own, &format!("--nofile={hard}:{hard}")]).status();
    assert!(raised.unwrap().success(), "the limit of open files cannot be raised to {hard}");
}
