//! How far copies have warmed an alternate, and whether its first share waits for the rest of them.

use std::time::Duration;

use crate::hooks::COOL_AFTER;

/// Nobody's first share waits longer than this for copies, and none for copies that do not come.
const PATIENCE: Duration = Duration::from_mins(1);
const STALLED: Duration = Duration::from_secs(5);

/// What an alternate worked on since it was cold, entries and copies. A default one is cold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Priming {
    is_warm: bool,
    done: u32,
    /// When it was last shown to be warm.
    warm_at: Duration,
    waits: Option<Wait>,
}

/// A first share that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    since: Duration,
    /// When something was last done for it.
    progress: Duration,
}

impl Priming {
    /// Brings it to `now`. `served` entries and copies were worked on since the last call, `needed` make it warm;
    /// `known` says that it is known to be warm from elsewhere, `wanted` that a share for it is wanted.
    pub(super) fn turn(&mut self, now: Duration, served: u32, needed: u32, known: bool, wanted: bool) {
        self.done = self.done.saturating_add(served);
        let becomes_warm = !self.is_warm && self.done >= needed;
        if known || becomes_warm || (self.is_warm && served > 0) {
            (self.is_warm, self.warm_at, self.waits) = (true, now, None);
        } else if !self.is_warm {
            self.wait(now, served > 0, wanted);
        } else if now.saturating_sub(self.warm_at) >= COOL_AFTER {
            *self = Self::default();
        }
    }

    /// Copies that are still to be sent, with `under_way` on their way.
    pub(super) fn lacks(&self, needed: u32, under_way: u32) -> u32 {
        if self.is_warm { 0 } else { needed.saturating_sub(self.done).saturating_sub(under_way) }
    }

    /// Whether its first share must wait. Not for ever: copies are a courtesy.
    pub(super) fn holds(&self, now: Duration) -> bool {
        let patient = |wait: Wait| {
            now.saturating_sub(wait.since) < PATIENCE && now.saturating_sub(wait.progress) < STALLED
        };
        !self.is_warm && self.waits.is_none_or(patient)
    }

    pub(super) fn is_warm(&self) -> bool {
        self.is_warm
    }

    pub(super) fn done(&self) -> u32 {
        self.done
    }

    fn wait(&mut self, now: Duration, progress: bool, wanted: bool) {
        match &mut self.waits {
            Some(wait) if progress => wait.progress = now,
            None if wanted => self.waits = Some(Wait { since: now, progress: now }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: u32 = 100;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    fn primed() -> Priming {
        let mut priming = Priming::default();
        priming.turn(at(0), NEEDED, NEEDED, false, false);
        priming
    }

    #[test]
    fn what_is_cold_lacks_copies_until_it_had_them_and_stays_warm_while_it_works() {
        let mut priming = Priming::default();
        assert_eq!((priming.lacks(NEEDED, 0), priming.lacks(NEEDED, 30)), (100, 70));
        priming.turn(at(0), 60, NEEDED, false, false);
        assert_eq!((priming.lacks(NEEDED, 30), priming.holds(at(0))), (10, true));
        priming.turn(at(1), 40, NEEDED, false, false);
        assert_eq!((priming.lacks(NEEDED, 0), priming.holds(at(1))), (0, false));
        for minute in 0..20 {
            priming.turn(at(60 * minute), 1, NEEDED, false, false);
            priming.turn(at(60 * minute + 30), 0, 4 * NEEDED, false, false);
        }
        assert!(priming.is_warm(), "endpoints that join do not make the resource cold");
    }

    #[test]
    fn ten_minutes_without_work_make_it_cold_again() {
        let mut priming = primed();
        priming.turn(at(599), 0, NEEDED, false, false);
        assert!(priming.is_warm());
        priming.turn(at(600), 0, NEEDED, false, false);
        assert_eq!((priming.is_warm(), priming.lacks(NEEDED, 0)), (false, NEEDED));
        priming.turn(at(601), 0, NEEDED, true, false);
        assert!(priming.is_warm(), "the operator tells that it has its share");
    }

    #[test]
    fn a_share_that_is_wanted_waits_while_copies_come_and_for_a_minute_at_most() {
        let mut steady = Priming::default();
        for second in 0..60 {
            steady.turn(at(second), 1, 1000, false, true);
            assert!(steady.holds(at(second)), "{second}");
        }
        assert!(!steady.holds(at(60)));
        let mut stalled = Priming::default();
        stalled.turn(at(0), 0, NEEDED, false, true);
        assert!(stalled.holds(at(4)) && !stalled.holds(at(5)));
    }
}
