//! Which events a transition of a route is, from the statuses before and after it.

use foreshift_api::{
    JournalRouteStatus,
    condition::{ConditionStatus, Reason, RouteCondition, RouteReason, find_condition},
    journal_route::Phase,
};
use foreshift_engine::decision::Decision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::Event;

use crate::events::{EventReason, event};

/// The events of a transition.
#[must_use]
pub fn between(before: &JournalRouteStatus, after: &JournalRouteStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if before.phase != after.phase {
        events.extend(phase(before.phase, after));
    }
    let flips = [
        (RouteCondition::ForecastTrusted, ConditionStatus::False, EventReason::ForecastDistrusted),
        (RouteCondition::Programmed, ConditionStatus::False, EventReason::ProgrammingFailed),
        (RouteCondition::Contested, ConditionStatus::True, EventReason::Contested),
        (RouteCondition::HookAnswered, ConditionStatus::False, EventReason::HookFailed),
        (RouteCondition::ShadowReady, ConditionStatus::False, EventReason::ShadowNotReady),
    ];
    for (type_, bad, reason) in flips {
        let was = find_condition(&before.conditions, type_);
        // The first status of a route is no transition, except into a contest.
        let was_good = was.map_or(bad == ConditionStatus::True, |was| ConditionStatus::of(was) != bad);
        let is = find_condition(&after.conditions, type_);
        if let Some(is) = is.filter(|is| was_good && ConditionStatus::of(is) == bad && !is_asked_for(is)) {
            events.push(event(reason, &is.message));
        }
    }
    events
}

/// The event of a decision that finds no resource with room.
#[must_use]
pub fn insufficient(decision: &Decision) -> Event {
    event(EventReason::InsufficientCapacity, &decision.why())
}

/// Whether the spec asks for what the condition reports.
fn is_asked_for(condition: &Condition) -> bool {
    RouteReason::of(condition) == Some(RouteReason::Observing)
}

fn phase(before: Phase, after: &JournalRouteStatus) -> Option<Event> {
    let why = after.last_decision.as_ref().map_or("", |decision| decision.why.as_str());
    let share = after.lead_share.map_or_else(|| "unknown".into(), |share| share.to_string());
    match (before, after.phase) {
        (Phase::WarmingUp, Phase::Shifting) => None,
        (_, Phase::WarmingUp | Phase::Shifting) => Some(event(EventReason::Shifting, why)),
        (_, Phase::Shifted) => {
            Some(event(EventReason::Shifted, &format!("the lead keeps {share} of the entries")))
        }
        (Phase::Shifted | Phase::Returning | Phase::Shifting | Phase::WarmingUp, Phase::Steady) => {
            Some(event(EventReason::Returned, "the lead takes every entry again"))
        }
        (_, Phase::Degraded) => {
            let note = find_condition(&after.conditions, RouteCondition::PersonasFresh)
                .filter(|condition| ConditionStatus::of(condition) == ConditionStatus::False)
                .map_or("decisions cannot be made as they should; see the conditions", |c| {
                    c.message.as_str()
                });
            Some(event(EventReason::Degraded, note))
        }
        _ => None,
    }
}
