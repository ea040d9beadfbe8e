//! The warm-up hook: which endpoints are to be called before an alternate gets its first share, and what an answer
//! changes.
//!
//! A caller asks [`Hooks::due`] once a tick, makes the calls, reports the answers by [`Hooks::answered`], and lets
//! the planner hold the first share back while [`Hooks::is_waiting`]. A hook is a courtesy: after a few tries the
//! alternate gets its ramp without it, and saturation does not wait.

use std::{collections::BTreeMap, time::Duration};

/// An alternate that got nothing for this long is cold again.
pub const COOL_AFTER: Duration = Duration::from_mins(10);

/// An endpoint is called at most so many times.
pub const TRIES: u32 = 3;

/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longer than this no first share waits, whatever is still open: with many endpoints calls queue.
const PATIENCE: Duration = Duration::from_mins(1);

/// An alternate, and whether its endpoints are due to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookTarget<'a> {
    /// Name of the Service.
    pub name: &'a str,
    /// What tells its ready endpoints apart.
    pub endpoints: Vec<&'a str>,
    /// The plan gives it a share, now or as soon as it is warm.
    pub wanted: bool,
    /// It has a share already, or had one lately.
    pub warm: bool,
}

/// One call to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The alternate.
    pub alternate: String,
    /// The endpoint.
    pub endpoint: String,
    /// 1 for the first try.
    pub attempt: u32,
}

/// How the calls of one alternate went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookProgress {
    /// Name of the Service.
    pub alternate: String,
    /// Endpoints that answered as they should.
    pub answered: u32,
    /// Endpoints whose answer is still waited for.
    pub pending: u32,
    /// Endpoints that were given up.
    pub failed: u32,
    /// What went wrong last.
    pub problem: Option<String>,
}

/// Calls of one route. A default one has made no call.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    alternates: BTreeMap<String, Alternate>,
}

#[derive(Clone, Debug)]
struct Alternate {
    since: Duration,
    endpoints: BTreeMap<String, State>,
    problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be called from then on.
    Due { attempt: u32, from: Duration },
    /// Called, not answered.
    UnderWay { attempt: u32 },
    /// Answered as it should.
    Answered,
    /// Called often enough.
    GivenUp,
}

impl Hooks {
    /// The calls to make now. Endpoints that an alternate had when it was first seen warm count as called: a restart
    /// calls no endpoint twice. One that joins a warm alternate is called and not waited for. An alternate that is neither
    /// wanted nor warm is forgotten, so that it is called anew when its turn comes again.
    pub fn due(&mut self, targets: &[HookTarget<'_>], now: Duration) -> Vec<Call> {
        self.alternates.retain(|name, _| targets.iter().any(|c| c.name == name && (c.wanted || c.warm)));
        let mut calls = Vec::new();
        for target in targets.iter().filter(|c| c.wanted || c.warm) {
            let known = self.alternates.contains_key(target.name);
            let first =
                if target.warm && !known { State::Answered } else { State::Due { attempt: 1, from: now } };
            let new = || Alternate { since: now, endpoints: BTreeMap::new(), problem: None };
            let alternate = self.alternates.entry(target.name.to_owned()).or_insert_with(new);
            alternate.follow(&target.endpoints, first);
            calls.extend(alternate.call(target.name, now));
        }
        calls
    }

    /// Takes note of an answer: `Err` says in a few words what was wrong with it. Answers of endpoints that are gone
    /// change nothing.
    pub fn answered(&mut self, alternate: &str, endpoint: &str, answer: Result<(), String>, now: Duration) {
        let Some(alternate) = self.alternates.get_mut(alternate) else { return };
        let Some(state) = alternate.endpoints.get_mut(endpoint) else { return };
        let State::UnderWay { attempt } = *state else { return };
        *state = match answer {
            Ok(()) => State::Answered,
            Err(problem) => {
                alternate.problem = Some(format!("{endpoint}: {problem}"));
                if attempt >= TRIES {
                    State::GivenUp
                } else {
                    let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                    State::Due { attempt: attempt + 1, from: now.saturating_add(pause) }
                }
            }
        };
    }

    /// Whether an alternate's first share must wait: nobody has been called yet, or not everybody has answered and a
    /// minute is not over.
    #[must_use]
    pub fn is_waiting(&self, alternate: &str, now: Duration) -> bool {
        self.alternates.get(alternate).is_none_or(|a| {
            now.saturating_sub(a.since) < PATIENCE && a.endpoints.values().any(|state| state.is_open())
        })
    }

    /// How the calls of every alternate went, by name.
    #[must_use]
    pub fn progress(&self) -> Vec<HookProgress> {
        self.alternates.iter().map(|(name, alternate)| alternate.progress(name)).collect()
    }
}

impl Alternate {
    fn follow(&mut self, endpoints: &[&str], first: State) {
        self.endpoints.retain(|endpoint, _| endpoints.contains(&endpoint.as_str()));
        for &endpoint in endpoints {
            self.endpoints.entry(endpoint.to_owned()).or_insert(first);
        }
    }

    fn call(&mut self, name: &str, now: Duration) -> Vec<Call> {
        let mut calls = Vec::new();
        for (endpoint, state) in &mut self.endpoints {
            if let State::Due { attempt, from } = *state
                && from <= now
            {
                *state = State::UnderWay { attempt };
                calls.push(Call { alternate: name.to_owned(), endpoint: endpoint.clone(), attempt });
            }
        }
        calls
    }

