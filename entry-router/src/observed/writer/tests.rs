//! The writer before an API server in memory.

use std::sync::Mutex;

use foreshift_view::caches::{self, Writers};
use http::{Request, Response, StatusCode};
use kube::{client::Body, runtime::watcher::Event};

use super::*;
use crate::{
    assigner::{Entry, Outcome, Settings, tests::snapshot_of},
    snapshot::RouteSnapshot,
};

/// Status that the server answers next; none hangs.
type Answers = Arc<Mutex<Option<u16>>>;

struct Server {
    answer: Answers,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

struct World {
    server: Server,
    to_caches: Writers,
    routes: Routes,
    snapshot: RouteSnapshot,
    writer: Writer,
}

impl Server {
    fn start() -> (Self, Client) {
        let server = Self { answer: Arc::new(Mutex::new(Some(200))), calls: Arc::default() };
        let (answer, calls) = (Arc::clone(&server.answer), Arc::clone(&server.calls));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (answer, calls) = (Arc::clone(&answer), Arc::clone(&calls));
            async move {
                let (head, body) = request.into_parts();
                let sent: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap();
                calls.lock().unwrap().push((head.uri.to_string(), sent));
                let Some(code) = *answer.lock().unwrap() else { return std::future::pending().await };
                let told = if code == 200 {
                    route("2", &json!({}))
                } else {
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                        "reason": if code == 409 { "Conflict" } else { "InternalError" }, "message": "no"})
                };
                let answer = Response::builder().status(StatusCode::from_u16(code).unwrap());
                Ok::<_, std::convert::Infallible>(
                    answer.body(Body::from(told.to_string().into_bytes())).unwrap(),
                )
            }
        });
        let client = Client::new(service, "shop");
        (server, client)
    }

    fn answers(&self, code: Option<u16>) {
        *self.answer.lock().unwrap() = code;
    }

    fn calls(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl World {
    /// A route whose resources acknowledged some entries.
    fn new() -> Self {
        let (server, client) = Server::start();
        let (caches, to_caches) = caches::new();
        let routes = Routes::new(Settings { explore: 0.0, ..Settings::default() });
        let snapshot = snapshot_of(&["a", "b"]);
        routes.update(vec![snapshot.clone()]);
        let writer = Writer::new(client, caches, routes.clone(), "pod-1".into(), Arc::default());
        let mut world = Self { server, to_caches, routes, snapshot, writer };
        world.show(&route("1", &json!({})));
        world.serve(50);
        world
    }

    fn show(&mut self, route: &Value) {
        self.to_caches
            .routes
            .apply_watcher_event(&Event::Apply(serde_json::from_value(route.clone()).unwrap()));
    }

    fn serve(&self, entries: u32) {
        let assigner = self.routes.only().unwrap();
        for _ in 0..entries {
            let entry = Entry { id: "e", class: "audit", bytes: Some(1024), ..Entry::default() };
            assigner.assign(&entry, &[], None).unwrap().1.finish(Outcome::Acknowledged);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.snapshot.at += time;
        self.routes.update(vec![self.snapshot.clone()]);
    }

    fn written(&self) -> (u64, u64, u64) {
        let Writes { done, conflicts, failures } = &*self.writer.writes;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(done), of(conflicts), of(failures))
    }
}

fn route(version: &str, status: &Value) -> Value {
    json!({"apiVersion": "foreshift.dev/v1alpha1", "kind": "JournalRoute",
        "metadata": {"name": "journal", "namespace": "shop", "uid": "u", "resourceVersion": version},
        "spec": {"lead": {"service": "a", "port": 80}, "alternates": [{"service": "b", "port": 80}],
            "target": {"service": "journal"}},
        "status": status})
}

#[tokio::test]
async fn rows_are_applied_to_the_status_alone_in_the_version_that_was_read() {
    let mut world = World::new();
    let twin = json!({"outcomes": [{"resource": "a", "class": "audit", "observer": "pod-2", "at": "2027-01-15T07:59:00Z",
        "affinity": 40, "samples": 9, "errorRatio": "0"}]});
    world.show(&route("7", &twin));
    world.writer.look().await;
    let [(uri, body)] = &world.server.calls()[..] else { panic!("one write") };
    assert!(
        uri.starts_with("/apis/foreshift.dev/v1alpha1/namespaces/shop/journalroutes/journal/status?"),
        "{uri}"
    );
    assert!(uri.contains("fieldManager=foreshift-entry-router") && uri.contains("force=true"), "{uri}");
    assert_eq!(body["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
    assert!(body.get("spec").is_none());
    let status = body["status"].as_object().unwrap();
    assert_eq!(status.keys().collect::<Vec<_>>(), ["outcomes", "shadow"]);
    let observers: Vec<&Value> =
        status["outcomes"].as_array().unwrap().iter().map(|row| &row["observer"]).collect();
    assert_eq!(observers, [&json!("pod-1"), &json!("pod-2")]);
}

#[tokio::test]
async fn what_has_not_changed_is_not_written_again_until_it_is_about_to_be_forgotten() {
    let mut world = World::new();
    for _ in 0..3 {
        world.writer.look().await;
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(world.written(), (1, 0, 0));
    world.pass(Duration::from_mins(5));
    world.writer.look().await;
    assert_eq!(world.written(), (2, 0, 0));
}

#[tokio::test]
async fn a_route_of_which_nothing_is_known_is_not_written() {
    let mut world = World::new();
    world.routes.update(vec![]);
    world.routes.update(vec![world.snapshot.clone()]);
    world.writer.look().await;
    assert_eq!(world.server.calls(), []);
}

#[tokio::test]
async fn a_write_that_came_too_late_is_tried_again_on_what_is_there_then() {
    let mut world = World::new();
    world.server.answers(Some(409));
    world.writer.look().await;
    world.show(&route("8", &json!({})));
    world.server.answers(Some(200));
    world.writer.look().await;
    assert_eq!(world.written(), (1, 1, 0));
    assert_eq!(world.server.calls()[1].1["metadata"]["resourceVersion"], "8");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_or_hangs_is_left_alone_for_longer_each_time() {
    let mut world = World::new();
    world.server.answers(None);
    world.writer.look().await;
    assert_eq!(world.server.calls().len(), 1);
    world.server.answers(Some(500));
    let mut tried = Vec::new();
    for look in 0..64 {
        world.writer.look().await;
        if !world.server.calls().is_empty() {
            tried.push(look);
        }
    }
    assert_eq!(tried, [1, 4, 9, 18, 35, 60]);
    assert_eq!(world.written(), (0, 0, 7));
}
