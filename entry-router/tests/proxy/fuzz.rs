//! Anything at all comes in: as a batch, and as the head of a request.
//!
//! `FUZZ_CASES` says how many cases each of the two tries (20,000 batches and 200 heads where it is not set).

use std::{
    env, panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use foreshift_entry_router::entry::count::{Counter, Format};
use http::StatusCode;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    backend::{Backend, Manner},
    faults::hasty,
    world::{LONG, World, entry},
};

/// Clients at once.
const CLIENTS: usize = 16;

fn fuzz<S: Strategy>(cases: u32, input: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(input, test).unwrap_or_else(|failure| panic!("{failure}"));
}

fn cases(usual: u32) -> u32 {
    env::var("FUZZ_CASES").map_or(usual, |cases| cases.parse().expect("FUZZ_CASES is a count"))
}

/// What batches are made of, and what they are not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("\n"),
        Just("\n\n"),
        Just("MESSAGE=text\n"),
        Just("MESSAGE\n"),
        Just("_PID=1\n\n"),
        Just("="),
        Just("{\"resourceLogs\":[{\"scopeLogs\":[{"),
        Just("\"logRecords\":[{}"),
        Just(",{\"body\":\"\\\"\"}"),
        Just("]}]}]}"),
        Just("\n{}"),
    ];
    let short = prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        4 => text.prop_map(|text| text.as_bytes().to_vec()),
        // A length, and as much as it says.
        2 => short.clone().prop_map(|value| [&(value.len() as u64).to_le_bytes()[..], &value, b"\n"].concat()),
        2 => (1_u8..4, short.clone())
            .prop_map(|(field, value)| [&[field << 3 | 2, value.len() as u8][..], &value].concat()),
        1 => prop_oneof![any::<u64>(), 0..1000_u64].prop_map(|length| length.to_le_bytes().to_vec()),
        1 => (0_u8..2, any::<u16>()).prop_map(|(flag, length)| {
            [&[flag, 0, 0][..], &length.to_be_bytes()].concat()
        }),
        1 => short,
    ]
}

#[test]
fn batches() {
    let formats = prop_oneof![
        4 => Just(Format::JournalExport),
        1 => Just(Format::Lines),
        2 => Just(Format::Otlp),
        1 => Just(Format::OtlpJson),
        1 => Just(Format::OtlpGrpc),
    ];
    let input = (formats, prop::collection::vec(piece(), 0..12), 1_usize..20);
    fuzz(cases(20_000), &input, |(format, pieces, length)| {
        let whole = pieces.concat();
        let counted = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut counter = Counter::new(format);
            pieces.for_each(|piece| counter.push(piece));
            counter.entries()
        };
        let entries = counted(&mut std::iter::once(&whole[..]));
        prop_assert!((1..=whole.len().max(1) as u64).contains(&entries), "{} in {:?}", entries, whole);
        prop_assert_eq!(counted(&mut pieces.iter().map(Vec::as_slice)), entries);
        prop_assert_eq!(counted(&mut whole.chunks(length)), entries);
        Ok(())
    });
}

#[test]
fn heads() {
    let panics = count_panics_of_the_proxy();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (lead, world) = runtime.block_on(async {
        let lead = Backend::start(Manner::Acknowledge).await;
        let world = World::with(&[lead.address], hasty());
        (lead, world)
    });
    let line = prop_oneof![
        3 => Just("POST / HTTP/1.1\r\n".to_owned()),
        3 => Just("host: x\r\n".to_owned()),
        2 => Just("content-length: 3\r\n".to_owned()),
        1 => Just("content-length: 4\r\n".to_owned()),
        2 => Just("transfer-encoding: chunked\r\n".to_owned()),
        1 => Just("content-type: application/vnd.fdo.journal\r\n".to_owned()),
        1 => Just("connection: keep-alive, host\r\n".to_owned()),
        1 => Just("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        3 => Just("\r\n".to_owned()),
        2 => Just("3\r\nabc\r\n0\r\n\r\n".to_owned()),
        2 => "[ -~\r\n]{0,40}",
        2 => any::<[char; 4]>().prop_map(String::from_iter),
    ];
    let bytes = prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat());
    let several = prop::collection::vec(bytes, CLIENTS);
    fuzz(cases(200).div_ceil(CLIENTS as u32), &several, |several| {
        runtime.block_on(futures::future::join_all(several.iter().map(|bytes| hears_an_end(&world, bytes))));
        Ok(())
    });
    runtime.block_on(async {
        assert_eq!(world.send(entry("next", "x")).await.0.status, StatusCode::ACCEPTED);
        world.idle().await;
    });
    assert_eq!(lead.acknowledged()["next"], 1);
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}

async fn hears_an_end(world: &World, bytes: &str) {
    let mut stream = world.connect().await;
    let _ = stream.write_all(bytes.as_bytes()).await;
    let _ = stream.shutdown().await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
    let _ = read.expect("every client hears an end");
}

/// The runtime catches what panics in a task.
fn count_panics_of_the_proxy() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, told) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name().is_some_and(|name| name.starts_with("proxy-")) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        told(panic);
    }));
    panics
}