    fn progress(&self, name: &str) -> HookProgress {
        let count =
            |is: fn(&State) -> bool| self.endpoints.values().filter(|&state| is(state)).count() as u32;
        let mut progress = HookProgress {
            alternate: name.to_owned(),
            answered: count(|state| *state == State::Answered),
            pending: count(|state| state.is_open()),
            failed: count(|state| *state == State::GivenUp),
            problem: None,
        };
        let troubled = progress.failed > 0 || progress.pending > 0;
        progress.problem = self.problem.clone().filter(|_| troubled);
        progress
    }
}

impl State {
    fn is_open(self) -> bool {
        matches!(self, Self::Due { .. } | Self::UnderWay { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_hours(1);

    fn cold(endpoints: &[&'static str]) -> HookTarget<'static> {
        HookTarget { name: "b", endpoints: endpoints.to_vec(), wanted: true, warm: false }
    }

    fn called(hooks: &mut Hooks, target: HookTarget<'_>, now: Duration) -> Vec<(String, u32)> {
        hooks.due(&[target], now).into_iter().map(|call| (call.endpoint, call.attempt)).collect()
    }

    #[test]
    fn every_endpoint_of_a_cold_alternate_is_called_once_and_waited_for() {
        let mut hooks = Hooks::default();
        assert!(hooks.is_waiting("b", NOW), "nobody has been called yet");
        let calls = called(&mut hooks, cold(&["x", "y"]), NOW);
        assert_eq!(calls, [("x".to_owned(), 1), ("y".to_owned(), 1)]);
        assert!(called(&mut hooks, cold(&["x", "y"]), NOW).is_empty());
        hooks.answered("b", "x", Ok(()), NOW);
        assert!(hooks.is_waiting("b", NOW));
        hooks.answered("b", "y", Ok(()), NOW);
        assert!(!hooks.is_waiting("b", NOW));
        let progress = HookProgress { alternate: "b".into(), answered: 2, ..HookProgress::default() };
        assert_eq!(hooks.progress(), [progress]);
    }

    #[test]
    fn an_alternate_that_nobody_wants_is_not_called() {
        let mut hooks = Hooks::default();
        assert!(called(&mut hooks, HookTarget { wanted: false, ..cold(&["x"]) }, NOW).is_empty());
    }

    #[test]
    fn a_failure_is_tried_again_after_growing_pauses_and_then_given_up() {
        let mut hooks = Hooks::default();
        let mut tries = Vec::new();
        for tenth in 0..200 {
            let now = NOW + Duration::from_millis(tenth * 100);
            for (endpoint, attempt) in called(&mut hooks, cold(&["x"]), now) {
                tries.push((tenth * 100, attempt));
                hooks.answered("b", &endpoint, Err("status 503".into()), now);
            }
        }
        assert_eq!(tries, [(0, 1), (1000, 2), (3000, 3)]);
        assert!(!hooks.is_waiting("b", NOW + Duration::from_secs(4)), "it gets its ramp without the hook");
        let progress = &hooks.progress()[0];
        assert_eq!((progress.answered, progress.pending, progress.failed), (0, 0, 1));
        assert_eq!(progress.problem.as_deref(), Some("x: status 503"));
    }

    #[test]
    fn a_hook_that_never_answers_is_waited_for_a_minute_at_most() {
        let mut hooks = Hooks::default();
        called(&mut hooks, cold(&["x"]), NOW);
        assert!(hooks.is_waiting("b", NOW + Duration::from_secs(59)));
        assert!(!hooks.is_waiting("b", NOW + PATIENCE));
        assert_eq!(hooks.progress()[0].pending, 1);
    }

    #[test]
    fn a_success_after_a_failure_leaves_no_complaint() {
        let mut hooks = Hooks::default();
        called(&mut hooks, cold(&["x"]), NOW);
        hooks.answered("b", "x", Err("no answer within 5 s".into()), NOW);
        assert!(hooks.progress()[0].problem.is_some());
        called(&mut hooks, cold(&["x"]), NOW + FIRST_PAUSE);
        hooks.answered("b", "x", Ok(()), NOW + FIRST_PAUSE);
        assert_eq!(hooks.progress()[0].problem, None);
    }

    #[test]
    fn after_a_restart_a_warm_alternate_is_not_called_again_but_a_newcomer_is() {
        let mut hooks = Hooks::default();
        let warm = |endpoints: &[&'static str]| HookTarget { warm: true, ..cold(endpoints) };
        assert!(called(&mut hooks, warm(&["x"]), NOW).is_empty());
        assert_eq!(called(&mut hooks, warm(&["x", "new"]), NOW), [("new".to_owned(), 1)]);
    }

    #[test]
    fn an_alternate_that_went_cold_is_called_anew() {
        let mut hooks = Hooks::default();
        called(&mut hooks, cold(&["x"]), NOW);
        hooks.answered("b", "x", Ok(()), NOW);
        called(&mut hooks, HookTarget { wanted: false, ..cold(&["x"]) }, NOW);
        assert!(hooks.is_waiting("b", NOW));
        assert_eq!(called(&mut hooks, cold(&["x"]), NOW).len(), 1);
    }

    #[test]
    fn endpoints_that_leave_are_not_waited_for_and_their_answers_change_nothing() {
        let mut hooks = Hooks::default();
        called(&mut hooks, cold(&["x", "y"]), NOW);
        hooks.answered("b", "y", Ok(()), NOW);
        called(&mut hooks, cold(&["y"]), NOW);
        assert!(!hooks.is_waiting("b", NOW));
        hooks.answered("b", "x", Err("late".into()), NOW);
        hooks.answered("nobody", "x", Ok(()), NOW);
        assert_eq!(hooks.progress()[0].problem, None);
    }
}
