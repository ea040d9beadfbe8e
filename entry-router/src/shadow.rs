//! Shadow copies: entries that an alternate works on for show, to be warmed and to be tried before it gets any.
//!
//! The assigner orders a copy when it gives an entry to the lead; a [`Draft`] goes along with the entry and keeps what
//! the copy needs; once the lead has answered, the copy waits in the [`Queue`] and is sent by a thread of its own, on
//! connections of its own. Nothing here is ever waited for by an entry: whatever does not fit is dropped and counted.

mod draft;
mod mark;
mod queue;
mod send;
mod thread;

use std::{
    sync::atomic::{AtomicU64, AtomicUsize},
    time::Duration,
};

pub(crate) use draft::Draft;
pub use mark::Mark;
pub(crate) use queue::Queue;
pub(crate) use thread::start;

/// Bounds of all copies of a process. A single body is bounded by what is kept for a retry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Copies that wait to be sent.
    pub waiting: usize,
    /// Copies under way.
    pub under_way: usize,
    /// Bytes of the bodies of all of them.
    pub bytes: usize,
    /// A copy that has waited for longer is not sent any more.
    pub longest_wait: Duration,
}

/// Why a copy that was ordered is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Its body was not kept: too long, not at its end when the answer came, or with trailers.
    Body,
    /// The bodies of all copies together would be too many bytes.
    Bytes,
    /// Too many wait.
    Queue,
    /// It waited for too long.
    Late,
    /// The alternate has no room any more.
    Room,
}

/// What becomes of copies on their way to the alternates; what the alternates do with them is counted by the assigner.
#[derive(Debug, Default)]
pub struct Figures {
    /// Copies that were not sent, in the order of [`Dropped::ALL`].
    pub dropped: [AtomicU64; Dropped::ALL.len()],
    /// Bytes of bodies now.
    pub bytes: AtomicUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 256, under_way: 64, bytes: 16 << 20, longest_wait: Duration::from_secs(1) }
    }
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Body, Self::Bytes, Self::Queue, Self::Late, Self::Room];

    /// For labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Bytes => "bytes",
            Self::Queue => "queue",
            Self::Late => "late",
            Self::Room => "room",
        }
    }
}

impl Figures {
    fn drop_one(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}
