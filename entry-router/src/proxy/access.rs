//! The access log: a line for each entry, or for a part of them, written when its answer has been passed on.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::StatusCode;
use tracing::info;

use crate::{
    assigner::{Choice, Entry, Outcome, Reason},
    entry::trace::Trace,
};

/// What a log filter calls it.
pub const TARGET: &str = "access";

/// One in these is the finest sampling.
const WHOLE: u64 = 1 << 32;

/// Which entries are told of: evenly spread over all.
#[derive(Debug)]
pub(super) struct Sampling {
    step: u64,
    sum: AtomicU64,
}

/// What is told of one entry. Dropped, it is written, so that one whose client went away is told of, too.
#[derive(Debug)]
pub(super) struct Line {
    began: Instant,
    id: String,
    class: String,
    trace: Option<Trace>,
    bytes: Option<u64>,
    entries: Option<u64>,
    attempts: u32,
    chosen: Option<(Arc<str>, SocketAddr, Reason, f64)>,
    status: Option<StatusCode>,
    outcome: Outcome,
}

impl Sampling {
    /// `part` of the entries, 0 to 1.
    pub(super) fn new(part: f64) -> Self {
        Self { step: (part.clamp(0.0, 1.0) * WHOLE as f64) as u64, sum: AtomicU64::new(0) }
    }

    /// A line for this entry, if it is one of those.
    pub(super) fn line(&self, entry: &Entry<'_>) -> Option<Box<Line>> {
        (self.step > 0 && self.takes()).then(|| Box::new(Line::new(entry)))
    }

    fn takes(&self) -> bool {
        let before = self.sum.fetch_add(self.step, Ordering::Relaxed);
        before / WHOLE != before.wrapping_add(self.step) / WHOLE
    }
}

impl Line {
    fn new(entry: &Entry<'_>) -> Self {
        Self {
            began: Instant::now(),
            id: entry.id.to_owned(),
            class: entry.class.to_owned(),
            trace: entry.trace,
            bytes: entry.bytes,
            entries: None,
            attempts: 0,
            chosen: None,
            status: None,
            outcome: Outcome::Cancelled,
        }
    }

    pub(super) fn assigned(&mut self, choice: &Choice) {
        self.attempts += 1;
        self.chosen = Some((Arc::clone(&choice.resource), choice.endpoint, choice.reason, choice.impact));
    }

    /// The client is answered this.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// All is over; `measured` are the length and, of a batch, the entries of a body that passed whole.
    pub(super) fn ended(&mut self, outcome: Outcome, measured: Option<(u64, Option<u64>)>) {
        self.outcome = outcome;
        if let Some((bytes, entries)) = measured {
            (self.bytes, self.entries) = (Some(bytes), Some(entries.unwrap_or(1)));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let chosen = self.chosen.as_ref();
        info!(
            target: TARGET,
            id = self.id,
            trace = self.trace.map(tracing::field::display),
            class = self.class,
            bytes = self.bytes,
            entries = self.entries,
            resource = chosen.map(|(resource, ..)| &**resource),
            endpoint = chosen.map(|(_, endpoint, ..)| tracing::field::display(endpoint)),
            reason = chosen.map(|(_, _, reason, _)| tracing::field::display(reason)),
            impact = chosen.map(|(.., impact)| impact),
            attempts = self.attempts,
            status = self.status.map(|status| status.as_u16()),
            outcome = self.outcome.name(),
            seconds = self.began.elapsed().as_secs_f64(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_told_of_as_were_asked_for_and_evenly() {
        for (part, expected) in [(0.0, 0), (0.01, 10), (0.5, 500), (1.0, 1000), (7.0, 1000)] {
            let sampling = Sampling::new(part);
            let entry = Entry::default();
            let told = |count: usize| (0..count).filter(|_| sampling.line(&entry).is_some()).count();
            let (first, rest) = (told(500), told(500));
            assert!(
                (first + rest).abs_diff(expected) <= 1 && first.abs_diff(rest) <= 1,
                "{part}: {first} {rest}"
            );
        }
    }
}
