//! A small API server in memory: stores objects by path, answers as told, so that tests assert on the end state.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use foreshift_node_agent::backpressure::Backpressure;
use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::Layer;

/// Path of the persona that the tests publish.
pub(crate) const PERSONA: &str = "/apis/foreshift.dev/v1alpha1/resourcepersonas/n1";

/// What the next call gets instead of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A status code with the body that an API server sends.
    Status(u16),
    /// It has too much to do and asks to be left alone for so many seconds, in plain text, as its fair queues do.
    Busy(u64),
    /// No answer, ever.
    Hang,
}

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    faults: VecDeque<Fault>,
    calls: Vec<(Instant, String)>,
}

impl Server {
    pub(crate) fn client(&self) -> Client {
        self.heeding(&Backpressure::default())
    }

    /// A client that is made as the agent's.
    pub(crate) fn heeding(&self, backpressure: &Backpressure) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Client::new(backpressure.layer(service), "default")
    }

    /// The next calls fail like this, in turn.
    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.state().faults.extend(faults);
    }

    /// No call fails any more.
    pub(crate) fn recover(&self) {
        self.state().faults.clear();
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state().objects.insert(path.to_owned(), object);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.state().objects.remove(path);
    }

    /// Method and path of every call so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state().calls.iter().map(|(_, call)| call.clone()).collect()
    }

    /// Seconds since `start` of every call so far.
    pub(crate) fn called_after(&self, start: Instant) -> Vec<f64> {
        self.state().calls.iter().map(|(at, _)| (*at - start).as_secs_f64()).collect()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let sent = body.collect_bytes().await.expect("a body in memory is whole");
        let sent: Value = serde_json::from_slice(&sent).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let fault = {
            let mut state = self.state();
            state.calls.push((Instant::now(), format!("{} {path}", parts.method)));
            state.faults.pop_front()
        };
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Status(code)) => Ok(failure(code)),
            Some(Fault::Busy(seconds)) => Ok(busy(seconds)),
            // Nothing changes in the tests of watches but by what is listed.
            None if parts.uri.query().is_some_and(|query| query.contains("watch=")) => {
                std::future::pending().await
            }
            None if parts.method == Method::PATCH => Ok(self.state().apply(&path, &sent)),
            None => Ok(self.state().find(&path)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the state")
    }
}

impl State {
    /// Server-side apply of whole fields: enough where one manager writes each of them.
    fn apply(&mut self, path: &str, sent: &Value) -> Response<Body> {
        let (path, of_status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        if !of_status || self.objects.contains_key(path) {
            let object = self.objects.entry(path.to_owned()).or_insert_with(|| json!({}));
            for (field, value) in sent.as_object().into_iter().flatten() {
                if of_status == (field == "status") || field == "metadata" && !of_status {
                    object[field] = value.clone();
                }
            }
        }
        self.find(path)
    }

    /// An object, or the list of those below a path; what neither is does not exist.
    fn find(&self, path: &str) -> Response<Body> {
        if let Some(object) = self.objects.get(path) {
            return answer(200, object);
        }
        let below =
            |(key, object): (&String, &Value)| key.starts_with(&format!("{path}/")).then(|| object.clone());
        let items: Vec<Value> = self.objects.iter().filter_map(below).collect();
        if items.is_empty() {
            return failure(404);
        }
        let list =
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
        answer(200, &list)
    }
}

fn failure(code: u16) -> Response<Body> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code,
    });
    answer(code, &status)
}

fn busy(seconds: u64) -> Response<Body> {
    let answer = Response::builder().status(429).header("Retry-After", seconds.to_string());
    let told = "Too many requests, please try again later.\n";
    answer.body(Body::from(told.as_bytes().to_vec())).expect("code and body are sound")
}

fn answer(code: u16, body: &Value) -> Response<Body> {
    let body = serde_json::to_vec(body).expect("JSON can be written");
    Response::builder().status(code).body(Body::from(body)).expect("code and body are sound")
}
