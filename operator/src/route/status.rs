//! The status of a route: made from one decision, written when people would see a difference.

mod conditions;

use std::time::Duration;

use foreshift_api::{
    Decimal, JournalRoute, JournalRouteStatus, Percent, Span, apply,
    journal_route::{LastDecision, Mode, Phase, ResourceShare, ScoreParts},
    operator_field_manager::ROUTE_STATUS,
};
use foreshift_engine::decision;
use foreshift_view::{RouteKey, convert::ToApi, time::elapsed};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    Context, Error,
    apply::Applied,
    events,
    plan::{Outcome, Plan},
    validate::Verdict,
};
use crate::metrics::Figures;

/// Once a second, less what a tick may come early.
const SHORTEST: Duration = Duration::from_millis(900);

/// What only moved by noise is told this often.
const LONGEST: Duration = Duration::from_secs(10);

/// Figures have two decimals; one unit of the last is noise.
const NOISE: f64 = 0.015;

/// What was told last.
#[derive(Debug, Default)]
pub struct Told {
    last: Option<(JournalRouteStatus, Timestamp)>,
    insufficient: bool,
}

/// All that a status is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The route as people wrote it.
    pub route: &'a JournalRoute,
    /// Whether it makes sense.
    pub verdict: &'a Verdict,
    /// What this tick came to.
    pub outcome: &'a Outcome,
    /// What is in force.
    pub applied: &'a Applied,
}

/// Writes the status if it is worth it, tells transitions, sets the metrics.
///
/// # Errors
/// [`Error::Status`] if the write failed; it is tried again by the next tick.
pub async fn tell(
    ctx: &Context,
    route: &JournalRoute,
    verdict: &Verdict,
    outcome: &Outcome,
    applied: &Applied,
    told: &mut Told,
    now: Timestamp,
) -> Result<(), Error> {
    let key = RouteKey::of(route);
    let facts = Facts { route, verdict, outcome, applied };
    let last = told.last.as_ref();
    let mut previous = last.map(|(status, _)| status).or(route.status.as_ref()).cloned().unwrap_or_default();
    (previous.shadow, previous.outcomes) = (Vec::new(), Vec::new());
    let next = next_status(facts, &previous, now);
    measure(ctx, &key, &next, outcome);
    let since = last.map(|&(_, at)| elapsed(at, now));
    if !is_due(&previous, &next, since) {
        return Ok(());
    }
    let routes: Api<JournalRoute> = Api::namespaced(ctx.client.clone(), &key.namespace);
    let mut body = apply::frame_of(route);
    body["status"] = json!(next);
    let params = PatchParams::apply(ROUTE_STATUS).force();
    ctx.gate
        .send("route_status", routes.patch_status(&key.name, &params, &Patch::Apply(body)))
        .await
        .map_err(Error::Status)?;
    let mut events = events::between(&previous, &next);
    if let Some(plan) = &outcome.plan {
        if plan.decision.insufficient && !told.insufficient {
            events.push(events::insufficient(&plan.decision));
        }
        told.insufficient = plan.decision.insufficient;
    }
    told.last = Some((next, now));
    crate::events::publish(&ctx.recorder, &route.object_ref(&()), &events).await;
    Ok(())
}

/// The status that says what is. Transition times stay unless a condition flips.
#[must_use]
pub fn next_status(facts: Facts<'_>, previous: &JournalRouteStatus, now: Timestamp) -> JournalRouteStatus {
    let plan = facts.outcome.plan.as_ref();
    let programmed = facts.applied.programmed.as_deref();
    let kept = JournalRouteStatus { shares: kept_shares(facts, previous), ..previous.clone() };
    JournalRouteStatus {
        observed_generation: facts.route.metadata.generation,
        phase: phase(facts, plan),
        lead_share: programmed.and_then(|shares| shares.first()).map(|&share| Percent::from_permille(share)),
        p90_in_60s: plan.map(|plan| Decimal::rounded(plan.p90_in_60s, 2)),
        saturation_in: plan.and_then(|plan| plan.saturation_in).map(rounded),
        shares: plan.map_or(kept.shares, |plan| shares(plan, programmed)),
        last_decision: plan
            .map_or(kept.last_decision.clone(), |plan| last_decision(plan, kept.last_decision, now)),
        // The router's.
        shadow: Vec::new(),
        outcomes: Vec::new(),
        conditions: conditions::all(facts, &previous.conditions, now),
    }
}

fn phase(facts: Facts<'_>, plan: Option<&Plan>) -> Phase {
    let spec = &facts.route.spec;
    match plan {
        _ if spec.suspend => Phase::Suspended,
        None => Phase::Degraded,
        Some(_) if spec.mode == Mode::Observe => Phase::Observing,
        Some(plan) => plan.decision.phase.to_api(),
    }
}

