//! A router in front of resources, and clients.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use foreshift_daemon::shutdown::{self, Stopper};
use foreshift_engine::{
    decision::Phase,
    resource::{Freshness, Node, Readiness, Resource, Scores},
};
use foreshift_entry_router::{
    assigner::Settings,
    proxy::{Figures, Limits, Proxy, tls::Tls},
    routes::Routes,
    snapshot::{Member, Protocol, RouteKey, RouteSnapshot},
};
use foreshift_view::policy::policy;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// A router with its resources; the first is the lead.
pub(crate) struct World {
    pub(crate) routes: Routes,
    pub(crate) address: SocketAddr,
    pub(crate) figures: Arc<Figures>,
    snapshot: RouteSnapshot,
    proxy: Option<Proxy>,
    stopper: Stopper,
}

/// An answer with its body.
pub(crate) type Answer = (http::response::Parts, Bytes);

impl World {
    pub(crate) fn new(resources: &[SocketAddr]) -> Self {
        Self::with(resources, Limits::default())
    }

    pub(crate) fn with(resources: &[SocketAddr], limits: Limits) -> Self {
        Self::speaking(resources, limits, Protocol::Http1)
    }

    /// The resources speak this.
    pub(crate) fn speaking(resources: &[SocketAddr], limits: Limits, protocol: Protocol) -> Self {
        let mut snapshot = snapshot(resources);
        speak(&mut snapshot, protocol);
        Self::snapshot(snapshot, limits)
    }

    /// Behind a certificate.
    pub(crate) fn behind(resources: &[SocketAddr], limits: Limits, tls: &Arc<Tls>) -> Self {
        Self::of(snapshot(resources), limits, Some(tls))
    }

    pub(crate) fn snapshot(snapshot: RouteSnapshot, limits: Limits) -> Self {
        Self::of(snapshot, limits, None)
    }

    fn of(snapshot: RouteSnapshot, limits: Limits, tls: Option<&Arc<Tls>>) -> Self {
        let routes = Routes::new(Settings { explore: 0.0, ..Settings::default() });
        routes.update(vec![snapshot.clone()]);
        let (stopper, stop) = shutdown::channel();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let proxy = Proxy::start(free, 2, &routes, None, limits, tls, &stop).unwrap();
        let (address, figures) = (proxy.address(), proxy.figures());
        Self { routes, address, figures, snapshot, proxy: Some(proxy), stopper }
    }

    /// A second goes by.
    pub(crate) fn tick(&mut self) {
        self.snapshot.at += Duration::from_secs(1);
        self.routes.update(vec![self.snapshot.clone()]);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.routes.only().unwrap().tally().in_flight
    }

    /// Waits until nothing is under way.
    pub(crate) async fn idle(&self) {
        until(|| self.in_flight() == 0).await;
    }

    /// Asks it to stop; the answer comes when it has.
    pub(crate) async fn stop(&mut self) {
        self.stopper.stop();
        if let Some(proxy) = self.proxy.take() {
            tokio::task::spawn_blocking(move || proxy.join()).await.unwrap();
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await)).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = tokio::time::timeout(LONG, sender.send_request(request)).await.unwrap().unwrap();
        let answer = whole(answer).await;
        drop(sender);
        let _ = connection.await;
        answer
    }

    /// Sends bytes and reads what comes until the end.
    pub(crate) async fn send_raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The other end may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        rest(stream).await
    }
}

/// All that comes until the end.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn whole(answer: Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

/// An entry; an empty id means that the client gives none.
pub(crate) fn entry(id: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post("/insert?x=1").header("host", "journal");
    let request = if id.is_empty() { request } else { request.header("x-entry-id", id) };
    request.body(Full::new(body.into())).unwrap()
}

/// Waits for a condition, for as long as a loaded machine may need.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waited).await.expect("the condition holds in the end");
}

/// Every resource speaks it, for entries and for copies.
pub(crate) fn speak(snapshot: &mut RouteSnapshot, protocol: Protocol) {
    for member in &mut snapshot.members {
        (member.protocol, member.shadow_protocol) = (protocol, protocol);
    }
}

/// Resources with plenty of room; the first is the lead.
pub(crate) fn snapshot(resources: &[SocketAddr]) -> RouteSnapshot {
    let reference = |i: usize| serde_json::json!({"service": format!("r{i}"), "port": 80});
    let spec: foreshift_api::JournalRouteSpec = serde_json::from_value(serde_json::json!({
        "lead": reference(0),
        "alternates": (1..resources.len()).map(reference).collect::<Vec<_>>(),
        "target": {"service": "journal"},
        "warmUp": {"duration": "0s"},
    }))
    .unwrap();
    let member = |(i, &address): (usize, &SocketAddr)| {
        let node = Node {
            capacity: 1000.0,
            load: 0.1,
            own_cores: 0.0,
            entries: None,
            error_ratio: 0.0,
            endpoints: 1,
            scores: Scores::default(),
            freshness: Freshness::Fresh,
            drained: false,
        };
        Member {
            resource: Resource::from_nodes(&format!("r{i}"), &[node], Readiness::Inconclusive),
            endpoints: vec![address],
            shadow_endpoints: vec![address],
            protocol: Protocol::Http1,
            shadow_protocol: Protocol::Http1,
            share: 0,
            warm: None,
        }
    };
    RouteSnapshot {
        route: RouteKey { namespace: "shop".into(), name: "journal".into() },
        policy: policy(&spec),
        spec,
        at: Duration::from_hours(500_000),
        phase: Phase::Steady,
        members: resources.iter().enumerate().map(member).collect(),
        part: 1.0,
    }
}
