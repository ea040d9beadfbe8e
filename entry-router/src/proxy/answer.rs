//! The answer on its way to the client: what a resource said, or what the router says itself.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{
    access::Line,
    pool::{Connection, Pool},
    source::Source,
    verdict,
};
use crate::assigner::{Held, Outcome};

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// From a resource.
    Resource(Box<Relayed>),
    /// From the router; empty when it was sent.
    Own(Option<Bytes>),
}

/// An answer of a resource. The entry is under way, and its connection taken, until all of it was passed on.
#[derive(Debug)]
pub(super) struct Relayed {
    body: Incoming,
    rest: Option<Rest>,
    longest_wait: Duration,
    wait: Option<Pin<Box<Sleep>>>,
}

/// What happens at the end.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) connection: Connection,
    pub(super) pool: Pool,
    pub(super) held: Held,
    pub(super) outcome: Outcome,
    pub(super) source: Source,
    pub(super) line: Option<Box<Line>>,
}

/// Why an answer ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the resource did not send its whole answer: {0}")]
    Resource(#[from] hyper::Error),
    #[error("the resource sent nothing for too long")]
    TimedOut,
}

impl Answer {
    pub(super) fn relayed(body: Incoming, rest: Rest, longest_wait: Duration) -> Self {
        Self::Resource(Box::new(Relayed { body, rest: Some(rest), longest_wait, wait: None }))
    }
}

impl Relayed {
    fn complete(&mut self) {
        if let Some(Rest { connection, pool, mut held, outcome, source, mut line }) = self.rest.take() {
            pool.give_back(connection);
            let measured = source.measured();
            if let Some((bytes, entries)) = measured {
                held.measured(bytes, entries);
            }
            held.finish(outcome);
            if let Some(line) = &mut line {
                line.ended(outcome, measured);
            }
        }
    }

    fn broken(&mut self) {
        if let Some(Rest { held, mut line, .. }) = self.rest.take() {
            held.finish(Outcome::Failed);
            if let Some(line) = &mut line {
                line.ended(Outcome::Failed, None);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.wait = None;
                if let (Some(trailers), Some(rest)) = (frame.trailers_ref(), &mut self.rest) {
                    rest.outcome = verdict::of_call(trailers).unwrap_or(rest.outcome);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.broken();
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            // Most answers are there as soon as their head is, and need no timer.
            Poll::Pending => {
                let longest = self.longest_wait;
                let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(longest)));
                std::task::ready!(wait.as_mut().poll(cx));
                self.broken();
                Poll::Ready(Some(Err(Error::TimedOut)))
            }
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        // Whoever sends it looks for the end before the last poll that would tell it.
        if self.body.is_end_stream() {
            self.complete();
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Resource(relayed) => relayed.poll(cx),
            Self::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Resource(relayed) => relayed.body.is_end_stream(),
            Self::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Resource(relayed) => relayed.body.size_hint(),
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}

/// An answer of the router itself; where waiting helps, it says how long.
pub(super) fn own(status: StatusCode, text: String, retry_after: Option<Duration>) -> Response<Answer> {
    let mut answer = Response::new(Answer::Own(Some(Bytes::from(text))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some(after) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    answer
}
