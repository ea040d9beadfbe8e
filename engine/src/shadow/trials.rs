//! One trial of an alternate after the other, each judged at the end of a window.

use std::time::Duration;

use super::{HOLDS_FOR, Observation, Shadow, Trial, Verdict, Window};
use crate::resource::Readiness;

/// The trial that runs and the verdict that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trials {
    trial: Trial,
    /// Windows that the trial has seen the end of.
    windows: u32,
    open: Option<Window>,
    verdict: Option<Verdict>,
}

impl Trials {
    /// Counts an entry that was copied: what it took as an original and as a copy.
    pub(super) fn observe(&mut self, original: Option<f64>, copy: Option<f64>) {
        self.trial.observe(Observation::Original(original));
        self.trial.observe(Observation::Copy(copy));
    }

    /// To be called once a tick with the window of that moment. The trial is judged when a window ends, and only then.
    pub(super) fn turn(&mut self, shadow: &Shadow, window: Option<Window>, now: Duration) {
        let ended = self.open.is_some_and(|open| window.is_none_or(|window| window.number != open.number));
        self.open = window;
        if ended && self.trial.copies() > 0 {
            self.conclude(shadow, now);
        }
    }

    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    pub(super) fn copies(&self) -> u32 {
        self.trial.copies()
    }

    /// A trial without a clear end goes on through the next windows, up to three; until then an older verdict stands.
    fn conclude(&mut self, shadow: &Shadow, now: Duration) {
        let verdict = self.trial.judge(shadow, now);
        self.windows += 1;
        let is_over = verdict.readiness != Readiness::Inconclusive || self.windows >= HOLDS_FOR;
        let is_open = self.verdict.is_none_or(|before| before.readiness == Readiness::Inconclusive);
        if is_over || is_open {
            self.verdict = Some(verdict);
        }
        if is_over {
            (self.trial, self.windows) = (Trial::default(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(number: u64) -> Window {
        let since = Duration::from_mins(10 * number);
        Window { number, since, until: since + Duration::from_mins(1) }
    }

    /// A window with so many copies that take `ratio` times as long as their originals.
    fn seen(trials: &mut Trials, number: u64, copies: u32, ratio: f64) -> Option<(Readiness, u32)> {
        let (shadow, start) = (Shadow::default(), Duration::from_mins(10 * number));
        trials.turn(&shadow, Some(window(number)), start);
        for n in 0..copies {
            let original = 0.01 * (1.0 + f64::from(n % 10) / 10.0);
            trials.observe(Some(original), (ratio > 0.0).then_some(original * ratio));
        }
        trials.turn(&shadow, None, start + Duration::from_mins(1));
        trials.verdict().map(|verdict| (verdict.readiness, verdict.entries))
    }

    #[test]
    fn a_trial_is_judged_when_its_window_ends_and_not_before() {
        let mut trials = Trials::default();
        trials.turn(&Shadow::default(), Some(window(1)), Duration::from_mins(10));
        for _ in 0..400 {
            trials.observe(Some(0.01), Some(0.01));
        }
        trials.turn(&Shadow::default(), Some(window(1)), Duration::from_secs(630));
        assert_eq!(trials.verdict(), None);
        trials.turn(&Shadow::default(), Some(window(2)), Duration::from_mins(20));
        assert_eq!(trials.verdict().map(|v| v.readiness), Some(Readiness::Ready));
        assert_eq!(trials.copies(), 0, "the next trial begins");
    }

    #[test]
    fn few_copies_add_up_over_three_windows() {
        let mut trials = Trials::default();
        assert_eq!(seen(&mut trials, 1, 0, 1.0), None);
        assert_eq!(seen(&mut trials, 2, 150, 1.0), Some((Readiness::Inconclusive, 150)));
        assert_eq!(seen(&mut trials, 3, 150, 1.0), Some((Readiness::Inconclusive, 300)));
        assert_eq!(seen(&mut trials, 4, 150, 1.0), Some((Readiness::Ready, 450)));
        assert_eq!(seen(&mut trials, 5, 100, 0.0), Some((Readiness::NotReady, 100)));
    }

    #[test]
    fn a_verdict_stands_while_the_next_is_open_and_gives_way_when_that_stays_so() {
        let mut trials = Trials::default();
        assert_eq!(seen(&mut trials, 1, 400, 1.0), Some((Readiness::Ready, 400)));
        assert_eq!(seen(&mut trials, 2, 50, 1.0), Some((Readiness::Ready, 400)));
        assert_eq!(seen(&mut trials, 3, 50, 1.0), Some((Readiness::Ready, 400)));
        assert_eq!(seen(&mut trials, 4, 50, 1.0), Some((Readiness::Inconclusive, 150)));
    }
}
