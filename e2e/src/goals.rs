//! What the demo must show, held against a summary. Pure.

use crate::{outcome::Outcome, route::Run, shape::Shape, summary::Summary};

/// One goal and how a demo did on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// What is asked.
    pub text: String,
    /// What was measured.
    pub measured: String,
    /// Whether it was reached.
    pub reached: bool,
    /// Whether the demo has failed without it. The others depend on how quiet the machine was.
    pub required: bool,
}

/// Part of the reactive run's saturated seconds that is allowed on a ramp.
const SATURATED_PART: f64 = 0.05;
/// Least seconds from the first share to the saturation of the lead-only run, on the ramp.
const LEAD_TIME: f64 = 15.0;
/// The same on the short ramp, whose rise takes 65 s and not 90 s.
const SHORT_LEAD_TIME: f64 = 10.0;
/// Most that may be moved, as a multiple of what had to.
const EXCESS: f64 = 1.2;
/// Share changes on a ramp and the jump.
const CHANGES: usize = 12;
/// Share changes for each tooth of the saw.
const CHANGES_A_TOOTH: u32 = 2;

/// The same through the router.
const ROUTER_EXCESS: f64 = 1.1;
/// Parts of the reactive run's saturated seconds and p99 that are allowed through the router where load jumps.
const ROUTER_SATURATED_PART: f64 = 0.5;
const ROUTER_P99_PART: f64 = 0.8;

/// The goals that the runs in `summary` can be held against.
#[must_use]
pub fn goals(summary: &Summary) -> Vec<Goal> {
    let mut goals: Vec<_> = summary
        .runs()
        .flat_map(|(run, outcome)| {
            [
                goal(
                    true,
                    format!("{}: no acknowledged entry is lost", run.title()),
                    format!("{} of {}", outcome.lost, outcome.acknowledged),
                    outcome.lost == 0,
                ),
                goal(
                    true,
                    format!("{}: entries are acknowledged", run.title()),
                    format!("{} of {}", outcome.acknowledged, outcome.sent),
                    outcome.acknowledged > 0,
                ),
            ]
        })
        .collect();
    if summary.meta.router {
        let driven =
            [Run::Foreshift, Run::KeptAlive].into_iter().filter_map(|run| Some((run, summary.of(run)?)));
        goals.extend(driven.flat_map(|(run, outcome)| {
            through_router(run, outcome, summary.reactive.as_ref(), summary.meta.shape)
        }));
    } else if let Some(foreshift) = &summary.foreshift {
        goals.extend(own(foreshift, summary.meta.shape));
        if let Some(reactive) = &summary.reactive {
            goals.extend(against(foreshift, reactive, summary.meta.shape));
        }
        if summary.lead_only.is_some()
            && let Some(least) = lead_time(summary.meta.shape)
        {
            let ahead = foreshift.first_shift_lead_time_s;
            goals.push(goal(
                false,
                format!("the first share moves at least {least:.0} s before the lead alone saturates"),
                ahead.map_or("not known".into(), |s| format!("{s:.1} s before")),
                ahead.is_some_and(|s| s >= least),
            ));
        }
    }
    goals
}

/// How early the first share must move; `None` where the rise leaves no time for it.
fn lead_time(shape: Shape) -> Option<f64> {
    match shape {
        Shape::Ramp => Some(LEAD_TIME),
        Shape::ShortRamp => Some(SHORT_LEAD_TIME),
        Shape::Flash | Shape::Saw => None,
    }
}

fn own(foreshift: &Outcome, shape: Shape) -> Vec<Goal> {
    let changes = if shape == Shape::Saw { (shape.teeth() * CHANGES_A_TOOTH) as usize } else { CHANGES };
    let mut goals = vec![goal(
        false,
        format!("at most {changes} share changes"),
        foreshift.share_changes.to_string(),
        foreshift.share_changes <= changes,
    )];
    if shape.is_ramp() {
        goals.push(goal(
            false,
            format!("at most {EXCESS} times the share that had to move is moved"),
            format!("{:.3} for {:.3}", foreshift.shifted_share, foreshift.needed_share),
            foreshift.shifted_share <= EXCESS * foreshift.needed_share,
        ));
    }
    goals
}

fn against(foreshift: &Outcome, reactive: &Outcome, shape: Shape) -> [Goal; 2] {
    let (asked, most) = if shape.is_ramp() {
        let part = format!("at most {:.0} % of the reactive run's saturated seconds", SATURATED_PART * 100.0);
        (part, f64::from(reactive.saturated_seconds) * SATURATED_PART)
    } else {
        ("no more saturated seconds than the reactive run".into(), f64::from(reactive.saturated_seconds))
    };
    [
        goal(
            false,
            asked,
            format!("{} against {}", foreshift.saturated_seconds, reactive.saturated_seconds),
            f64::from(foreshift.saturated_seconds) <= most,
        ),
        goal(
            false,
            "p99 no higher than the reactive run's".into(),
            format!("{} against {}", milliseconds(foreshift.p99_ms), milliseconds(reactive.p99_ms)),
            foreshift.p99_ms.zip(reactive.p99_ms).is_some_and(|(ours, theirs)| ours <= theirs),
        ),
    ]
}

