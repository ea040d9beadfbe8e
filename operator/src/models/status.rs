//! What people see of a model: its status, and one event a change. Pure.

use std::time::Duration;

use foreshift_api::{
    Decimal, LoadModelStatus,
    load_model::{ModelRole, ModelSkill, Rejection, condition},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::runtime::events::{Event, EventType};

use super::{
    casting::{Candidate, Change, Part},
    short,
};
use crate::events::event;

/// Figures that only moved are told this often.
const FIGURES_EVERY: Duration = Duration::from_secs(30);

/// The status of a model that plays a part. `refused`: why its newest file is not used.
pub(super) fn next(
    candidate: &Candidate,
    part: &Part,
    refused: Option<&str>,
    previous: &LoadModelStatus,
    now: Timestamp,
) -> LoadModelStatus {
    let digest = candidate.model.as_ref().ok().map(|model| short(model.digest()).to_owned());
    let mut status = LoadModelStatus {
        role: Some(part.role),
        skill: skill(candidate),
        conditions: vec![sound(refused, &previous.conditions, now)],
        digest: digest.clone().or_else(|| previous.digest.clone()),
        ..previous.clone()
    };
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
pub(super) fn events(part: &Part, refused: Option<&str>, told: &LoadModelStatus) -> Vec<Event> {
    let mut events = Vec::new();
    match &part.change {
        Some(Change::Promoted(why)) => events.push(event(EventType::Normal, "Promoted", "Cast", why)),
        Some(Change::Rejected(why)) => events.push(event(EventType::Warning, "Rejected", "Cast", why)),
        None => {}
    }
    let was = told.conditions.iter().find(|condition| condition.type_ == condition::SOUND);
    if let Some(why) = refused.filter(|why| was.is_none_or(|was| was.message != **why)) {
        events.push(event(EventType::Warning, "Refused", "Prove", why));
    }
    events
}

fn skill(candidate: &Candidate) -> Option<ModelSkill> {
    let standing = candidate.standing;
    (standing.forecasts > 0).then(|| ModelSkill {
        score: Decimal::rounded(standing.skill(), 2),
        pinball: Decimal::rounded(standing.loss, 4),
        baseline: Decimal::rounded(standing.baseline, 4),
        coverage_p90: Decimal::rounded(standing.coverage, 2),
        forecasts: standing.forecasts as i64,
    })
}

fn sound(refused: Option<&str>, previous: &[Condition], now: Timestamp) -> Condition {
    let (status, reason, message) = match refused {
        None => ("True", "Proved", "it passed every check in a process of its own"),
        Some(why) => ("False", "Refused", why),
    };
    let before = previous.iter().find(|before| before.type_ == condition::SOUND && before.status == status);
    Condition {
        type_: condition::SOUND.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: None,
        last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures::later, models::contest::Standing};

    fn candidate(forecasts: usize) -> Candidate {
        let standing = Standing { forecasts, full: true, loss: 0.04, baseline: 0.05, coverage: 0.912 };
        Candidate {
            name: "new".into(),
            created: None,
            pinned: false,
            built_in: false,
            role: None,
            turned_down: None,
            model: Err("no ONNX file".into()),
            standing,
        }
    }

    fn part(role: ModelRole, change: Option<Change>) -> Part {
        Part { role, change }
    }

    #[test]
    fn a_status_tells_the_part_the_figures_and_why_a_model_was_turned_down() {
        let rejected = part(ModelRole::Rejected, Some(Change::Rejected("worse".into())));
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
        let promoted = part(ModelRole::Champion, Some(Change::Promoted("better".into())));
        let first = next(&candidate(0), &promoted, None, &LoadModelStatus::default(), later(0));
        let later_on = next(&candidate(0), &part(ModelRole::Champion, None), None, &first, later(60));
        assert_eq!(later_on.promoted_at, Some(Time(later(0))));
        assert!(later_on.skill.is_none() && later_on.last_rejection.is_none());
        assert_eq!(later_on.conditions[0].last_transition_time, Time(later(0)));
    }

    #[test]
    fn a_change_is_told_at_once_and_figures_now_and_then() {
        let champion = part(ModelRole::Champion, None);
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
        let standby = part(ModelRole::Standby, None);
        let told = next(&candidate(0), &standby, Some("bad"), &LoadModelStatus::default(), later(0));
        let reasons = |told: &LoadModelStatus, why| {
            events(&standby, Some(why), told).into_iter().map(|event| event.reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&LoadModelStatus::default(), "bad"), ["Refused"]);
        assert!(reasons(&told, "bad").is_empty());
        assert_eq!(reasons(&told, "worse"), ["Refused"]);
    }
}
