//! Which resource and endpoint get an entry, and what is learned from it: one state that all frontends share.
//!
//! [`Assigner::choose`] looks, [`Assigner::assign`] also counts the entry as in flight until its [`Held`] is finished or
//! dropped. The rules are the engine's; a lock that is held for about a microsecond makes them one for all
//! threads, so that no two of them give the same room away.

mod copying;
mod decisions;
mod endpoints;
mod prior;
mod seen;
mod state;

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use foreshift_api::journal_route::Classify;
use foreshift_engine::{
    assign::{self, Ticket},
    shadow::is_copied,
};

pub(crate) use copying::Copying;
pub use decisions::{Counts, Reason, Recent, Tally, Times};
pub use seen::{ClassSeen, Seen};
use state::{Chosen, RouteState};

use crate::{
    entry::trace::Trace,
    snapshot::{Protocol, RouteSnapshot},
};

/// An entry, as far as a choice needs it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// The same at every retry.
    pub id: &'a str,
    /// What the route calls its kind; empty where nobody says.
    pub class: &'a str,
    /// Its length, where that is known.
    pub bytes: Option<u64>,
    /// It is a batch of entries; how many, [`Held::measured`] tells when it has passed.
    pub batch: bool,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
}

/// How a process assigns.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Part of the entries that go to an alternate with room only to learn how it does, 0 to 0.03.
    pub explore: f64,
    /// Entries of one route under way at once; who comes beyond is told to wait.
    pub most_in_flight: usize,
}

/// Where an entry could go.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Name of the Service.
    pub resource: Arc<str>,
    /// Its place among the resources; what a retry names as tried.
    pub place: usize,
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// What decided.
    pub reason: Reason,
    /// Predicted work, in seconds of one core; zero where nothing is known.
    pub impact: f64,
}

/// Why an entry goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not one endpoint that it may go to.
    #[error("no resource of this route has an endpoint")]
    NoEndpoint,
    /// As many entries under way as this process takes.
    #[error("too many entries of this route are under way")]
    TooMany,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The resource acknowledged it.
    Acknowledged,
    /// The resource refused it for a fault of its own, as with a status of 400: this tells nothing of the resource.
    Refused,
    /// The resource failed or took too long.
    Failed,
    /// Its endpoint could not be reached; nothing was sent.
    Unreachable,
    /// Whoever sent it went away.
    Cancelled,
}

/// The assigner of one route; cheap to clone.
#[derive(Clone, Debug)]
pub struct Assigner(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    settings: Settings,
    state: Mutex<RouteState>,
    /// Read for every entry, and apart from the state so that reading it waits for nobody.
    classify: Mutex<Arc<Classify>>,
    /// The bits of the percent of entries that may be copied, for the same reason.
    copied: AtomicU64,
}

/// An entry under way. Dropped, it counts as cancelled: whatever ends a task also ends its claim on a resource.
#[derive(Debug)]
#[must_use = "an entry that nobody holds is no longer in flight"]
pub struct Held {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    chosen: Chosen,
    at: Duration,
    then: Option<Then>,
}

/// What is done at the end of an entry.
struct Then(Box<dyn FnOnce(Outcome) + Send>);

impl Default for Settings {
    fn default() -> Self {
        Self { explore: 0.01, most_in_flight: 20_000 }
    }
}

