//! Shadow entries: copies that an alternate works on for show, and what they tell of it.
//!
//! A [`Mirror`] follows one route: it says which entries are copied to which alternate and remembers what the copies
//! showed. Copies first warm an alternate ([`Purpose::WarmUp`]), then try it ([`Purpose::Trial`]). [`Shadow::window`] says when,
//! [`held_back_by`] when not, [`is_copied`] which entries; a [`Trial`] counts what became of copies and originals and
//! gives a [`Verdict`] with its confidence intervals.

mod mirror;
mod priming;
mod trial;
mod trials;

use std::{fmt, time::Duration};

use crate::{
    decision::Phase,
    hash::hash,
    policy::Policy,
    resource::{Readiness, Resource},
};
pub use mirror::{Mirror, Order, Skip, Tick, View};
pub use trial::{Interval, Observation, Trial, Verdict};

/// How a route tries its alternates. Defaults are those of the `JournalRoute` resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shadow {
    /// Time from one window to the next, on average.
    pub every: Duration,
    /// Length of a window.
    pub duration: Duration,
    /// Entries copied within a window, in percent.
    pub percent: f64,
    /// Copies, and originals, needed for a verdict.
    pub min_entries: u32,
    /// An alternate that fails this much more of its copies than fail as originals is not ready, 0 to 1.
    pub max_error_ratio: f64,
    /// An alternate slower than this factor is not ready, above 0.
    pub max_latency_ratio: f64,
    /// An alternate that was not shown to be ready gets nothing.
    pub required: bool,
}

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its number on the clock; the same on all replicas.
    pub number: u64,
    /// When it began.
    pub since: Duration,
    /// When it ends.
    pub until: Duration,
}

/// What a copy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To warm an alternate before its first share; tells nothing of it, since what is cold is slow.
    WarmUp,
    /// To see how fit it is.
    Trial,
}

/// What holds shadow entries back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// The route is moving shares: a copy would take room from entries.
    Shifting,
    /// The alternate stands at its objective or above.
    Saturated,
    /// The alternate has no endpoints or is drained.
    Unavailable,
}

/// A verdict holds for as many periods: two windows in a row may be missed.
const HOLDS_FOR: u32 = 3;

/// This part of `percent` is copied outside of windows, so that an alternate stays warm and its outcomes known.
const TRICKLE: f64 = 0.1;

/// A copy is waited for this many times longer than the latency at which its alternate would be too slow, and never
/// less than five seconds: what takes longer failed.
const PATIENCE: f64 = 4.0;
const LEAST_PATIENCE: Duration = Duration::from_secs(5);
const MOST_PATIENCE: Duration = Duration::from_mins(10);

impl Default for Shadow {
    fn default() -> Self {
        Self {
            every: Duration::from_mins(10),
            duration: Duration::from_mins(1),
            percent: 5.0,
            min_entries: 100,
            max_error_ratio: 0.01,
            max_latency_ratio: 1.5,
            required: false,
        }
    }
}

impl Shadow {
    /// The window that `now` lies in, if any. There is one in each period of `every`, at a place that `seed` and its
    /// number choose, so that routes do not try the same alternate all at once. With unix time as the clock all
    /// replicas agree on it.
    #[must_use]
    pub fn window(&self, now: Duration, seed: u64) -> Option<Window> {
        let every = self.every.as_nanos();
        let number = u64::try_from(now.as_nanos().checked_div(every)?).ok()?;
        let slack = every.saturating_sub(self.duration.as_nanos());
        let offset = u128::from(hash(&seed.to_le_bytes(), &number.to_le_bytes())) % slack.max(1);
        let since = nanos(u128::from(number) * every + offset);
        let until = since.saturating_add(self.duration.min(self.every));
        (since <= now && now < until).then_some(Window { number, since, until })
    }

    /// Entries copied at a time, in percent: those of a window, else a trickle.
    #[must_use]
    pub fn percent_in(&self, window: Option<Window>) -> f64 {
        if window.is_some() { self.percent } else { self.percent * TRICKLE }
    }

    /// How long a copy may take whose original took `original` seconds, if it was acknowledged.
    #[must_use]
    pub fn patience(&self, original: Option<f64>) -> Duration {
        let longest = original.unwrap_or(0.0) * self.max_latency_ratio * PATIENCE;
        Duration::try_from_secs_f64(longest).unwrap_or(LEAST_PATIENCE).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// What a verdict of the past says now: it holds for three periods, then nothing is known again. Where shadow
    /// entries are `required`, not to be known to be ready is not to be ready.
    #[must_use]
    pub fn readiness(&self, verdict: Option<&Verdict>, now: Duration) -> Readiness {
        let holds = |v: &&Verdict| now.saturating_sub(v.at) < self.every.saturating_mul(HOLDS_FOR);
        match verdict.filter(holds).map_or(Readiness::Inconclusive, |v| v.readiness) {
            Readiness::Inconclusive if self.required => Readiness::NotReady,
            readiness => readiness,
        }
    }

    /// What several observers' verdicts on one alternate say together, and the one that it follows from: one that
    /// holds and says "not ready" is enough, for each sees other entries; else one that says "ready".
    #[must_use]
    pub fn readiness_of(&self, verdicts: &[Verdict], now: Duration) -> (Readiness, Option<Verdict>) {
        let holds = |v: &&Verdict| now.saturating_sub(v.at) < self.every.saturating_mul(HOLDS_FOR);
        let newest = |readiness: Readiness| {
            verdicts.iter().filter(holds).filter(|v| v.readiness == readiness).max_by_key(|v| v.at)
        };
        let by = newest(Readiness::NotReady)
            .or_else(|| newest(Readiness::Ready))
            .or_else(|| newest(Readiness::Inconclusive));
        (self.readiness(by, now), by.copied())
    }
}

/// Whether the entry with this id is among the given percent. The same id gets the same answer everywhere and at
/// every retry.
#[must_use]
pub fn is_copied(entry: &[u8], percent: f64) -> bool {
    let part = hash(b"shadow", entry) as f64 / u64::MAX as f64;
    part * 100.0 < percent
}

/// The seed of a route's windows, the same on all replicas.
#[must_use]
pub fn seed(route: &str) -> u64 {
    hash(b"window", route.as_bytes())
}

/// Why an alternate must not be sent copies now, if so. Moving shares do not hold back those that warm it: they are
/// part of the move.
#[must_use]
pub fn held_back_by(purpose: Purpose, phase: Phase, alternate: &Resource, policy: &Policy) -> Option<Hold> {
    let still = purpose == Purpose::WarmUp || matches!(phase, Phase::Steady | Phase::Shifted);
    if alternate.endpoints == 0 || alternate.drained {
        Some(Hold::Unavailable)
    } else if !still {
        Some(Hold::Shifting)
    } else if alternate.load < policy.objective.alternate_load {
        None
    } else {
        Some(Hold::Saturated)
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shifting => "Shifting",
            Self::Saturated => "Saturated",
            Self::Unavailable => "Unavailable",
        })
    }
}

fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % SECOND) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocate::tests::resource;

    const MINUTE: u64 = 60;

    #[test]
    fn each_period_has_one_whole_window_and_seeds_put_it_elsewhere() {
        let shadow = Shadow::default();
        let starts = |seed| -> Vec<u64> {
            let windows = (0..100 * MINUTE).filter_map(|s| shadow.window(Duration::from_secs(s), seed));
            let mut starts: Vec<u64> = windows.map(|w| w.since.as_secs()).collect();
            let seconds = starts.len();
            starts.dedup();
            assert!((590..=610).contains(&seconds), "ten windows of a minute: {seconds} s");
            starts
        };
        assert_eq!(starts(1).len(), 10);
        assert!(starts(1).iter().enumerate().all(|(n, &at)| at / (10 * MINUTE) == n as u64));
        assert_ne!(starts(1), starts(2));
    }

    #[test]
    fn about_the_given_percent_is_copied_and_always_the_same_entries() {
        let copied = |n: u32| is_copied(&n.to_le_bytes(), 5.0);
        let copies = (0..20_000).filter(|&n| copied(n)).count();
        assert!((900..1100).contains(&copies), "{copies} of 20000");
        assert!((0..100).all(|n| copied(n) == copied(n)));
        let of = |percent| (0..1000).filter(|n: &u32| is_copied(&n.to_le_bytes(), percent)).count();
        assert_eq!((of(0.0), of(100.0), of(f64::NAN)), (0, 1000, 0));
    }

    #[test]
    fn outside_of_windows_a_tenth_is_copied() {
        let shadow = Shadow::default();
        let window = Window { number: 0, since: Duration::ZERO, until: Duration::from_secs(1) };
        assert_eq!((shadow.percent_in(Some(window)), shadow.percent_in(None)), (5.0, 0.5));
    }

    #[test]
    fn a_copy_is_waited_for_in_proportion_to_its_original_and_never_for_ever() {
        let shadow = Shadow::default();
        for (original, expected) in [
            (None, 5),
            (Some(0.01), 5),
            (Some(10.0), 60),
            (Some(f64::NAN), 5),
            (Some(-1.0), 5),
            (Some(1e9), 600),
        ] {
            assert_eq!(shadow.patience(original), Duration::from_secs(expected), "{original:?}");
        }
    }

    #[test]
    fn copies_wait_while_shares_move_and_while_the_alternate_is_full() {
        let policy = Policy::default();
        let (idle, full) = (resource("a", 0.1), resource("a", 0.75));
        let gone = Resource { endpoints: 0, ..resource("a", 0.1) };
        let unknown = resource("a", f64::NAN);
        for (phase, alternate, expected) in [
            (Phase::Steady, &idle, None),
            (Phase::Shifted, &idle, None),
            (Phase::Shifting, &idle, Some(Hold::Shifting)),
            (Phase::WarmingUp, &idle, Some(Hold::Shifting)),
            (Phase::Returning, &idle, Some(Hold::Shifting)),
            (Phase::Degraded, &idle, Some(Hold::Shifting)),
            (Phase::Steady, &full, Some(Hold::Saturated)),
            (Phase::Steady, &unknown, Some(Hold::Saturated)),
            (Phase::Steady, &gone, Some(Hold::Unavailable)),
        ] {
            let held = held_back_by(Purpose::Trial, phase, alternate, &policy);
            assert_eq!(held, expected, "{phase} {alternate:?}");
            let held = held_back_by(Purpose::WarmUp, phase, alternate, &policy);
            let expected = expected.filter(|hold| *hold != Hold::Shifting);
            assert_eq!(held, expected, "warming, {phase} {alternate:?}");
        }
    }

    #[test]
    fn a_verdict_holds_for_three_periods() {
        let (shadow, now) = (Shadow::default(), Duration::from_hours(10));
        let mut trial = Trial::default();
        for _ in 0..100 {
            trial.observe(Observation::Original(Some(0.01)));
            trial.observe(Observation::Copy(None));
        }
        let verdict = trial.judge(&shadow, now);
        let after = |minutes| shadow.readiness(Some(&verdict), now + Duration::from_mins(minutes));
        assert_eq!(after(29), Readiness::NotReady);
        assert_eq!(after(30), Readiness::Inconclusive);
        let required = Shadow { required: true, ..shadow };
        assert_eq!(shadow.readiness(None, now), Readiness::Inconclusive);
        assert_eq!(required.readiness(None, now), Readiness::NotReady);
    }
}
