//! What is kept of decisions: the last ones for people, sums and times for metrics.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use foreshift_engine::assign;
use serde::{Serialize, Serializer};

use super::Outcome;
use crate::entry::trace::Trace;

/// Decisions kept.
const KEPT: usize = 256;

/// Bytes of an entry's id that are kept.
const ID: usize = 40;

/// Times are told apart in eighths of an octave of nanoseconds, up to about a second.
const BUCKETS: usize = 8 * 30;

/// What decided on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The engine's rules.
    Rule(assign::Reason),
    /// A small part of the entries goes where nothing else would send them, to learn how it is there.
    Exploration,
}

/// One decision of the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recent {
    /// Seconds ago.
    pub age: f64,
    /// The entry's id, cut off where it is long.
    pub id: String,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Its class as it was counted.
    pub class: String,
    /// Its length, where it was known.
    pub bytes: Option<u64>,
    /// The resource.
    pub resource: String,
    /// What decided.
    pub reason: Reason,
    /// Predicted work on that resource, in seconds of one core.
    pub impact: f64,
    /// The parts of the resource's score at the last tick: affinity for this class, stability, cost.
    pub affinity: f64,
    /// See there.
    pub stability: f64,
    /// See there.
    pub cost: f64,
    /// The resource's load at the last tick.
    pub load: f64,
}

/// Sums over what a route was sent.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By resource.
    pub resources: Vec<Counts>,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests that went nowhere.
    pub refusals: u64,
    /// How long decisions took.
    pub times: Times,
    /// Copies that no alternate had room for.
    pub copies_without_room: u64,
}

/// Sums of one resource.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Its name.
    pub resource: Arc<str>,
    /// Requests by what decided, in the order of [`Reason::ALL`].
    pub reasons: [u64; Reason::ALL.len()],
    /// Requests by what became of them, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Entries in them; a batch that did not pass whole is one.
    pub entries: [u64; Outcome::ALL.len()],
    /// Predicted work of all, in seconds of one core.
    pub predicted: f64,
    /// Copies that it was sent, by what became of them, in the same order.
    pub copies: [u64; Outcome::ALL.len()],
}

/// How long decisions took, each to within an eighth.
#[derive(Clone, Debug)]
pub struct Times {
    counts: Vec<u64>,
    sum: Duration,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Rule(assign::Reason::LeadHasHeadroom),
        Self::Rule(assign::Reason::LeastLeadShare),
        Self::Rule(assign::Reason::BestAlternate),
        Self::Rule(assign::Reason::ByHeadroom),
        Self::Rule(assign::Reason::OnlyOneLeft),
        Self::Rule(assign::Reason::LastResort),
        Self::Exploration,
    ];

    pub(super) fn place(self) -> usize {
        match self {
            Self::Rule(rule) => rule as usize,
            Self::Exploration => Self::ALL.len() - 1,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{rule:?}"),
            Self::Exploration => f.write_str("Exploration"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Acknowledged, Self::Refused, Self::Failed, Self::Unreachable, Self::Cancelled];

    /// For labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it says that the endpoint failed; `None` if it says nothing of it.
    pub(super) fn of_endpoint(self) -> Option<bool> {
        match self {
            Self::Acknowledged | Self::Refused => Some(false),
            Self::Unreachable => Some(true),
            Self::Failed | Self::Cancelled => None,
        }
    }
}

/// The last decisions, without allocation where they are made.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Record>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) at: Duration,
    pub(super) id: Id,
    pub(super) trace: Option<Trace>,
    pub(super) class: usize,
    pub(super) bytes: Option<u64>,
    pub(super) place: usize,
    pub(super) reason: Reason,
    pub(super) impact: f64,
}

/// The first bytes of an id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id {
    bytes: [u8; ID],
    length: u8,
}

impl Ring {
    pub(super) fn push(&mut self, record: Record) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    pub(super) fn newest(&self) -> impl Iterator<Item = &Record> {
        self.0.iter().rev()
    }
}

impl Id {
    pub(super) fn new(id: &str) -> Self {
        let length = id.floor_char_boundary(ID);
        let mut bytes = [0; ID];
        bytes[..length].copy_from_slice(&id.as_bytes()[..length]);
        Self { bytes, length: length as u8 }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.length)]).into_owned()
    }
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], sum: Duration::ZERO }
    }
}

impl Times {
    /// Adds one.
    pub fn observe(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(8);
        let octave = nanos.ilog2();
        let eighth = (nanos >> (octave - 3)) & 7;
        let bucket = (octave as usize - 3) * 8 + eighth as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// So many decisions.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many took no longer than each of `bounds`, and then all. Bounds are rounded up to an eighth of an octave.
    #[must_use]
    pub fn below(&self, bound: Duration) -> u64 {
        self.counts.iter().enumerate().filter(|(i, _)| upper(*i) <= bound).map(|(_, count)| count).sum()
    }

    /// The time that `part` of the decisions took no longer than, rounded up to an eighth; zero if there were none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return upper(i);
            }
        }
        Duration::ZERO
    }
}

fn upper(bucket: usize) -> Duration {
    let (octave, eighth) = (bucket / 8 + 3, bucket as u64 % 8);
    Duration::from_nanos((8 + eighth + 1) << (octave - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_within_an_eighth() {
        let mut times = Times::default();
        (1..=1000).for_each(|n| times.observe(Duration::from_nanos(n * 10)));
        for (part, exact) in [(0.5, 5000.0), (0.99, 9900.0)] {
            let told = times.quantile(part).as_nanos() as f64;
            assert!((1.0..=1.15).contains(&(told / exact)), "{part}: {told}");
        }
        assert_eq!((times.count(), times.below(Duration::from_secs(2))), (1000, 1000));
        assert_eq!(Times::default().quantile(0.99), Duration::ZERO);
        times.observe(Duration::from_hours(1));
        assert_eq!(times.count(), 1001);
    }

    #[test]
    fn long_ids_are_cut_between_characters() {
        assert_eq!(Id::new("short").text(), "short");
        let long = "ä".repeat(30);
        assert_eq!(Id::new(&format!("x{long}")).text(), format!("x{}", "ä".repeat(19)));
    }

    #[test]
    fn the_ring_is_bounded_and_newest_comes_first() {
        let mut ring = Ring::default();
        for n in 0..2 * KEPT {
            let reason = Reason::Exploration;
            ring.push(Record {
                at: Duration::ZERO,
                id: Id::new(""),
                trace: None,
                class: n,
                bytes: None,
                place: 0,
                reason,
                impact: 0.0,
            });
        }
        assert_eq!(
            (ring.newest().count(), ring.newest().next().map(|r| r.class)),
            (KEPT, Some(2 * KEPT - 1))
        );
        let places: Vec<usize> = Reason::ALL.iter().map(|reason| reason.place()).collect();
        assert_eq!(places, (0..Reason::ALL.len()).collect::<Vec<_>>());
    }
}
