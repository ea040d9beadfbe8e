//! One resource of the data plane: what it has in flight, what it was given, and how it does with it.

use std::time::Duration;

use super::limits::{Access, Limits};
use crate::persona::decay::DecayedCount;

/// Seconds of work at its objective that a resource may be given at once.
const BURST: f64 = 1.0;

/// Entries of the past that say how fast a resource works and how often it fails count half after this long: short
/// enough to see a neighbour that comes and goes.
const PACE_HALF_LIFE: Duration = Duration::from_secs(2);
const ERROR_HALF_LIFE: Duration = Duration::from_secs(5);

/// As many entries at the expected pace and without errors are believed in beforehand.
const PACE_PRIOR: f64 = 5.0;
const ERROR_PRIOR: f64 = 40.0;

/// With so many times the entries in flight that it has at its objective, a resource gets none for the sake of a share: they
/// would wait behind all the others.
const SWAMPED: f64 = 4.0;

/// Waits scatter: an entry reckons with this many times the mean of its own.
const SCATTER: f64 = 1.5;

/// However slow, a resource counts for this part of its capacity: it must be able to show that it recovered.
const LEAST_PACE: f64 = 0.05;

/// A resource fails when this part of its entries does, and twice as many as elsewhere: entries that fail everywhere
/// are the entries' fault.
const FAILING: f64 = 0.1;
const FAILING_RATIO: f64 = 2.0;

/// An entry on its way; [`super::Candidates::finish`] takes it back.
#[derive(Debug)]
#[must_use = "work counts as in flight until the ticket is handed to `Candidates::finish`"]
pub struct Ticket {
    pub(super) resource: usize,
    pub(super) work: f64,
    pub(super) others: u32,
    pub(super) at: Duration,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The resource acknowledged it.
    Acknowledged,
    /// The resource refused it, failed or timed out. However fast that was, it counts as an error only.
    Failed,
    /// The client went away; tells nothing of the resource.
    Cancelled,
}

/// What every choice reads; two to a cache line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// Entries in flight at the objective.
    limit: f32,
    /// How fast it works against what was predicted, 0 to 1.
    pace: f32,
    /// Cores that work for the route's entries now, above 0.
    speed: f64,
    /// Predicted work in flight, in seconds of one core.
    work: f64,
    entries: u32,
    /// What fails counts as [`Access::Doubtful`] at most.
    access: Access,
}

/// What a resource was given: read only where an entry would fit in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// Predicted work a second at the objective.
    rate: f64,
    /// Work given and, at `rate`, not yet done at `given_at`.
    given: f64,
    given_at: f64,
    /// Work given, forgotten by half in ten seconds: what shares are counted by.
    pub(super) recent: f64,
    /// Work given since the last tick.
    pub(super) since_tick: f64,
}

/// How a resource does; read and written only when entries end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    pub(super) limits: Limits,
    pub(super) outcomes: Outcomes,
    expected: DecayedCount,
    elapsed: DecayedCount,
    pace_at: Duration,
}

/// Errors among entries, both forgotten by half in [`ERROR_HALF_LIFE`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcomes {
    entries: DecayedCount,
    errors: DecayedCount,
    at: Duration,
}

impl Slot {
    pub(super) fn takes(&self) -> bool {
        self.access == Access::Open
    }

    pub(super) fn could_take(&self) -> bool {
        self.access >= Access::Doubtful
    }

    pub(super) fn has_endpoints(&self) -> bool {
        self.access >= Access::Barred
    }

    pub(super) fn is_idle(&self) -> bool {
        self.entries == 0
    }

    /// Whether no more than at the objective would be in flight with `work`. An entry waits no longer than a `typical` one
    /// takes, or than it takes itself; one entry always fits, unless the resource may have nothing at all.
    pub(super) fn fits(&self, work: f64, typical: f64) -> bool {
        self.is_within(f64::from(self.limit), work, typical)
    }

    /// Whether `work` is within a limit of entries in flight.
    pub(super) fn is_within(&self, limit: f64, work: f64, typical: f64) -> bool {
        if self.entries == 0 { limit > 0.0 } else { self.ahead(work) + work <= limit * typical }
    }

    /// Whether `work` would be done in `due` seconds, had the prediction of everything in flight been right, and where a
    /// resource of less than a core is concerned, as much later as it is slower. It waits until a core is free of that,
    /// of which each second takes `intensity` of a core. How fast the resource works is left out: where all predictions
    /// are too low, it would send entries away from a lead on which nobody waits.
    pub(super) fn is_prompt(&self, work: f64, due: f64, intensity: f64) -> bool {
        let (entries, pace) = (f64::from(self.entries), f64::from(self.pace));
        // Of a whole core at least.
        let speed = if self.speed > pace { self.speed } else { pace };
        // Its own need of cores shared with those that the others are on: seconds of work over cores, for all but
        // the last `cores - 1` of them; without a division.
        let behind = ((intensity * entries + 1.0) * pace - speed).max(0.0);
        SCATTER * intensity * self.ahead(work) * behind <= (due - work) * entries * speed
    }

    /// Whether far more is in flight than at the objective.
    pub(super) fn is_swamped(&self, work: f64, typical: f64) -> bool {
        self.entries > 0 && self.ahead(work) + work > SWAMPED * f64::from(self.limit).max(1.0) * typical
    }

    /// Work until the resource would be done with `work`, were it given to it, and the cores that do it.
    pub(super) fn done_after(&self, work: f64) -> (f64, f64) {
        (self.ahead(work) + work, self.speed)
    }

