//! The conditions of a route, each with a sentence that says what is or what to do.

use foreshift_api::{
    JournalRoute,
    journal_route::{Mode, condition},
};
use foreshift_engine::{forecast::Rung, resource::Freshness};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::Facts;
use crate::route::{
    plan::Plan,
    validate::{Problem, ValidRoute},
};

/// What a condition says.
struct Said {
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// All conditions. One that cannot be judged now stays as it was.
pub(super) fn all(facts: Facts<'_>, previous: &[Condition], now: Timestamp) -> Vec<Condition> {
    let problems = facts.verdict.as_ref().err().map_or(&[][..], Vec::as_slice);
    let outcome = facts.outcome;
    let planned = outcome.plan.as_ref().zip(outcome.in_force.as_ref());
    [
        (condition::ACCEPTED, Some(accepted(facts.route, problems))),
        (condition::RESOLVED_REFS, Some(resolved(problems, planned))),
        (condition::PERSONAS_FRESH, planned.map(|(plan, _)| fresh(plan))),
        (condition::FORECAST_TRUSTED, planned.map(|(plan, valid)| trusted(plan, valid))),
        (condition::PROGRAMMED, Some(programmed(facts))),
        (condition::CONTESTED, Some(contested(facts))),
    ]
    .into_iter()
    .filter_map(|(type_, said)| {
        let before = previous.iter().find(|condition| condition.type_ == type_);
        let Some(said) = said else { return before.cloned() };
        let unflipped = before.filter(|before| before.status == said.status);
        Some(Condition {
            type_: type_.into(),
            status: said.status.into(),
            reason: said.reason.into(),
            message: said.message,
            observed_generation: facts.route.metadata.generation,
            last_transition_time: unflipped.map_or(Time(now), |before| before.last_transition_time.clone()),
        })
    })
    .collect()
}

fn accepted(route: &JournalRoute, problems: &[Problem]) -> Said {
    told(problems, condition::ACCEPTED).unwrap_or_else(|| {
        let unused = route.spec.warm_up.hook.is_some();
        let note = if unused { "; warmUp.hook is not called by this version" } else { "" };
        yes("Accepted", format!("the route makes sense{note}"))
    })
}

fn resolved(problems: &[Problem], planned: Option<(&Plan, &ValidRoute)>) -> Said {
    if let Some(said) = told(problems, condition::RESOLVED_REFS) {
        return said;
    }
    if !problems.is_empty() {
        return Said {
            status: "Unknown",
            reason: "NotAccepted",
            message: "see the condition Accepted".into(),
        };
    }
    let empty = planned.and_then(|(plan, valid)| {
        let (resource, _) = valid.resources().zip(&plan.endpoints).find(|&(_, &endpoints)| endpoints == 0)?;
        Some(&resource.service)
    });
    match empty {
        Some(name) => {
            no("NoEndpoints", format!("`{name}` has no ready endpoint and gets no entries; look at its pods"))
        }
        None => yes("Resolved", "every Service exists and fits its part".into()),
    }
}

fn fresh(plan: &Plan) -> Said {
    let shares = &plan.decision.shares;
    let is_fresh = |share: &foreshift_engine::decision::Share| share.freshness == Freshness::Fresh;
    if shares.first().is_some_and(is_fresh) && shares.iter().skip(1).any(is_fresh) {
        return yes("Fresh", "the lead and at least one alternate are known well enough".into());
    }
    let old: Vec<String> = shares
        .iter()
        .filter(|share| !is_fresh(share))
        .map(|share| format!("`{}` is {}", share.resource, share.freshness.to_string().to_lowercase()))
        .collect();
    no(
        "PersonasMissing",
        format!(
            "what is known of {}; shares stay until it is fresh: look at the node agents and at `kubectl get resourcepersonas`",
            old.join(", ")
        ),
    )
}

fn trusted(plan: &Plan, valid: &ValidRoute) -> Said {
    let trust = &plan.trust;
    match trust.rung {
        Rung::Reactive if valid.ceiling == Rung::Reactive => {
            yes("Reactive", "forecast.strategy asks for no forecast".into())
        }
        Rung::Model => yes("Model", format!("{} forecasts", plan.model)),
        _ => {
            let why = trust.reason.as_deref().unwrap_or("the model has not earned it");
            let refused = plan.refused.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            no("Fallback", format!("{} forecasts instead of the model: {why}{refused}", plan.model))
        }
    }
}

fn programmed(facts: Facts<'_>) -> Said {
    let applied = facts.applied;
    let Some(valid) = &facts.outcome.in_force else {
        return no("NotValid", "nothing was written; correct what the other conditions name".into());
    };
    if let Some(failure) = &applied.failure {
        return no("WriteFailed", format!("the EndpointSlices are not as planned: {failure}"));
    }
    if facts.route.spec.mode == Mode::Observe {
        return no("Observing", "mode is Observe: nothing is written".into());
    }
    match (applied.complete, facts.verdict.is_ok()) {
        (true, true) => yes("Programmed", format!("the EndpointSlices of `{}` are as planned", valid.target)),
        (true, false) => yes("InForce", "the last valid version of this route is in force".into()),
        (false, _) => no(
            "NothingToList",
            format!("there is no endpoint to list for `{}`; see the condition ResolvedRefs", valid.target),
        ),
    }
}

fn contested(facts: Facts<'_>) -> Said {
    match &facts.applied.contested {
        Some(why) => yes("AnotherWriter", why.clone()),
        None => no("Alone", "nobody else writes what this route owns".into()),
    }
}

fn told(problems: &[Problem], type_: &str) -> Option<Said> {
    let mut mine = problems.iter().filter(|problem| problem.condition == type_);
    let first = mine.next()?;
    let messages: Vec<&str> =
        std::iter::once(first).chain(mine).map(|problem| problem.message.as_str()).collect();
    Some(no(first.reason, messages.join("; ")))
}

fn yes(reason: &'static str, message: String) -> Said {
    Said { status: "True", reason, message }
}

fn no(reason: &'static str, message: String) -> Said {
    Said { status: "False", reason, message }
}
