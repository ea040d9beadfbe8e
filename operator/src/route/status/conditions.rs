//! The conditions of a route, each with a sentence that says what is or what to do.

use foreshift_api::{
    JournalRouteSpec,
    condition::{RouteCondition, RouteReason, set_condition},
    journal_route::Mode,
};
use foreshift_engine::{
    forecast::Rung,
    hooks::HookProgress,
    resource::{Freshness, Readiness},
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

/// A reason and its message.
struct Said(RouteReason, String);

/// All conditions. One that cannot be judged now stays as it was.
pub(super) fn all(facts: Facts<'_>, previous: &[Condition], now: Timestamp) -> Vec<Condition> {
    let spec = &facts.route.spec;
    let mut conditions: Vec<Condition> = previous.iter().filter(|c| is_kept(c, spec)).cloned().collect();
    for Said(reason, message) in judged(facts) {
        if applies(reason.condition(), spec) {
            set_condition(&mut conditions, reason, message, facts.route.metadata.generation, &Time(now));
        }
    }
    conditions
}

/// What can be judged now.
fn judged(facts: Facts<'_>) -> impl Iterator<Item = Said> {
    let problems = facts.verdict.as_ref().err().map_or(&[][..], Vec::as_slice);
    let outcome = facts.outcome;
    let planned = outcome.plan.as_ref().zip(outcome.in_force.as_ref());
    [
        Some(accepted(problems)),
        Some(resolved(problems, planned)),
        planned.map(|(plan, _)| fresh(plan)),
        planned.map(|(plan, valid)| trusted(plan, valid)),
        planned.and_then(|(plan, _)| Some(shadow_ready(plan.shadow.as_ref()?))),
        planned.and_then(|(plan, _)| Some(hook_answered(plan.hooks.as_ref()?))),
        Some(programmed(facts)),
        Some(contested(facts)),
    ]
    .into_iter()
    .flatten()
}

fn is_kept(condition: &Condition, spec: &JournalRouteSpec) -> bool {
    RouteCondition::ALL.iter().any(|&type_| type_.name() == condition.type_ && applies(type_, spec))
}

fn accepted(problems: &[Problem]) -> Said {
    told(problems, RouteCondition::Accepted)
        .unwrap_or_else(|| Said(RouteReason::Accepted, "the spec is valid".into()))
}

fn resolved(problems: &[Problem], planned: Option<(&Plan, &ValidRoute)>) -> Said {
    if let Some(said) = told(problems, RouteCondition::ResolvedRefs) {
        return said;
    }
    if !problems.is_empty() {
        return Said(RouteReason::NotAccepted, "see the condition Accepted".into());
    }
    let empty = planned.and_then(|(plan, valid)| {
        let (resource, _) = valid.resources().zip(&plan.endpoints).find(|&(_, &endpoints)| endpoints == 0)?;
        Some(&resource.service)
    });
    match empty {
        Some(name) => Said(
            RouteReason::NoEndpoints,
            format!("`{name}` has no ready endpoint and gets no entries; look at its pods"),
        ),
        None => Said(RouteReason::Resolved, "every Service exists and fits its part".into()),
    }
}

fn fresh(plan: &Plan) -> Said {
    let shares = &plan.decision.shares;
    let is_fresh = |share: &foreshift_engine::decision::Share| share.freshness == Freshness::Fresh;
    if shares.first().is_some_and(is_fresh) && shares.iter().skip(1).any(is_fresh) {
        return Said(RouteReason::Fresh, "the lead and at least one alternate are known well enough".into());
    }
    let old: Vec<String> = shares
        .iter()
        .filter(|share| !is_fresh(share))
        .map(|share| format!("`{}` is {}", share.resource, share.freshness.to_string().to_lowercase()))
        .collect();
    Said(
        RouteReason::PersonasMissing,
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
            Said(RouteReason::Reactive, "forecast.strategy asks for no forecast".into())
        }
        Rung::Model => Said(RouteReason::Model, format!("{} forecasts", plan.model)),
        _ => {
            let why = trust.reason.as_deref().unwrap_or("the model has not earned it");
            let refused = plan.refused.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            Said(
                RouteReason::Fallback,
                format!("{} forecasts instead of the model: {why}{refused}", plan.model),
            )
        }
    }
}

