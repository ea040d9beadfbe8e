//! One entry: assigned, sent, tried elsewhere where that loses and doubles nothing, and answered.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request, response,
};
use hyper::body::{Body, Incoming};
use tracing::debug;

use super::{
    Worker,
    access::Line,
    answer::{self, Answer, Rest},
    headers::{self, ENTRY_ID},
    pool::Connection,
    source::{Source, Waiting},
    verdict,
};
use crate::{
    assigner::{Assigner, Choice, Entry, Held, Outcome, Refusal},
    entry::{class, count::Format, trace::Trace},
    shadow::Draft,
    snapshot::Protocol,
};

/// Resources that one entry is sent to at most.
const MOST_ATTEMPTS: usize = 3;

/// How a client is asked to wait when nobody can take its entry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of an attempt.
enum Attempt {
    /// The resource answered.
    Answered(Response<Incoming>, Connection),
    /// Nothing was sent; the head is still here.
    Unsent(request::Parts, String),
    /// It may have been sent.
    Broken(String),
    /// The resource took too long.
    Late,
    /// The client took too long.
    ClientLate,
}

/// Answers a request.
pub(super) async fn forward(worker: &Arc<Worker>, request: Request<Incoming>) -> Response<Answer> {
    let Some(assigner) = worker.route_of(&request) else {
        return answer::own(StatusCode::NOT_FOUND, "no route of this router has this host\n".into(), None);
    };
    worker.budget().entry();
    let (mut head, body) = request.into_parts();
    if headers::size(&head) > worker.limits.head_bytes {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let mut answer = answer::own(status, "the head is too long\n".into(), None);
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return answer;
    }
    let class = class::of(&head, &assigner.classify()).into_owned();
    let bytes = length(&head.headers, &body);
    let format = Format::of(&head);
    let trace = Trace::of(&head.headers);
    let is_call = headers::is_call(&head);
    headers::strip_request(&mut head);
    let safe = is_safe_to_repeat(&head);
    let id = entry_id(&mut head.headers, worker);
    let again = safe.then(|| head.clone());
    let entry =
        Entry { id: id.to_str().unwrap_or_default(), class: &class, bytes, batch: format.is_some(), trace };
    let copied = assigner.may_copy(entry.id);
    let source = Source::new(body, safe || copied, &worker.keeping, format);
    let line = worker.sampling.line(&entry);
    let mut exchange = Exchange { worker, assigner: &assigner, entry, copied, source, is_call, line };
    let answer = exchange.run(head, again).await;
    exchange.tell(answer.status());
    answer
}

struct Exchange<'a> {
    worker: &'a Arc<Worker>,
    assigner: &'a Assigner,
    entry: Entry<'a>,
    /// It may be among those that are copied for an alternate.
    copied: bool,
    source: Source,
    /// By gRPC, which is HTTP/2 whatever is known of the resource.
    is_call: bool,
    line: Option<Box<Line>>,
}

