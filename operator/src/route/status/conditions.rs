//! The conditions of a route, each with a sentence that says what is or what to do.

use foreshift_api::{
    JournalRouteSpec,
    journal_route::{Mode, condition},
};
use foreshift_engine::{
    forecast::Rung,
    resource::{Freshness, Readiness},
    warm_up::Standing,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::Facts;
use crate::route::{
    plan::Plan,
    validate::{Problem, ValidRoute},
    verdicts::Verdicts,
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
        (condition::ACCEPTED, Some(accepted(problems))),
        (condition::RESOLVED_REFS, Some(resolved(problems, planned))),
        (condition::PERSONAS_FRESH, planned.map(|(plan, _)| fresh(plan))),
        (condition::FORECAST_TRUSTED, planned.map(|(plan, valid)| trusted(plan, valid))),
        (condition::SHADOW_READY, planned.and_then(|(plan, _)| Some(shadow_ready(plan.shadow.as_ref()?)))),
        (condition::HOOK_ANSWERED, planned.and_then(|(plan, _)| Some(hook_answered(plan.hooks.as_ref()?)))),
        (condition::PROGRAMMED, Some(programmed(facts))),
        (condition::CONTESTED, Some(contested(facts))),
    ]
    .into_iter()
    .filter(|&(type_, _)| applies(type_, &facts.route.spec))
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

fn accepted(problems: &[Problem]) -> Said {
    told(problems, condition::ACCEPTED).unwrap_or_else(|| yes("Accepted", "the route makes sense".into()))
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

/// Whether a condition has a place on a route.
fn applies(type_: &str, spec: &JournalRouteSpec) -> bool {
    match type_ {
        condition::SHADOW_READY => spec.shadow.is_some(),
        condition::HOOK_ANSWERED => spec.warm_up.hook.is_some() && spec.mode == Mode::Active,
        _ => true,
    }
}

fn shadow_ready(verdicts: &[Verdicts]) -> Said {
    let of = |readiness| {
        let names: Vec<String> = verdicts
            .iter()
            .filter(|v| v.readiness == readiness)
            .map(|v| format!("`{}`{}", v.alternate, seen(v)))
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(unfit) = of(Readiness::NotReady) {
        return no("NotReady", format!("gets no entries: {unfit}"));
    }
    match of(Readiness::Inconclusive) {
        Some(open) => Said {
            status: "Unknown",
            reason: "Inconclusive",
            message: format!("not yet known: {open}; the entry router sends shadow entries in its windows"),
        },
        None => yes("Ready", "shadow entries show every alternate to be fit".into()),
    }
}

fn seen(verdicts: &Verdicts) -> String {
    let Some(by) = &verdicts.by else { return " (no shadow entries were seen)".into() };
    let (latency, errors) = (by.latency_ratio, by.excess_errors);
    let latency = if latency.high.is_finite() {
        format!("latency {:.2} to {:.2} times the lead's", latency.low, latency.high)
    } else {
        "latency not known".into()
    };
    format!(
        " ({} copies, {latency}, errors {:+.1} to {:+.1} % against the lead's)",
        by.entries,
        100.0 * errors.low,
        100.0 * errors.high
    )
}

fn hook_answered(standings: &[Standing]) -> Said {
    let told = |count: fn(&Standing) -> u32| -> Option<String> {
        let one = |standing: &Standing| {
            let of = standing.answered + standing.pending + standing.failed;
            let problem = standing.problem.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            format!("{} of {of} endpoints of `{}`{problem}", count(standing), standing.alternate)
        };
        let all: Vec<String> = standings.iter().filter(|s| count(s) > 0).map(one).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    if let Some(failed) = told(|standing| standing.failed) {
        return no("GivenUp", format!("did not answer: {failed}; the ramp goes on without them"));
    }
    match told(|standing| standing.pending) {
        Some(open) => Said {
            status: "Unknown",
            reason: "Calling",
            message: format!("waiting for {open}; the first share comes when they answered"),
        },
        None => yes("Answered", "every endpoint that was called answered".into()),
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
