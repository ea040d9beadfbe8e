//! The body of a request on its way from the client to a resource: streamed, and kept while it is small so that it can
//! be sent once more.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::entry::count::{Counter, Format};

/// Bytes that all requests of a process keep together, and the most of it.
#[derive(Debug)]
pub(super) struct Keeping {
    used: AtomicUsize,
    most: usize,
    /// Of one request.
    most_each: usize,
}

/// A request's body, read by one attempt at a time.
#[derive(Clone, Debug)]
pub(crate) struct Source(Arc<Mutex<State>>);

/// What one attempt sends: what was kept, then what still comes.
#[derive(Debug)]
pub(crate) struct Sending {
    source: Source,
    attempt: u32,
    position: usize,
}

/// How far a body is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// When a byte went from the client to the resource last.
    pub(crate) at: Instant,
    /// Bytes that came from the client so far.
    pub(crate) bytes: u64,
    /// Who is waited for now.
    pub(crate) waiting: Waiting,
}

/// Who is waited for while a body is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The client, to send more.
    Client,
    /// The resource, to take what there is or to answer.
    Resource,
}

#[derive(Debug)]
struct State {
    /// None where all that there is was kept from the start.
    incoming: Option<Incoming>,
    keeping: Arc<Keeping>,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// Not all of it is kept.
    lost: bool,
    ended: bool,
    starved: bool,
    attempt: u32,
    progress: Instant,
    /// What came so far, and the entries in it where it is a batch.
    bytes: u64,
    counter: Option<Counter>,
}

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the client did not send its whole body: {0}")]
    Client(#[from] hyper::Error),
    #[error("a newer attempt sends this body")]
    Superseded,
}

impl Keeping {
    pub(super) fn new(most: usize, most_each: usize) -> Self {
        Self { used: AtomicUsize::new(0), most, most_each }
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.most;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Source {
    /// A body; it is kept only if it is `wanted`, and counted if it is a batch.
    pub(super) fn new(
        incoming: Incoming,
        wanted: bool,
        keeping: &Arc<Keeping>,
        batch: Option<Format>,
    ) -> Self {
        Self(Arc::new(Mutex::new(State {
            incoming: Some(incoming),
            keeping: Arc::clone(keeping),
            kept: Vec::new(),
            kept_bytes: 0,
            lost: !wanted,
            ended: false,
            starved: false,
            attempt: 0,
            progress: Instant::now(),
            bytes: 0,
            counter: batch.map(Counter::new),
        })))
    }

    /// The body for another attempt; earlier ones get no more of it.
    pub(crate) fn attempt(&self) -> Sending {
        let mut state = self.state();
        state.attempt += 1;
        Sending { source: self.clone(), attempt: state.attempt, position: 0 }
    }

    /// Whether another attempt would send all of it.
    pub(super) fn is_whole(&self) -> bool {
        !self.state().lost
    }

    /// Bytes of the body, if it has come to its end and all of it is still there.
    pub(crate) fn length(&self) -> Option<usize> {
        let state = self.state();
        (state.is_over() && !state.lost).then_some(state.kept_bytes)
    }

    /// The same body once more, in a piece of memory that holds nothing else and is counted by nobody here; none
    /// unless it has a [`Self::length`].
    pub(crate) fn copy(&self) -> Option<Self> {
        let length = self.length()?;
        let state = self.state();
        let mut whole = BytesMut::with_capacity(length);
        state.kept.iter().for_each(|piece| whole.extend_from_slice(piece));
        Some(Self(Arc::new(Mutex::new(State {
            bytes: 0,
            counter: None,
            incoming: None,
            keeping: Arc::clone(&state.keeping),
            kept: if whole.is_empty() { Vec::new() } else { vec![whole.freeze()] },
            kept_bytes: 0,
            lost: false,
            ended: true,
            starved: false,
            attempt: 0,
            progress: state.progress,
        }))))
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        let state = self.state();
        let client = state.starved && !state.ended;
        let waiting = if client { Waiting::Client } else { Waiting::Resource };
        Progress { at: state.progress, bytes: state.bytes, waiting }
    }

    /// Its length and, of a batch, its entries, once all of it has passed.
    pub(super) fn measured(&self) -> Option<(u64, Option<u64>)> {
        let state = self.state();
        let entries = state.counter.as_ref().map(Counter::entries);
        state.is_over().then_some((state.bytes, entries))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.ended || self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn take_in(&mut self, data: &Bytes) {
        self.bytes += data.len() as u64;
        if let Some(counter) = &mut self.counter {
            counter.push(data);
        }
        self.keep(data);
    }

    fn keep(&mut self, data: &Bytes) {
        if self.lost {
            return;
        }
        let fits = self.kept_bytes + data.len() <= self.keeping.most_each;
        if fits && self.keeping.take(data.len()) {
            self.kept_bytes += data.len();
            self.kept.push(data.clone());
        } else {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.kept = Vec::new();
        self.keeping.give_back(std::mem::take(&mut self.kept_bytes));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.lose();
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let source = self.source.clone();
        let state = &mut *source.state();
        if state.attempt != self.attempt {
            return Poll::Ready(Some(Err(Error::Superseded)));
        }
        if let Some(kept) = state.kept.get(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        let Some(incoming) = &mut state.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        state.starved = polled.is_pending();
        match std::task::ready!(polled) {
            Some(Ok(frame)) => {
                state.progress = Instant::now();
                match frame.data_ref() {
                    Some(data) => {
                        state.take_in(data);
                        self.position += 1;
                    }
                    // Trailers pass, and are not sent twice.
                    None => state.lose(),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                state.lose();
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                state.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.source.state();
        state.kept.len() <= self.position && state.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        // The length that the client told is in the head; without one the body goes in chunks.
        let state = self.source.state();
        if self.position == 0 && state.kept.is_empty() {
            state.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
        } else {
            SizeHint::default()
        }
    }
}
