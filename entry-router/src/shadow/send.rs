//! One copy: sent, its answer read to the end and thrown away.

use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Dropped, Figures, queue::Copy};
use crate::{
    assigner::Outcome,
    proxy::{
        headers,
        pool::{self, Pool},
        verdict,
    },
    standing::Protocol,
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
    #[error("the alternate answered {0}")]
    Status(StatusCode),
}

/// Sends a copy, unless it is too late for it, and tells the assigner what became of it.
pub(super) async fn send(mut copy: Copy, pool: Pool, times: Times, figures: &Figures) {
    if copy.since.elapsed() > times.wait {
        return figures.drop_one(Dropped::Late);
    }
    if !copy.copying.start() {
        return figures.drop_one(Dropped::Room);
    }
    let patience = copy.copying.patience(copy.original).min(times.answer);
    let answered = tokio::time::timeout(patience, exchange(&copy, &pool, times.connect)).await;
    let taken = match answered {
        Ok(Ok(latency)) => Ok(latency),
        Ok(Err(Error::Connection(_))) => Err(Outcome::Unreachable),
        Ok(Err(Error::Exchange(_) | Error::Status(_))) | Err(_) => Err(Outcome::Failed),
    };
    copy.copying.finish(copy.original, taken);
}

/// The time to the head of the answer, if that is an acknowledgement and all of the answer comes.
async fn exchange(copy: &Copy, pool: &Pool, connect: Duration) -> Result<Duration, Error> {
    let endpoint = copy.copying.endpoint();
    loop {
        let mut connection = pool.get(endpoint, Protocol::Http1, connect).await?;
        let mut head = copy.head.clone();
        headers::speak(&mut head, Protocol::Http1);
        let request = Request::from_parts(head, copy.body.attempt());
        let began = Instant::now();
        match connection.send(request).await {
            Ok(answer) => {
                let latency = began.elapsed();
                let (head, body) = answer.into_parts();
                discard(body).await?;
                pool.give_back(connection);
                return match verdict::of(&head) {
                    Outcome::Acknowledged => Ok(latency),
                    _ => Err(Error::Status(head.status)),
                };
            }
            Err(mut error) => {
                // A connection that waited was closed from the other end meanwhile: there are others.
                let unsent = connection.reused && error.take_message().is_some();
                if !unsent {
                    return Err(error.into_error().into());
                }
            }
        }
    }
}

async fn discard(mut body: Incoming) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}