/// Whether a condition makes sense on a route.
fn applies(type_: RouteCondition, spec: &JournalRouteSpec) -> bool {
    match type_ {
        RouteCondition::ShadowReady => spec.shadow.is_some(),
        RouteCondition::HookAnswered => spec.warm_up.hook.is_some() && spec.mode == Mode::Active,
        RouteCondition::Accepted
        | RouteCondition::ResolvedRefs
        | RouteCondition::PersonasFresh
        | RouteCondition::ForecastTrusted
        | RouteCondition::Programmed
        | RouteCondition::Contested => true,
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
        return Said(RouteReason::NotReady, format!("gets no entries: {unfit}"));
    }
    match of(Readiness::Inconclusive) {
        Some(open) => Said(
            RouteReason::Inconclusive,
            format!("not yet known: {open}; the entry router sends shadow entries in its windows"),
        ),
        None => Said(RouteReason::Ready, "shadow entries show every alternate to be fit".into()),
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

fn hook_answered(all_progress: &[HookProgress]) -> Said {
    let told = |count: fn(&HookProgress) -> u32| -> Option<String> {
        let one = |progress: &HookProgress| {
            let of = progress.answered + progress.pending + progress.failed;
            let problem = progress.problem.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            format!("{} of {of} endpoints of `{}`{problem}", count(progress), progress.alternate)
        };
        let all: Vec<String> = all_progress.iter().filter(|s| count(s) > 0).map(one).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    if let Some(failed) = told(|progress| progress.failed) {
        return Said(
            RouteReason::GivenUp,
            format!("did not answer: {failed}; the ramp goes on without them"),
        );
    }
    match told(|progress| progress.pending) {
        Some(open) => Said(
            RouteReason::Calling,
            format!("waiting for {open}; the first share comes when they answered"),
        ),
        None => Said(RouteReason::Answered, "every endpoint that was called answered".into()),
    }
}

fn programmed(facts: Facts<'_>) -> Said {
    let applied = facts.applied;
    let Some(valid) = &facts.outcome.in_force else {
        return Said(
            RouteReason::NotValid,
            "nothing was written; correct what the other conditions name".into(),
        );
    };
    if let Some(failure) = &applied.failure {
        return Said(RouteReason::WriteFailed, format!("the EndpointSlices are not as planned: {failure}"));
    }
    if facts.route.spec.mode == Mode::Observe {
        return Said(RouteReason::Observing, "mode is Observe: nothing is written".into());
    }
    match (applied.complete, facts.verdict.is_ok()) {
        (true, true) => {
            Said(RouteReason::Programmed, format!("the EndpointSlices of `{}` are as planned", valid.target))
        }
        (true, false) => {
            Said(RouteReason::InForce, "the last valid version of this route is in force".into())
        }
        (false, _) => Said(
            RouteReason::NothingToList,
            format!("there is no endpoint to list for `{}`; see the condition ResolvedRefs", valid.target),
        ),
    }
}

fn contested(facts: Facts<'_>) -> Said {
    match &facts.applied.contested {
        Some(why) => Said(RouteReason::AnotherWriter, why.clone()),
        None => Said(RouteReason::Alone, "nobody else writes what this route owns".into()),
    }
}

fn told(problems: &[Problem], type_: RouteCondition) -> Option<Said> {
    let mut mine = problems.iter().filter(|problem| problem.reason.condition() == type_);
    let first = mine.next()?;
    let messages: Vec<&str> =
        std::iter::once(first).chain(mine).map(|problem| problem.message.as_str()).collect();
    Some(Said(first.reason, messages.join("; ")))
}
