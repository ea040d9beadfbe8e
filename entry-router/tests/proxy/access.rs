//! The access log, and the trace that an entry belongs to.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use foreshift_entry_router::proxy::{Limits, access::TARGET};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tracing_subscriber::EnvFilter;

use crate::{
    backend::{Backend, Manner},
    world::{World, entry, until},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What was written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Catches all of the process: no other test here has its entries told of.
    fn catch() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new(format!("{TARGET}=info")))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    }

    /// The fields of each line by the entry's id.
    fn of(&self, id: &str) -> Option<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|mut line| line["fields"].take()).find(|fields| fields["id"] == id)
    }

    async fn waited(&self, id: &str) -> Value {
        until(|| self.of(id).is_some()).await;
        self.of(id).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_line_tells_what_was_decided_on_an_entry_and_what_became_of_it() {
    let log = Log::catch();
    let (lead, next) = (Backend::start(Manner::DieAtItsEnd).await, Backend::start(Manner::Acknowledge).await);
    let limits = Limits { told: 1.0, ..Limits::default() };
    let world = World::with(&[lead.address, next.address], limits);
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let mut request = entry("taken", "A=1\n\nA=2\n\n");
    request.headers_mut().insert("traceparent", parent.parse().unwrap());
    request.headers_mut().insert("content-type", "application/vnd.fdo.journal".parse().unwrap());
    world.send(request).await;
    assert_eq!(next.last().0["traceparent"], parent, "it passes unchanged");
    let line = log.waited("taken").await;
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    assert_eq!((text("trace"), text("class")), (TRACE.into(), "application/vnd.fdo.journal".into()));
    assert_eq!((text("resource"), text("endpoint")), ("r1".into(), next.address.to_string()));
    assert_eq!((text("reason"), text("outcome")), ("BestAlternate".into(), "acknowledged".into()));
    assert_eq!((&line["bytes"], &line["entries"], &line["attempts"]), (&10.into(), &2.into(), &2.into()));
    assert_eq!(line["status"], 202);
    let recent = world.routes.only().unwrap().recent(1).remove(0);
    assert_eq!(recent.trace.map(|trace| trace.to_string()).as_deref(), Some(TRACE));

    next.behave(Manner::DieAtItsEnd);
    world.send(entry("lost", "x")).await;
    let line = log.waited("lost").await;
    assert_eq!(
        (&line["status"], &line["outcome"], &line["trace"]),
        (&502.into(), &"failed".into(), &Value::Null)
    );

    lead.behave(Manner::Silence);
    next.behave(Manner::Silence);
    let mut client = world.connect().await;
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\nx-entry-id: left\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    until(|| world.in_flight() == 1).await;
    drop(client);
    let line = log.waited("left").await;
    assert_eq!((&line["status"], &line["outcome"]), (&Value::Null, &"cancelled".into()));
}