/// Through the router every single entry is placed, so more is asked of it, and changes of shares mean nothing.
fn through_router(run: Run, outcome: &Outcome, reactive: Option<&Outcome>, shape: Shape) -> Vec<Goal> {
    let title = run.title();
    if shape.is_ramp() {
        return vec![
            goal(
                false,
                format!("{title}: the lead is never saturated"),
                format!("{} s", outcome.saturated_seconds),
                outcome.saturated_seconds == 0,
            ),
            goal(
                false,
                format!("{title}: at most {ROUTER_EXCESS} times the share that had to move is moved"),
                format!("{:.3} for {:.3}", outcome.shifted_share, outcome.needed_share),
                outcome.shifted_share <= ROUTER_EXCESS * outcome.needed_share,
            ),
        ];
    }
    let Some(reactive) = reactive else { return Vec::new() };
    vec![
        goal(
            false,
            format!(
                "{title}: at most {:.0} % of the reactive run's saturated seconds",
                ROUTER_SATURATED_PART * 100.0
            ),
            format!("{} against {}", outcome.saturated_seconds, reactive.saturated_seconds),
            f64::from(outcome.saturated_seconds)
                <= ROUTER_SATURATED_PART * f64::from(reactive.saturated_seconds),
        ),
        goal(
            false,
            format!("{title}: p99 at most {ROUTER_P99_PART} times the reactive run's"),
            format!("{} against {}", milliseconds(outcome.p99_ms), milliseconds(reactive.p99_ms)),
            outcome
                .p99_ms
                .zip(reactive.p99_ms)
                .is_some_and(|(ours, theirs)| ours <= ROUTER_P99_PART * theirs),
        ),
    ]
}

fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or("none".into(), |ms| format!("{ms:.1} ms"))
}

fn goal(required: bool, text: String, measured: String, reached: bool) -> Goal {
    Goal { text, measured, reached, required }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::empty;

    fn summary() -> Summary {
        let mut summary = empty();
        let common = Outcome { sent: 100, acknowledged: 100, ..Outcome::default() };
        summary.add(Run::LeadOnly, Outcome { saturated_from_s: Some(60.0), ..common.clone() });
        summary.add(Run::Reactive, Outcome { saturated_seconds: 20, p99_ms: Some(30.0), ..common.clone() });
        let foreshift = Outcome {
            saturated_seconds: 1,
            p99_ms: Some(20.0),
            first_shift_s: Some(45.0),
            shifted_share: 0.36,
            needed_share: 0.3,
            share_changes: 12,
            ..common
        };
        summary.add(Run::Foreshift, foreshift);
        summary
    }

    #[test]
    fn a_demo_that_just_reaches_every_goal_reaches_them_all() {
        let goals = goals(&summary());
        assert_eq!(goals.len(), 11);
        assert!(goals.iter().all(|goal| goal.reached), "{goals:#?}");
    }

    #[test]
    fn a_lost_entry_fails_the_demo_and_a_noisy_figure_does_not() {
        let mut summary = summary();
        summary.reactive.as_mut().unwrap().lost = 1;
        summary.foreshift.as_mut().unwrap().share_changes = 13;
        let missed: Vec<_> = goals(&summary).into_iter().filter(|goal| !goal.reached).collect();
        assert_eq!(missed.iter().map(|goal| goal.required).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_run_alone_is_held_against_nothing_that_is_not_there() {
        let mut summary = summary();
        (summary.lead_only, summary.reactive) = (None, None);
        assert_eq!(goals(&summary).len(), 4);
    }

    #[test]
    fn the_short_ramp_is_held_to_the_goals_of_the_ramp_with_less_time_ahead() {
        let mut summary = summary();
        let texts = |summary: &Summary| goals(summary).into_iter().map(|goal| goal.text).collect::<Vec<_>>();
        let full = texts(&summary);
        summary.meta.shape = Shape::ShortRamp;
        let short = texts(&summary);
        let changed: Vec<_> = full.iter().zip(&short).filter(|(a, b)| a != b).map(|(_, b)| b).collect();
        assert_eq!(full.len(), short.len());
        assert_eq!(changed, ["the first share moves at least 10 s before the lead alone saturates"]);
    }

    #[test]
    fn a_saw_may_change_twice_a_tooth() {
        let mut summary = summary();
        summary.meta.shape = Shape::Saw;
        let changes = |summary: &Summary| {
            goals(summary).into_iter().find(|goal| goal.text.contains("share changes")).unwrap().reached
        };
        assert!(!changes(&summary));
        summary.foreshift.as_mut().unwrap().share_changes = 6;
        assert!(changes(&summary));
    }

    #[test]
    fn through_the_router_both_kinds_of_connections_are_held_to_its_own_goals() {
        let mut summary = summary();
        summary.meta.router = true;
        summary.add(Run::KeptAlive, Outcome { shifted_share: 0.33, needed_share: 0.3, ..Outcome::default() });
        let missed = |summary: &Summary| {
            let missed = goals(summary).into_iter().filter(|goal| !goal.reached && !goal.required);
            missed.map(|goal| goal.text).collect::<Vec<_>>()
        };
        assert_eq!(
            missed(&summary).len(),
            2,
            "a second too many, and a tenth too much: {:?}",
            missed(&summary)
        );
        summary.meta.shape = Shape::Flash;
        summary.kept_alive.as_mut().unwrap().p99_ms = Some(24.1);
        assert_eq!(missed(&summary), ["kept alive: p99 at most 0.8 times the reactive run's"]);
    }
}
