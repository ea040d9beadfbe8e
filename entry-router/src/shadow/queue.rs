//! Where copies wait to be sent: bounded in number and in bytes, and never waited for.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use http::request;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Dropped, Figures, Limits};
use crate::{assigner::Copying, proxy::source::Source};

/// A copy that is ready to be sent. What it holds is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) copying: Copying,
    pub(super) head: request::Parts,
    pub(super) body: Source,
    /// Seconds to the acknowledgement of the original, `None` if it failed.
    pub(super) original: Option<f64>,
    pub(super) since: Instant,
    pub(super) _reserved: Reserved,
}

/// Bytes that were set aside for a body.
#[derive(Debug)]
pub(super) struct Reserved {
    bytes: usize,
    figures: Arc<Figures>,
}

/// The end at which copies come in; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    copies: Sender<Copy>,
    most_bytes: usize,
    figures: Arc<Figures>,
}

impl Queue {
    pub(super) fn new(limits: Limits, figures: &Arc<Figures>) -> (Self, Receiver<Copy>) {
        let (copies, receiver) = mpsc::channel(limits.waiting.max(1));
        (Self { copies, most_bytes: limits.bytes, figures: Arc::clone(figures) }, receiver)
    }

    /// Sets bytes aside, unless that would be too many.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let before = self.figures.bytes.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Reserved { bytes, figures: Arc::clone(&self.figures) };
        if before.saturating_add(bytes) > self.most_bytes {
            self.dropped(Dropped::Bytes);
            return None;
        }
        Some(reserved)
    }

    /// Lets a copy in, or drops it.
    pub(super) fn offer(&self, copy: Copy) {
        if self.copies.try_send(copy).is_err() {
            self.dropped(Dropped::Queue);
        }
    }

    pub(super) fn dropped(&self, why: Dropped) {
        self.figures.drop_one(why);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.figures.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let figures = Arc::new(Figures::default());
        let (queue, _receiver) = Queue::new(Limits { bytes: 100, ..Limits::default() }, &figures);
        let first = queue.reserve(60);
        assert!(first.is_some() && queue.reserve(41).is_none());
        assert!(queue.reserve(40).is_some());
        drop(first);
        assert!(queue.reserve(100).is_some());
        assert_eq!(figures.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(figures.dropped[Dropped::Bytes as usize].load(Ordering::Relaxed), 1);
    }
}
