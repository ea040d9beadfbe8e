//! What an entry takes on an alternate, in units of what it takes on the lead.
//!
//! Cores compare nodes, not what entries cost on them: other hardware, other settings or cold caches make the same entry
//! take a third or three times the work. Placed by cores alone, a slow alternate is overfilled threefold, and what it
//! then does counts threefold as demand. The ratio is learned from personas: work over answered entries where these
//! are counted, else work over the share that was in force.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::resource::{Freshness, Resource};

/// No ratio is believed beyond these.
pub const LEAST: f64 = 1.0 / 8.0;
/// See [`LEAST`].
pub const MOST: f64 = 8.0;

/// What was seen counts half after this long: while more is seen, and while nothing is.
const HALF_LIFE: Duration = Duration::from_secs(30);
const FORGOTTEN: Duration = Duration::from_mins(10);

/// Seconds of the whole lead's work that are believed in beforehand to cost the same elsewhere: a tenth of a second is a
/// second of a tenth of what the lead can do.
const PRIOR: f64 = 0.1;

/// A load from which work no longer tells what entries take: what does not fit waits.
const FULL: f64 = 0.95;

/// Entries that fail cost little; beyond this part of them they say nothing of the others.
const FAILING: f64 = 0.1;

/// A share counts when it has been in force for this long, and longer where personas are late.
const SETTLED: Duration = Duration::from_secs(10);

/// As much may it have changed meanwhile, of itself: more would be taken for other work.
const UNCHANGED: f64 = 0.1;

/// Shares under this (permille) tell more of chance than of work.
const LEAST_SHARE: u16 = 30;

/// Shares that are remembered, one a tick.
const KEPT: usize = 128;

/// What was learned of one route's alternates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratios {
    alternates: BTreeMap<String, Seen>,
    shares: VecDeque<(Duration, Vec<u16>)>,
    at: Option<Duration>,
}

/// The shares of the last seconds, lead first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settled(Vec<Lately>);

/// Lowest and highest share of the last seconds, permille.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lately {
    low: u16,
    high: u16,
    /// Whether the whole time is known.
    whole: bool,
}

/// Work done and work expected, in sums that forget.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    work: f64,
    expected: f64,
}

impl Ratios {
    /// Work of an entry on an alternate over its work on the lead, [`LEAST`] to [`MOST`]; 1 while nothing is known.
    /// `lead_capacity` in cores says how much is needed to know it.
    #[must_use]
    pub fn of(&self, alternate: &str, lead_capacity: f64) -> f64 {
        let prior = PRIOR * if lead_capacity.is_finite() { lead_capacity.max(1e-3) } else { 1.0 };
        let seen = self.alternates.get(alternate).copied().unwrap_or_default();
        ((seen.work + prior) / (seen.expected + prior)).clamp(LEAST, MOST)
    }

    /// Takes note of one tick. `in_force` are the shares that entries follow (permille, lead first; empty where nobody
    /// knows), `age` how old personas are. Answers the shares of the last seconds.
    pub fn observe(
        &mut self,
        now: Duration,
        lead: &Resource,
        alternates: &[Resource],
        in_force: &[u16],
        age: Duration,
    ) -> Settled {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_sub(at)).min(HALF_LIFE);
        self.at = Some(now);
        self.alternates.retain(|name, _| alternates.iter().any(|alternate| alternate.name == *name));
        let fresh = lead.freshness == Freshness::Fresh;
        // A lead that fell silent says nothing of how late the others are.
        let late = if fresh { age } else { Duration::ZERO };
        let settled = self.settle(now, in_force, alternates.len() + 1, late.saturating_add(SETTLED));
        let seconds = since.as_secs_f64();
        for (i, alternate) in alternates.iter().enumerate() {
            let seen = self.alternates.entry(alternate.name.clone()).or_default();
            let work = finite(alternate.own_cores);
            let told = expected(lead, alternate, &settled, i + 1)
                .filter(|_| fresh && lead.load < FULL && alternate.freshness == Freshness::Fresh)
                // What does next to nothing serves nobody; what is full does at least as much as it shows.
                .filter(|&expected| work >= LEAST * expected && (work >= expected || alternate.load < FULL));
            match told {
                Some(expected) => seen.add(work * seconds, expected * seconds, since, HALF_LIFE),
                None => seen.add(0.0, 0.0, since, FORGOTTEN),
            }
        }
        settled
    }

    fn settle(&mut self, now: Duration, in_force: &[u16], resources: usize, within: Duration) -> Settled {
        let known = in_force.len() == resources;
        if !known || self.shares.back().is_some_and(|(at, shares)| *at > now || shares.len() != resources) {
            self.shares.clear();
        }
        if known {
            self.shares.push_back((now, in_force.to_vec()));
        }
        // One that is older than asked for stays, so that the whole time is covered.
        let covered = |at: Duration| now.saturating_sub(at) >= within;
        while self.shares.len() > KEPT || self.shares.get(1).is_some_and(|(at, _)| covered(*at)) {
            self.shares.pop_front();
        }
        let whole = self.shares.front().is_some_and(|(at, _)| covered(*at));
        let lately = |i: usize| {
            let held = || self.shares.iter().map(|(_, shares)| shares[i]);
            let (low, high) = (held().min().unwrap_or(0), held().max().unwrap_or(0));
            Lately { low, high, whole }
        };
        Settled((0..resources).map(lately).collect())
    }
}