impl Exchange<'_> {
    async fn run(&mut self, head: request::Parts, again: Option<request::Parts>) -> Response<Answer> {
        let mut tried = Vec::new();
        let mut next = Some(head);
        let mut attempts = 0;
        let mut why = String::new();
        while let Some(head) = next.take() {
            let (choice, mut held) = match self.assigner.assign(&self.entry, &tried, None) {
                Ok(assigned) => assigned,
                Err(refusal) => return refused(refusal),
            };
            attempts += 1;
            if let Some(line) = &mut self.line {
                line.assigned(&choice);
            }
            let more = attempts < MOST_ATTEMPTS;
            let resource = &choice.resource;
            let copy = (self.copied && attempts == 1).then(|| Draft::of(&held, &self.entry, &head)).flatten();
            let attempt = self.attempt(&choice, head).await;
            if let Some(copy) = copy {
                copy.follow(&mut held, &self.source, &self.worker.copies);
            }
            match attempt {
                Attempt::Answered(answered, connection) => {
                    let (answered, body) = answered.into_parts();
                    if verdict::turned_away(&answered) && more && self.may_repeat(again.as_ref()) {
                        held.finish(Outcome::Failed);
                        why = format!("resource {resource} answered {}", answered.status);
                        next.clone_from(&again);
                    } else {
                        return self.relay(answered, body, connection, held);
                    }
                }
                Attempt::Unsent(head, error) => {
                    held.finish(Outcome::Unreachable);
                    why = format!("resource {resource}: {error}");
                    next = (more && self.worker.budget().retry()).then_some(head);
                }
                Attempt::Broken(error) => {
                    held.finish(Outcome::Failed);
                    why = format!("resource {resource}: {error}");
                    next = again.clone().filter(|_| more && self.may_repeat(again.as_ref()));
                }
                Attempt::Late => {
                    held.finish(Outcome::Failed);
                    debug!(id = self.entry.id, %resource, "no answer in time");
                    return answer::own(
                        StatusCode::GATEWAY_TIMEOUT,
                        format!("resource {resource} did not answer in time\n"),
                        None,
                    );
                }
                Attempt::ClientLate => {
                    drop(held);
                    return answer::own(
                        StatusCode::REQUEST_TIMEOUT,
                        "the body did not come in time\n".into(),
                        None,
                    );
                }
            }
            if next.is_some() {
                self.worker.figures.retries.fetch_add(1, Ordering::Relaxed);
            }
            debug!(id = self.entry.id, why, again = next.is_some(), "an attempt failed");
            tried.push(choice.place);
        }
        // Not acknowledged, so whoever sent it still has it.
        answer::own(
            StatusCode::BAD_GATEWAY,
            format!("the entry was not acknowledged: {why}\n"),
            Some(RETRY_AFTER),
        )
    }

    async fn attempt(&self, choice: &Choice, mut head: request::Parts) -> Attempt {
        let (pool, limits) = (&self.worker.pool, &self.worker.limits);
        let protocol = if self.is_call { Protocol::Http2 } else { choice.protocol };
        headers::speak(&mut head, protocol);
        loop {
            let mut connection = match pool.get(choice.endpoint, protocol, limits.connect).await {
                Ok(connection) => connection,
                Err(error) => return Attempt::Unsent(head, error.to_string()),
            };
            let request = Request::from_parts(head, self.source.attempt());
            let sent = self.in_time(connection.send(request)).await;
            match sent {
                Ok(Ok(answered)) => return Attempt::Answered(answered, connection),
                Ok(Err(mut error)) => {
                    pool.give_up(&connection);
                    match error.take_message() {
                        // A connection that waited was closed from the other end meanwhile: there are others.
                        Some(unsent) if connection.reused => head = unsent.into_parts().0,
                        Some(unsent) => {
                            return Attempt::Unsent(unsent.into_parts().0, error.error().to_string());
                        }
                        None => return Attempt::Broken(error.error().to_string()),
                    }
                }
                Err(Waiting::Resource) => {
                    pool.give_up(&connection);
                    return Attempt::Late;
                }
                Err(Waiting::Client) => return Attempt::ClientLate,
            }
        }
    }

    /// Waits as long as the body moves, and fast enough, then as long as an answer may take.
    async fn in_time<T>(&self, answered: impl Future<Output = T>) -> Result<T, Waiting> {
        let longest = self.worker.limits.answer;
        let began = Instant::now();
        let mut until = began + longest;
        let mut seen = (began, self.source.progress().bytes);
        let mut answered = pin!(answered);
        let mut deadline = self.worker.timers.at(until);
        loop {
            match select(answered.as_mut(), &mut deadline).await {
                Either::Left((answered, _)) => return Ok(answered),
                Either::Right(_) => {
                    let progress = self.source.progress();
                    let later = progress.at.max(began) + longest;
                    if later <= until
                        || (progress.waiting == Waiting::Client && self.drips(seen, progress.bytes))
                    {
                        return Err(progress.waiting);
                    }
                    seen = (until, progress.bytes);
                    until = later;
                    deadline.move_to(until);
                }
            }
        }
    }

    /// Whether a body of a known length came more slowly than it must since it was looked at last. A stream without one
    /// may be slow by nature.
    fn drips(&self, (at, before): (Instant, u64), bytes: u64) -> bool {
        let least = self.worker.limits.body_rate as f64 * at.elapsed().as_secs_f64();
        self.entry.bytes.is_some() && !self.is_call && ((bytes - before) as f64) < least
    }

    /// Tells of an entry that the router answered itself.
    fn tell(&mut self, status: StatusCode) {
        if let Some(mut line) = self.line.take() {
            line.answered(status);
            let ended =
                if status == StatusCode::REQUEST_TIMEOUT { Outcome::Cancelled } else { Outcome::Failed };
            line.ended(ended, None);
        }
    }

    fn may_repeat(&self, again: Option<&request::Parts>) -> bool {
        again.is_some() && self.source.is_whole() && self.worker.budget().retry()
    }

    fn relay(
        &mut self,
        mut head: response::Parts,
        body: Incoming,
        connection: Connection,
        held: Held,
    ) -> Response<Answer> {
        headers::strip(&mut head.headers);
        head.version = Version::HTTP_11;
        let outcome = verdict::of(&head);
        let mut line = self.line.take();
        if let Some(line) = &mut line {
            line.answered(head.status);
        }
        let rest = Rest {
            connection,
            pool: self.worker.pool.clone(),
            held,
            outcome,
            source: self.source.clone(),
            line,
        };
        Response::from_parts(head, Answer::relayed(body, rest, self.worker.limits.answer))
    }
}

/// Whether sending it twice does no more than sending it once: by its method, or since a resource can tell by the
/// client's own id that it is the same entry.
fn is_safe_to_repeat(head: &request::Parts) -> bool {
    head.headers.contains_key(ENTRY_ID)
        || matches!(head.method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS)
}

fn entry_id(headers: &mut HeaderMap, worker: &Worker) -> HeaderValue {
    if let Some(id) = headers.get(ENTRY_ID) {
        return id.clone();
    }
    let id = worker.next_id();
    headers.insert(ENTRY_ID, id.clone());
    id
}

fn length(headers: &HeaderMap, body: &Incoming) -> Option<u64> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    told.or_else(|| body.size_hint().exact())
}

fn refused(refusal: Refusal) -> Response<Answer> {
    let status = match refusal {
        Refusal::NoEndpoint => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
    };
    answer::own(status, format!("{refusal}\n"), Some(RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_repeated_only_under_an_id_that_the_client_gave() {
        let head = |request: http::request::Builder| request.body(()).unwrap().into_parts().0;
        assert!(!is_safe_to_repeat(&head(Request::post("/"))));
        assert!(is_safe_to_repeat(&head(Request::post("/").header("X-Entry-Id", "1"))));
        assert!(is_safe_to_repeat(&head(Request::get("/"))));
    }
}