    /// Puts an entry in; answers how many are in flight beside it.
    pub(super) fn start(&mut self, work: f64) -> u32 {
        self.work += work;
        let others = self.entries;
        self.entries = others.saturating_add(1);
        others
    }

    /// Takes one entry out; answers how many were in flight with it.
    pub(super) fn finish(&mut self, work: f64) -> u32 {
        let entries = self.entries;
        self.entries = entries.saturating_sub(1);
        // Sums of floats do not come back to zero by themselves.
        self.work = if self.entries == 0 { 0.0 } else { (self.work - work).max(0.0) };
        entries
    }

    /// Brings what is read per entry up to what is known.
    pub(super) fn update(&mut self, record: &Record, typical: f64, everywhere: &Outcomes) {
        let limits = &record.limits;
        let (pace, errors) = (record.pace(typical), record.outcomes.ratio());
        let failing = errors >= FAILING && errors >= FAILING_RATIO * everywhere.without(&record.outcomes);
        self.access = if failing { limits.access.min(Access::Doubtful) } else { limits.access };
        (self.limit, self.pace) = ((limits.limit * limits.warm * pace) as f32, pace as f32);
        // A failed entry is to be done again.
        let speed = limits.cores * limits.warm * pace * (1.0 - errors);
        self.speed = speed.max(f64::MIN_POSITIVE);
    }

    /// Work in flight that an entry of `work` waits for: with processor sharing, what is bigger than the entry takes
    /// no more of its time than the entry takes itself. So one huge entry, or one huge error of prediction, does
    /// not close a resource.
    fn ahead(&self, work: f64) -> f64 {
        lesser(self.work, f64::from(self.entries) * work)
    }
}

impl Budget {
    /// Whether `work` is no more than the objective lets the resource do.
    pub(super) fn allows(&self, work: f64, now: f64) -> bool {
        let given = self.given_by(now);
        given <= 0.0 || given + work <= self.rate * BURST
    }

    pub(super) fn give(&mut self, work: f64, now: f64) {
        // What was given beyond the objective for want of others is no debt.
        self.given = (self.given_by(now) + work).min((self.rate * BURST).max(work));
        self.given_at = now;
        self.recent += work;
        self.since_tick += work;
    }

    pub(super) fn update(&mut self, limits: &Limits) {
        self.rate = limits.rate * limits.warm;
    }

    fn given_by(&self, now: f64) -> f64 {
        (self.given - self.rate * (now - self.given_at).max(0.0)).max(0.0)
    }
}

/// The lesser of two numbers, in one instruction: `f64::min` spends three more on what is none, and every choice asks this
/// of every candidate.
fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

impl Record {
    /// Learns from an entry that was served; answers the seconds that it would have taken alone.
    pub(super) fn served(&mut self, ticket: &Ticket, in_flight: u32, now: Duration) -> f64 {
        let beside = f64::from(ticket.others.saturating_add(1).saturating_add(in_flight)) / 2.0;
        let crowding = (beside / self.limits.cores.max(f64::MIN_POSITIVE)).clamp(1.0, beside.max(1.0));
        let elapsed = now.saturating_sub(ticket.at).as_secs_f64();
        let since = now.saturating_sub(self.pace_at);
        self.expected.observe(ticket.work * crowding, since, PACE_HALF_LIFE);
        self.elapsed.observe(elapsed, since, PACE_HALF_LIFE);
        self.pace_at = self.pace_at.max(now);
        elapsed / crowding
    }

    /// Nothing is learned, the past counts less.
    pub(super) fn fade(&mut self, now: Duration) {
        let since = now.saturating_sub(self.pace_at);
        self.expected.observe(0.0, since, PACE_HALF_LIFE);
        self.elapsed.observe(0.0, since, PACE_HALF_LIFE);
        self.pace_at = self.pace_at.max(now);
        self.outcomes.fade(now);
    }

    /// How fast it works against what was predicted, [`LEAST_PACE`] to 1.
    fn pace(&self, typical: f64) -> f64 {
        let prior = (PACE_PRIOR * typical).max(f64::MIN_POSITIVE);
        let pace = (self.expected.get() + prior) / (self.elapsed.get() + prior);
        if pace.is_finite() { pace.clamp(LEAST_PACE, 1.0) } else { 1.0 }
    }
}

impl Outcomes {
    pub(super) fn observe(&mut self, failed: bool, now: Duration) {
        self.add(1.0, f64::from(u8::from(failed)), now);
    }

    pub(super) fn fade(&mut self, now: Duration) {
        self.add(0.0, 0.0, now);
    }

    /// Part of the entries that failed, 0 to 1, drawn towards none while entries are few.
    pub(super) fn ratio(&self) -> f64 {
        (self.errors.get() / (self.entries.get() + ERROR_PRIOR)).clamp(0.0, 1.0)
    }

    /// The ratio of the rest, where `part` is in these.
    fn without(&self, part: &Self) -> f64 {
        let rest = |all: DecayedCount, part: DecayedCount| (all.get() - part.get()).max(0.0);
        rest(self.errors, part.errors) / (rest(self.entries, part.entries) + ERROR_PRIOR)
    }

    fn add(&mut self, entries: f64, errors: f64, now: Duration) {
        let since = now.saturating_sub(self.at);
        self.entries.observe(entries, since, ERROR_HALF_LIFE);
        self.errors.observe(errors, since, ERROR_HALF_LIFE);
        self.at = self.at.max(now);
    }
}