impl Settled {
    /// The share of a resource (lead first), 0 to 1, if it has not changed for a while.
    #[must_use]
    pub fn of(&self, resource: usize) -> Option<f64> {
        let Lately { low, high, whole } = self.0.get(resource).copied().unwrap_or_default();
        let still = f64::from(high - low) <= UNCHANGED * f64::from(high);
        (whole && still && low >= LEAST_SHARE).then(|| f64::from(low.midpoint(high)) / 1000.0)
    }

    /// The largest share of a resource (lead first) in the last seconds, 0 to 1: what it does belongs to no more.
    #[must_use]
    pub fn most(&self, resource: usize) -> f64 {
        self.0.get(resource).map_or(0.0, |lately| f64::from(lately.high) / 1000.0)
    }
}

impl Seen {
    fn add(&mut self, work: f64, expected: f64, since: Duration, half_life: Duration) {
        let keep = (-since.as_secs_f64() / half_life.as_secs_f64()).exp2();
        (self.work, self.expected) = (self.work * keep + work, self.expected * keep + expected);
    }
}

/// Work that the lead would have with the entries that the alternate answers, in cores.
fn expected(lead: &Resource, alternate: &Resource, settled: &Settled, i: usize) -> Option<f64> {
    let part = match (lead.entries, alternate.entries) {
        (Some(there), Some(here)) => {
            let sound = alternate.error_ratio < FAILING && lead.error_ratio < FAILING;
            sound.then(|| finite(here) / finite(there))?
        }
        (None, None) => settled.of(i)? / settled.of(0)?,
        // Entries of one and a share of the other are in no unit that both have.
        _ => return None,
    };
    let expected = part * finite(lead.own_cores);
    (expected.is_finite() && expected > 0.0).then_some(expected)
}

/// Cores or entries as a number that sums.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1e9) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocate::tests::resource;

    const AGE: Duration = Duration::from_secs(2);

    /// The ratio after so many seconds with the share `in_force` on `a`, whose entries take `work` times as much.
    fn learned(
        seconds: u64,
        counted: bool,
        work: f64,
        change: impl Fn(u64, &mut Resource, &mut Resource),
    ) -> f64 {
        let mut ratios = Ratios::default();
        for second in 0..seconds {
            let (mut lead, mut a) = (resource("lead", 0.6), resource("a", 0.3));
            (lead.own_cores, a.own_cores) = (0.6, 0.2 * work);
            if counted {
                (lead.entries, a.entries) = (Some(75.0), Some(25.0));
            }
            change(second, &mut lead, &mut a);
            ratios.observe(Duration::from_secs(second), &lead, &[a], &[750, 250], AGE);
        }
        ratios.of("a", 1.0)
    }

    #[test]
    fn what_entries_take_is_learned_within_seconds_where_they_are_counted_and_from_shares_where_not() {
        for work in [0.4, 1.0, 3.0] {
            let counted = learned(10, true, work, |_, _, _| ());
            assert!((counted / work - 1.0).abs() < 0.15, "{counted} for {work}");
            let shared = learned(40, false, work, |_, _, _| ());
            assert!((shared / work - 1.0).abs() < 0.15, "{shared} for {work}");
        }
        assert_eq!(learned(8, false, 3.0, |_, _, _| ()), 1.0, "the share has not settled yet");
    }

    #[test]
    fn a_ratio_stays_within_its_bounds_and_is_forgotten() {
        assert_eq!(learned(600, true, 4.0, |_, _, a| a.own_cores = 100.0), MOST);
        assert!(learned(60, true, 3.0, |_, _, _| ()) > 2.8);
        let long_ago = learned(4000, true, 3.0, |second, _, a| {
            if second > 60 {
                a.freshness = Freshness::Absent;
            }
        });
        assert!(long_ago < 2.0, "{long_ago}");
    }

    #[test]
    fn what_tells_nothing_teaches_nothing() {
        type Change = fn(&mut Resource, &mut Resource);
        let cases: [(&str, bool, Change); 6] = [
            ("a black hole answers nothing", true, |_, a| (a.entries, a.own_cores) = (Some(0.0), 0.0)),
            ("a black hole does nothing", false, |_, a| a.own_cores = 0.0),
            ("errors are cheap", true, |_, a| (a.error_ratio, a.own_cores) = (0.5, 0.05)),
            ("a full lead", false, |lead, _| lead.load = 1.2),
            ("counted on one side only", true, |lead, _| lead.entries = None),
            ("a silent alternate", true, |_, a| a.freshness = Freshness::Aged),
        ];
        for (case, counted, change) in cases {
            assert_eq!(learned(60, counted, 3.0, |_, lead, a| change(lead, a)), 1.0, "{case}");
        }
    }

    #[test]
    fn a_share_that_has_just_moved_is_not_held_against_the_work_of_before() {
        let mut ratios = Ratios::default();
        for second in 0..60_u64 {
            let share = if second.is_multiple_of(8) { 100 } else { 400 };
            let (mut lead, mut a) = (resource("lead", 0.6), resource("a", 0.1));
            (lead.own_cores, a.own_cores) = (0.6, 0.1);
            ratios.observe(Duration::from_secs(second), &lead, &[a], &[1000 - share, share], AGE);
        }
        assert_eq!(ratios.of("a", 1.0), 1.0);
    }
}
