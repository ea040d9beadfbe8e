//! What people see of a model: its status, and one event a change. Pure.

use std::time::Duration;

use foreshift_api::{
    Decimal, LoadModelStatus,
    condition::{ModelCondition, ModelReason, find_condition, set_condition},
    load_model::{ModelRole, ModelSkill, Rejection},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::runtime::events::Event;

use super::{
    promotion::{Assignment, Candidate, Change},
    short,
};
use crate::events::{EventReason, event};

/// Figures that only moved are told this often.
const FIGURES_EVERY: Duration = Duration::from_secs(30);

/// The status of a model that plays a part. `refused`: why its newest file is not used.
pub(super) fn next(
    candidate: &Candidate,
    part: &Assignment,
    refused: Option<&str>,
    previous: &LoadModelStatus,
    now: Timestamp,
) -> LoadModelStatus {
    let digest = candidate.model.as_ref().ok().map(|model| short(model.digest()).to_owned());
    let mut status = LoadModelStatus {
        role: Some(part.role),
        skill: skill(candidate),
        digest: digest.clone().or_else(|| previous.digest.clone()),
        ..previous.clone()
    };
    let (reason, message) = sound(refused);
    set_condition(&mut status.conditions, reason, message, None, &Time(now));
    match &part.change {
        Some(Change::Promoted(_)) => status.promoted_at = Some(Time(now)),
        Some(Change::Rejected(why)) => {
            status.last_rejection = Some(Rejection { at: Time(now), why: why.clone(), digest });
        }
        None => {}
    }
    if part.role == ModelRole::Champion {
        // Whatever was held against it is over.
        status.last_rejection = None;
    }
    status
}

/// Whether people would see a difference that is worth a write, `since` the last one.
pub(super) fn is_due(told: &LoadModelStatus, next: &LoadModelStatus, since: Option<Duration>) -> bool {
    let figures = |status: &LoadModelStatus| status.skill.clone();
    let rest = |status: &LoadModelStatus| LoadModelStatus { skill: None, ..status.clone() };
    rest(told) != rest(next)
        || (figures(told) != figures(next) && since.is_none_or(|since| since >= FIGURES_EVERY))
}

/// The events of what just happened to a model.
pub(super) fn events(part: &Assignment, refused: Option<&str>, told: &LoadModelStatus) -> Vec<Event> {
    let mut events = Vec::new();
    match &part.change {
        Some(Change::Promoted(why)) => events.push(event(EventReason::Promoted, why)),
        Some(Change::Rejected(why)) => events.push(event(EventReason::Rejected, why)),
        None => {}
    }
    let was = find_condition(&told.conditions, ModelCondition::Sound);
    if let Some(why) = refused.filter(|why| was.is_none_or(|was| was.message != **why)) {
        events.push(event(EventReason::Refused, why));
    }
    events
}

fn skill(candidate: &Candidate) -> Option<ModelSkill> {
    let score = candidate.score;
    (score.forecasts > 0).then(|| ModelSkill {
        score: Decimal::rounded(score.skill(), 2),
        pinball: Decimal::rounded(score.loss, 4),
        baseline: Decimal::rounded(score.baseline, 4),
        coverage_p90: Decimal::rounded(score.coverage, 2),
        forecasts: score.forecasts as i64,
    })
}

fn sound(refused: Option<&str>) -> (ModelReason, &str) {
    match refused {
        None => (ModelReason::Proved, "it passed every check in a separate process"),
        Some(why) => (ModelReason::Refused, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures::later, models::scoreboard::Score};

    fn candidate(forecasts: usize) -> Candidate {
        let score = Score { forecasts, full: true, loss: 0.04, baseline: 0.05, coverage: 0.912 };
        Candidate {
            name: "new".into(),
            created: None,
            pinned: false,
            built_in: false,
            role: None,
            rejected_file: None,
            model: Err("no ONNX file".into()),
            score,
        }
    }

    fn assignment(role: ModelRole, change: Option<Change>) -> Assignment {
        Assignment { role, change }
    }

    #[test]
    fn a_status_tells_the_part_the_figures_and_why_a_model_was_rejected_file() {
        let rejected = assignment(ModelRole::Rejected, Some(Change::Rejected("worse".into())));
        let status = next(&candidate(300), &rejected, Some("bad"), &LoadModelStatus::default(), later(0));
        let skill = status.skill.unwrap();
        assert_eq!((skill.score.to_string(), skill.coverage_p90.to_string()), ("0.2".into(), "0.91".into()));
        assert_eq!(status.last_rejection.unwrap().why, "worse");
        assert_eq!(
            (status.conditions[0].status.as_str(), status.conditions[0].message.as_str()),
            ("False", "bad")
        );
    }

    #[test]
    fn a_champion_has_nothing_held_against_it_and_keeps_the_day_of_its_promotion() {
        let promoted = assignment(ModelRole::Champion, Some(Change::Promoted("better".into())));
        let first = next(&candidate(0), &promoted, None, &LoadModelStatus::default(), later(0));
        let later_on = next(&candidate(0), &assignment(ModelRole::Champion, None), None, &first, later(60));
        assert_eq!(later_on.promoted_at, Some(Time(later(0))));
        assert!(later_on.skill.is_none() && later_on.last_rejection.is_none());
        assert_eq!(later_on.conditions[0].last_transition_time, Time(later(0)));
    }

    #[test]
    fn a_change_is_told_at_once_and_figures_now_and_then() {
        let champion = assignment(ModelRole::Champion, None);
        let status =
            |forecasts| next(&candidate(forecasts), &champion, None, &LoadModelStatus::default(), later(0));
        let soon = Some(Duration::from_secs(10));
        assert!(!is_due(&status(300), &status(300), None));
        assert!(!is_due(&status(300), &status(310), soon));
        assert!(is_due(&status(300), &status(310), Some(FIGURES_EVERY)));
        let other = LoadModelStatus { role: Some(ModelRole::Previous), ..status(300) };
        assert!(is_due(&status(300), &other, soon));
    }

    #[test]
    fn a_refusal_is_an_event_once() {
        let standby = assignment(ModelRole::Standby, None);
        let told = next(&candidate(0), &standby, Some("bad"), &LoadModelStatus::default(), later(0));
        let reasons = |told: &LoadModelStatus, why| {
            events(&standby, Some(why), told).into_iter().map(|event| event.reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&LoadModelStatus::default(), "bad"), ["Refused"]);
        assert!(reasons(&told, "bad").is_empty());
        assert_eq!(reasons(&told, "worse"), ["Refused"]);
    }
}