fn shares(plan: &Plan, programmed: Option<&[u16]>) -> Vec<ResourceShare> {
    let of = |shares: Option<&[u16]>, i: usize| shares.and_then(|shares| shares.get(i)).copied();
    let one = |(i, share): (usize, &decision::Share)| ResourceShare {
        resource: share.resource.clone(),
        desired: Percent::from_permille(share.permille),
        programmed: Percent::from_permille(of(programmed, i).unwrap_or(0)),
        served: of(plan.served.as_deref(), i).map(Percent::from_permille),
        warm_up: share.warm.map(|warm| Percent::from_permille((warm * 1000.0) as u16)),
        readiness: share.readiness.to_api(),
        score: share.score.round() as i32,
        score_parts: ScoreParts {
            affinity: share.parts.affinity.round() as i32,
            stability: share.parts.stability.round() as i32,
            cost: share.parts.cost.round() as i32,
        },
        load: Some(Decimal::rounded(share.load, 2)),
        p90: Some(Decimal::rounded(share.predicted, 2)),
        freshness: share.freshness.to_api(),
        work_per_entry: (i > 0).then(|| Decimal::rounded(share.work, 2)),
        trouble: share.trouble.map(ToApi::to_api),
    };
    plan.decision.shares.iter().enumerate().map(one).collect()
}

/// Without a plan the shares stay; what is programmed is told as it is.
fn kept_shares(facts: Facts<'_>, previous: &JournalRouteStatus) -> Vec<ResourceShare> {
    let mut shares = previous.shares.clone();
    if let (Some(valid), Some(programmed)) = (&facts.outcome.in_force, &facts.applied.programmed) {
        for (resource, &permille) in valid.resources().zip(programmed) {
            if let Some(share) = shares.iter_mut().find(|share| share.resource == resource.service) {
                share.programmed = Percent::from_permille(permille);
            }
        }
    }
    shares
}

fn last_decision(plan: &Plan, kept: Option<LastDecision>, now: Timestamp) -> Option<LastDecision> {
    let decision = &plan.decision;
    let suppressed_by = decision.suppressed_by.map(ToApi::to_api);
    let Some(trigger) = decision.trigger else {
        return kept.map(|kept| LastDecision { suppressed_by, ..kept });
    };
    Some(LastDecision {
        at: Some(Time(now)),
        trigger: trigger.to_api(),
        horizon: Span::from_secs(decision.horizon.as_secs()),
        p50: Decimal::rounded(decision.offered.p50, 2),
        p90: Decimal::rounded(decision.offered.p90, 2),
        skill: plan.trust.skill.map(|skill| Decimal::rounded(skill, 2)),
        forecaster: decision.rung.to_api(),
        model_digest: plan.digest.clone(),
        before: Percent::from_permille(decision.before),
        after: Percent::from_permille(decision.lead_share()),
        why: decision.why(),
        suppressed_by,
    })
}

/// Seconds while they matter, steps of five beyond.
fn rounded(after: Duration) -> Span {
    let seconds = after.as_secs();
    Span::from_secs(if seconds < 20 { seconds } else { seconds / 5 * 5 })
}

/// Whether people would see a difference, and have had time to read the last one.
fn is_due(previous: &JournalRouteStatus, next: &JournalRouteStatus, since: Option<Duration>) -> bool {
    let Some(since) = since else { return previous != next };
    if previous == next || since < SHORTEST {
        return false;
    }
    since >= LONGEST || essence(previous) != essence(next) || moved(previous, next)
}

/// A status without its figures and sentences.
fn essence(status: &JournalRouteStatus) -> JournalRouteStatus {
    let mut status = status.clone();
    status.p90_in_60s = None;
    status.saturation_in = status.saturation_in.map(|_| Span::default());
    for share in &mut status.shares {
        (share.load, share.p90, share.served) = (None, None, None);
    }
    if let Some(decision) = &mut status.last_decision {
        decision.suppressed_by = None;
    }
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    status
}

fn moved(previous: &JournalRouteStatus, next: &JournalRouteStatus) -> bool {
    let apart = |a: Option<Decimal>, b: Option<Decimal>| match (a, b) {
        (Some(a), Some(b)) => (a.get() - b.get()).abs() > NOISE,
        (a, b) => a != b,
    };
    let served = |share: &ResourceShare| share.served.map(|served| Decimal::new(served.fraction()));
    apart(previous.p90_in_60s, next.p90_in_60s)
        || previous
            .shares
            .iter()
            .zip(&next.shares)
            .any(|(a, b)| apart(a.load, b.load) || apart(a.p90, b.p90) || apart(served(a), served(b)))
}

fn measure(ctx: &Context, key: &RouteKey, status: &JournalRouteStatus, outcome: &Outcome) {
    let figures: Vec<Figures<'_>> = status
        .shares
        .iter()
        .map(|share| Figures {
            resource: &share.resource,
            desired: share.desired.fraction(),
            programmed: share.programmed.fraction(),
            load: share.load.map(Decimal::get),
        })
        .collect();
    ctx.metrics.resources(key, &figures);
    if let Some(plan) = &outcome.plan {
        ctx.metrics.forecast(key, plan.p90_in_60s, plan.trust.skill);
    }
}

#[cfg(test)]
mod tests;
