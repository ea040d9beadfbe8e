//! One copy: sent, its answer read to the end and thrown away.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout_at;

use super::{Dropped, Figures, queue::Copy};
use crate::{
    assigner::Outcome,
    proxy::{
        headers,
        pool::{self, Pool},
        verdict,
    },
    snapshot::Protocol,
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) connect: Duration,
    /// As for an entry; the engine's patience may be shorter.
    pub(super) answer: Duration,
    /// In the queue.
    pub(super) wait: Duration,
}

/// Why a copy was not acknowledged.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Connection(#[from] pool::Error),
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
    #[error("the alternate did not answer in time")]
    Late,
    #[error("the alternate did not acknowledge it")]
    Verdict,
}

/// Sends a copy, unless it is too late for it, and tells the assigner what became of it.
pub(super) async fn send(mut copy: Copy, pool: Pool, times: Times, figures: &Figures) {
    if copy.since.elapsed() > times.wait {
        return figures.drop_one(Dropped::Late);
    }
    if !copy.copying.start() {
        return figures.drop_one(Dropped::Room);
    }
    let taken = exchange(&copy, &pool, times).await.map_err(|error| match error {
        Error::Connection(_) => Outcome::Unreachable,
        Error::Exchange(_) | Error::Late | Error::Verdict => Outcome::Failed,
    });
    copy.copying.finish(copy.original, taken);
}

/// The time to the head of the answer, if that is an acknowledgement and all of the answer comes.
async fn exchange(copy: &Copy, pool: &Pool, times: Times) -> Result<Duration, Error> {
    let endpoint = copy.copying.endpoint();
    let protocol = if headers::is_call(&copy.head) { Protocol::Http2 } else { copy.copying.protocol() };
    let patience = copy.copying.patience(copy.original).min(times.answer);
    let until = tokio::time::Instant::now() + patience;
    loop {
        let mut connection = pool.get(endpoint, protocol, times.connect.min(patience)).await?;
        let mut head = copy.head.clone();
        headers::speak(&mut head, protocol);
        let request = Request::from_parts(head, copy.body.attempt());
        let began = Instant::now();
        match timeout_at(until, connection.send(request)).await {
            Ok(Ok(answer)) => {
                let latency = began.elapsed();
                let (head, body) = answer.into_parts();
                let outcome = timeout_at(until, at_its_end(body, verdict::of(&head))).await;
                let outcome = outcome.map_err(|_| Error::Late)??;
                pool.give_back(connection);
                return if outcome == Outcome::Acknowledged { Ok(latency) } else { Err(Error::Verdict) };
            }
            Ok(Err(mut error)) => {
                pool.give_up(&connection);
                // A connection that waited was closed from the other end meanwhile: there are others.
                let unsent = connection.reused && error.take_message().is_some();
                if !unsent {
                    return Err(error.into_error().into());
                }
            }
            Err(_) => {
                pool.give_up(&connection);
                return Err(Error::Late);
            }
        }
    }
}

/// What an answer tells once all of it has come: with gRPC its trailers have the last word.
async fn at_its_end(mut body: Incoming, mut outcome: Outcome) -> Result<Outcome, hyper::Error> {
    while let Some(frame) = body.frame().await {
        if let Some(told) = frame?.trailers_ref().and_then(verdict::of_call) {
            outcome = told;
        }
    }
    Ok(outcome)
}
