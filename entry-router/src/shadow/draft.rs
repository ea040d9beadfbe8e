//! A copy while its original is on its way.

use std::time::Instant;

use http::request;

use super::{
    Dropped, Queue,
    queue::{Copy, Reserved},
};
use crate::{
    assigner::{Copying, Entry, Held, Outcome},
    proxy::source::Source,
};

/// A copy that was ordered for an entry, with the entry's head.
#[derive(Debug)]
pub(crate) struct Draft {
    copying: Copying,
    head: request::Parts,
}

impl Draft {
    /// A copy of the entry that is held, if there shall be one.
    pub(crate) fn of(held: &Held, entry: &Entry<'_>, head: &request::Parts) -> Option<Self> {
        Some(Self { copying: held.copy(entry)?, head: head.clone() })
    }

    /// The resource has answered, or has not in time: takes the body along, and waits for the end of the entry. Only
    /// the end says whether the entry was acknowledged.
    pub(crate) fn follow(mut self, held: &mut Held, source: &Source, queue: &Queue) {
        // From the last byte of the body to the head of the answer: neither side of it depends on the client.
        let answered = Instant::now();
        let latency = answered.saturating_duration_since(source.progress().at);
        let Some((body, reserved)) = body(source, queue) else { return };
        self.copying.mark().put(&mut self.head.headers);
        let Self { copying, head } = self;
        let queue = queue.clone();
        held.then(move |outcome| {
            let original = match outcome {
                Outcome::Acknowledged => Some(latency.as_secs_f64()),
                Outcome::Failed | Outcome::Unreachable => None,
                // The entry's or the client's fault: there is nothing to compare with.
                Outcome::Refused | Outcome::Cancelled => return,
            };
            // Its answer was a long stream, which nobody would wait for a second time.
            if answered.elapsed() > copying.patience(original) {
                return;
            }
            queue.offer(Copy { copying, head, body, original, since: Instant::now(), _reserved: reserved });
        });
    }
}

fn body(source: &Source, queue: &Queue) -> Option<(Source, Reserved)> {
    let Some(length) = source.length() else {
        queue.dropped(Dropped::Body);
        return None;
    };
    let reserved = queue.reserve(length)?;
    Some((source.copy()?, reserved))
}
