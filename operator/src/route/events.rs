//! Which events a route's transition is, from the two statuses on its sides.

use foreshift_api::{
    JournalRouteStatus,
    journal_route::{Phase, condition},
};
use foreshift_engine::decision::Decision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::events::event;

/// The events of a transition.
#[must_use]
pub fn between(before: &JournalRouteStatus, after: &JournalRouteStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if before.phase != after.phase {
        events.extend(phase(before.phase, after));
    }
    let flips: [(&str, &str, &str); 5] = [
        (condition::FORECAST_TRUSTED, "False", "ForecastDistrusted"),
        (condition::PROGRAMMED, "False", "ProgrammingFailed"),
        (condition::CONTESTED, "True", "Contested"),
        (condition::HOOK_ANSWERED, "False", "HookFailed"),
        (condition::SHADOW_READY, "False", "ShadowNotReady"),
    ];
    for (type_, bad, reason) in flips {
        let (was, is) = (find(before, type_), find(after, type_));
        // The first status of a route is no transition, except into a contest.
        let was_good = was.map_or(bad == "True", |was| was.status != bad);
        if let Some(is) = is.filter(|is| was_good && is.status == bad && is.reason != "Observing") {
            events.push(event(EventType::Warning, reason, "Reconcile", &is.message));
        }
    }
    events
}

/// Nobody has room any more.
#[must_use]
pub fn insufficient(decision: &Decision) -> Event {
    event(EventType::Warning, "InsufficientCapacity", "Plan", &decision.why())
}

fn phase(before: Phase, after: &JournalRouteStatus) -> Option<Event> {
    let why = after.last_decision.as_ref().map_or("", |decision| decision.why.as_str());
    let share = after.lead_share.map_or_else(|| "unknown".into(), |share| share.to_string());
    match (before, after.phase) {
        (Phase::WarmingUp, Phase::Shifting) => None,
        (_, Phase::WarmingUp | Phase::Shifting) => Some(event(EventType::Normal, "Shifting", "Shift", why)),
        (_, Phase::Shifted) => {
            let note = format!("the lead keeps {share} of the entries");
            Some(event(EventType::Normal, "Shifted", "Shift", &note))
        }
        (Phase::Shifted | Phase::Returning | Phase::Shifting | Phase::WarmingUp, Phase::Steady) => {
            Some(event(EventType::Normal, "Returned", "Return", "the lead has everything again"))
        }
        (_, Phase::Degraded) => {
            let note = find(after, condition::PERSONAS_FRESH)
                .filter(|condition| condition.status == "False")
                .map_or("decisions cannot be made as they should; see the conditions", |c| {
                    c.message.as_str()
                });
            Some(event(EventType::Warning, "Degraded", "Plan", note))
        }
        _ => None,
    }
}

fn find<'a>(status: &'a JournalRouteStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}