impl Assigner {
    /// Knows no resource yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            settings,
            state: Mutex::default(),
            classify: Mutex::default(),
            copied: AtomicU64::new(0.0_f64.to_bits()),
        }))
    }

    /// Takes over what a tick brought.
    pub fn prepare(&self, snapshot: RouteSnapshot) {
        let classify = snapshot.spec.classify.clone().unwrap_or_default();
        *self.0.classify.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(classify);
        let now = self.0.now();
        let mut state = self.0.state();
        state.prepare(snapshot, now);
        self.0.copied.store(state.copied().to_bits(), Ordering::Relaxed);
    }

    /// Whether the entry with this id may be among those that are copied for an alternate; [`Held::copy`] says for
    /// certain. Without a lock, since it is asked for every entry.
    #[must_use]
    pub fn may_copy(&self, id: &str) -> bool {
        let percent = f64::from_bits(self.0.copied.load(Ordering::Relaxed));
        percent > 0.0 && is_copied(id.as_bytes(), percent)
    }

    /// Where the route's classes are read from.
    #[must_use]
    pub fn classify(&self) -> Arc<Classify> {
        Arc::clone(&self.0.classify.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where an entry would go now. `tried` are places that failed it already, and get it again only if there are no
    /// others; `within` are the endpoints that it may go to, all where it is `None`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn choose(
        &self,
        entry: &Entry<'_>,
        tried: &[usize],
        within: Option<&[SocketAddr]>,
    ) -> Result<Choice, Refusal> {
        let now = self.0.now();
        let mut state = self.0.state();
        let chosen = state.choose(entry, tried, within, &self.0.settings, now)?;
        Ok(state.tell(&chosen))
    }

    /// The same, and from now on the entry counts as in flight there.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn assign(
        &self,
        entry: &Entry<'_>,
        tried: &[usize],
        within: Option<&[SocketAddr]>,
    ) -> Result<(Choice, Held), Refusal> {
        let began = Instant::now();
        let now = began.duration_since(self.0.began);
        let mut state = self.0.state();
        let chosen = state.choose(entry, tried, within, &self.0.settings, now)?;
        let choice = state.tell(&chosen);
        let ticket = state.start(&chosen, entry, now);
        state.took(began.elapsed());
        drop(state);
        let held = Held { shared: Arc::clone(&self.0), ticket: Some(ticket), chosen, at: now, then: None };
        Ok((choice, held))
    }

    /// Runs `read` on the snapshot of the last tick, if there was one. Entries wait meanwhile, so it must be quick.
    pub fn with_snapshot<T>(&self, read: impl FnOnce(&RouteSnapshot) -> T) -> Option<T> {
        self.0.state().snapshot().map(read)
    }

    /// The last decisions, newest first.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<Recent> {
        let now = self.0.now();
        self.0.state().recent(most, now)
    }

    /// What was seen of the resources, for the route's status and for people.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.0.state().seen()
    }

    /// Sums over all entries so far, for metrics.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.state().tally()
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, RouteState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Says what became of the entry.
    pub fn finish(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// All of it has passed, and these are its length and, of a batch, its entries: what is learned is of these.
    pub fn measured(&mut self, bytes: u64, entries: Option<u64>) {
        self.chosen.measured(bytes, entries);
    }

    /// It was acknowledged, after this long as its sender says.
    pub fn finish_after(mut self, took: Duration) {
        if let Some(ticket) = self.ticket.take() {
            let at = self.at.saturating_add(took).min(self.shared.now());
            self.shared.state().finish(&self.chosen, ticket, Outcome::Acknowledged, at);
        }
    }

    /// A copy of the entry for an alternate, if there shall be one.
    pub(crate) fn copy(&self, entry: &Entry<'_>) -> Option<Copying> {
        let order = self.shared.state().order_copy(entry, &self.chosen)?;
        Some(Copying::new(Arc::clone(&self.shared), order))
    }

    /// What to do when the entry has ended, with what became of it.
    pub(crate) fn then(&mut self, then: impl FnOnce(Outcome) + Send + 'static) {
        self.then = Some(Then(Box::new(then)));
    }

    /// The entry was served elsewhere than where it was assigned, as an endpoint picker hears in hindsight. An
    /// endpoint that is not of this route changes nothing.
    pub fn served_by(&mut self, endpoint: SocketAddr) {
        if self.chosen.endpoint == endpoint {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let Some(moved) = state.chosen_at(endpoint, &self.chosen) else { return };
        if let Some(ticket) = self.ticket.take() {
            state.finish(&self.chosen, ticket, Outcome::Cancelled, shared.now());
            self.ticket = Some(state.restart(&moved, self.at));
            self.chosen = moved;
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.state().finish(&self.chosen, ticket, outcome, self.shared.now());
        }
        if let Some(then) = self.then.take() {
            (then.0)(outcome);
        }
    }
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Then")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

impl From<Outcome> for assign::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Acknowledged => Self::Acknowledged,
            Outcome::Failed | Outcome::Unreachable => Self::Failed,
            Outcome::Refused | Outcome::Cancelled => Self::Cancelled,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
