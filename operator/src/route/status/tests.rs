//! Tables for the status: what people see, and when it is worth telling.

use foreshift_api::{
    condition::{RouteCondition, find_condition},
    journal_route::{self as api, Forecaster, Hook, Shadow},
};
use foreshift_engine::{
    decision::{Decision, Share, Suppression, Trigger},
    forecast::{Quantiles, Rung},
    hooks::HookProgress,
    resource::{Freshness, Readiness, Scores},
    shadow::{Interval, Verdict},
};
use foreshift_predictor::Trust;
use foreshift_view::observe;

use super::*;
use crate::{
    fixtures::{NOW, World, later, route},
    route::{validate::validate, verdicts::Verdicts},
};

fn share(resource: &str, permille: u16) -> Share {
    Share {
        resource: resource.into(),
        permille,
        target: permille,
        warm: None,
        score: 61.4,
        parts: Scores::default(),
        load: 0.421,
        predicted: 0.5,
        freshness: Freshness::Fresh,
        readiness: Readiness::Inconclusive,
        work: 1.0,
        trouble: None,
    }
}

fn decision(lead: u16) -> Decision {
    Decision {
        at: Duration::ZERO,
        phase: decision::Phase::Shifting,
        trigger: Some(Trigger::Forecast),
        horizon: Duration::from_secs(4),
        offered: Quantiles { p50: 0.8, p90: 0.9, p99: 1.0 },
        observed: 0.7,
        objective: 0.75,
        rung: Rung::Holt,
        before: 1000,
        need: 200,
        shares: vec![share("a", lead), share("b", 1000 - lead)],
        suppressed_by: None,
        insufficient: false,
    }
}

fn plan(decision: Decision) -> Plan {
    Plan {
        decision,
        endpoints: vec![4, 4],
        trust: Trust {
            rung: Rung::Holt,
            reason: Some("no model is loaded".into()),
            skill: None,
            coverage_p90: None,
        },
        model: "holt".into(),
        digest: None,
        refused: None,
        p90_in_60s: 0.914,
        saturation_in: Some(Duration::from_secs(43)),
        hooks: None,
        shadow: None,
        served: Some(vec![900, 100]),
    }
}

/// The status of a valid route after this plan.
fn after(plan: Option<Plan>, previous: &JournalRouteStatus, now: Timestamp) -> JournalRouteStatus {
    let world = World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 4);
    let route = world.route("journal");
    let verdict = validate(&route, &observe(&world.caches, &route, &[], NOW));
    let outcome =
        Outcome { in_force: verdict.clone().ok(), shares: Some(vec![800, 200]), plan, ..Outcome::default() };
    let applied = Applied { programmed: Some(vec![800, 200]), complete: true, ..Applied::default() };
    let facts = Facts { route: &route, verdict: &verdict, outcome: &outcome, applied: &applied };
    next_status(facts, previous, now)
}

fn find(
    status: &JournalRouteStatus,
    type_: RouteCondition,
) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
    find_condition(&status.conditions, type_).unwrap()
}

#[test]
fn every_field_is_made_from_the_decision() {
    let status = after(Some(plan(decision(800))), &JournalRouteStatus::default(), NOW);
    assert_eq!(status.phase, Phase::Shifting);
    assert_eq!(status.lead_share.unwrap().to_string(), "80%");
    assert_eq!(status.p90_in_60s.unwrap().to_string(), "0.91");
    assert_eq!(status.saturation_in.unwrap().to_string(), "40s");
    let b = &status.shares[1];
    assert_eq!((b.desired.permille(), b.programmed.permille()), (200, 200));
    assert_eq!((b.served.unwrap().permille(), b.score), (100, 61));
    let last = status.last_decision.as_ref().unwrap();
    assert_eq!((last.trigger, last.forecaster), (api::Trigger::Forecast, Forecaster::Holt));
    assert_eq!((last.before.permille(), last.after.permille()), (1000, 800));
    let trusted = find(&status, RouteCondition::ForecastTrusted);
    assert_eq!(trusted.status, "False");
    assert!(trusted.message.contains("no model is loaded"));
}

#[test]
fn a_tick_that_changes_nothing_keeps_the_last_decision_and_says_what_holds() {
    let before = after(Some(plan(decision(800))), &JournalRouteStatus::default(), NOW);
    let quiet = Decision { trigger: None, suppressed_by: Some(Suppression::HoldDown), ..decision(800) };
    let status = after(Some(plan(quiet)), &before, later(5));
    let last = status.last_decision.unwrap();
    assert_eq!(last.at.unwrap().0, NOW);
    assert_eq!(last.suppressed_by, Some(api::Suppression::HoldDown));
}

#[test]
fn a_condition_keeps_its_time_until_it_flips() {
    let first = after(Some(plan(decision(800))), &JournalRouteStatus::default(), NOW);
    let mut model = plan(decision(800));
    model.trust.rung = Rung::Model;
    let second = after(Some(model), &first, later(9));
    let time = |status: &JournalRouteStatus, type_| find(status, type_).last_transition_time.0;
    assert_eq!(time(&second, RouteCondition::Programmed), NOW);
    assert_eq!(time(&second, RouteCondition::ForecastTrusted), later(9));
}

#[test]
fn without_a_plan_shares_stay_and_what_cannot_be_judged_stays() {
    let before = after(Some(plan(decision(800))), &JournalRouteStatus::default(), NOW);
    let status = after(None, &before, later(5));
    assert_eq!(status.shares, before.shares);
    assert_eq!(find(&status, RouteCondition::PersonasFresh), find(&before, RouteCondition::PersonasFresh));
}

#[test]
fn a_lead_that_nobody_knows_is_told_by_name() {
    let mut unknown = decision(1000);
    unknown.shares[0].freshness = Freshness::Absent;
    let status = after(Some(plan(unknown)), &JournalRouteStatus::default(), NOW);
    let fresh = find(&status, RouteCondition::PersonasFresh);
    assert!(fresh.status == "False" && fresh.message.contains("`a` is absent"), "{}", fresh.message);
}

#[test]
fn a_status_is_told_when_people_would_see_a_difference() {
    let base = after(Some(plan(decision(800))), &JournalRouteStatus::default(), NOW);
    let changed = |change: fn(&mut JournalRouteStatus)| {
        let mut status = base.clone();
        change(&mut status);
        status
    };
    let same = changed(|_| ());
    let noise = changed(|s| s.shares[0].load = Some(Decimal::new(0.43)));
    let moved = changed(|s| s.shares[0].load = Some(Decimal::new(0.45)));
    let shifted = changed(|s| s.shares[0].programmed = Percent::from_permille(700));
    let worded = changed(|s| s.conditions[0].message = "other words".into());
    let cases = [
        ("nothing", &same, 3600, false),
        ("noise, soon", &noise, 9, false),
        ("noise, later", &noise, 10, true),
        ("a figure, at once", &moved, 0, false),
        ("a figure, a second later", &moved, 1, true),
        ("a share", &shifted, 1, true),
        ("words, soon", &worded, 2, false),
        ("words, later", &worded, 10, true),
    ];
    for (name, next, seconds, due) in cases {
        assert_eq!(is_due(&base, next, Some(Duration::from_secs(seconds))), due, "{name}");
    }
    assert!(is_due(&base, &noise, None), "after a start the first difference is told");
}

/// The status of a route with a hook and shadow entries, of which this is known.
fn knowing(hooks: &[HookProgress], shadow: &[Verdicts]) -> JournalRouteStatus {
    let mut spec = route("journal");
    spec.spec.warm_up.hook = Some(Hook { path: "/warm".into(), port: 80, timeout: Span::from_secs(5) });
    spec.spec.shadow = Some(Shadow::default());
    let world = World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 4);
    world.put_route(spec);
    let route = world.route("journal");
    let verdict = validate(&route, &observe(&world.caches, &route, &[], NOW));
    let plan = Plan { hooks: Some(hooks.to_vec()), shadow: Some(shadow.to_vec()), ..plan(decision(1000)) };
    let outcome = Outcome { in_force: verdict.clone().ok(), plan: Some(plan), ..Outcome::default() };
    let applied = Applied::default();
    let facts = Facts { route: &route, verdict: &verdict, outcome: &outcome, applied: &applied };
    next_status(facts, &JournalRouteStatus::default(), NOW)
}

#[test]
fn how_the_hook_went_is_told_with_who_did_not_answer_and_what_follows() {
    let progress = |answered, pending, failed, problem: Option<&str>| HookProgress {
        alternate: "b".into(),
        answered,
        pending,
        failed,
        problem: problem.map(Into::into),
    };
    let cases = [
        (vec![], "True/Answered", "every endpoint that was called answered"),
        (vec![progress(4, 0, 0, None)], "True/Answered", "every endpoint that was called answered"),
        (vec![progress(1, 3, 0, None)], "Unknown/Calling", "waiting for 3 of 4 endpoints of `b`"),
        (
            vec![progress(3, 0, 1, Some("10.0.0.7: answered 503 Service Unavailable"))],
            "False/GivenUp",
            "1 of 4 endpoints of `b` (10.0.0.7: answered 503 Service Unavailable); the ramp goes on",
        ),
    ];
    for (all_progress, flag, message) in cases {
        let status = knowing(&all_progress, &[]);
        let said = find(&status, RouteCondition::HookAnswered);
        assert_eq!(format!("{}/{}", said.status, said.reason), flag);
        assert!(said.message.contains(message), "{}", said.message);
    }
}

#[test]
fn what_shadow_entries_showed_is_told_with_its_intervals() {
    let by = Verdict {
        readiness: Readiness::NotReady,
        at: Duration::ZERO,
        entries: 240,
        excess_errors: Interval { low: 0.02, high: 0.05 },
        latency_ratio: Interval { low: 1.1, high: 1.25 },
    };
    let of = |readiness, by| [Verdicts { alternate: "b".into(), readiness, by }];
    let cases = [
        (of(Readiness::Ready, Some(by)), "True/Ready", "every alternate"),
        (of(Readiness::Inconclusive, None), "Unknown/Inconclusive", "`b` (no shadow entries were seen)"),
        (
            of(Readiness::NotReady, Some(by)),
            "False/NotReady",
            "`b` (240 copies, latency 1.10 to 1.25 times the lead's, errors +2.0 to +5.0 % against the lead's)",
        ),
    ];
    for (verdicts, flag, message) in cases {
        let status = knowing(&[], &verdicts);
        let said = find(&status, RouteCondition::ShadowReady);
        assert_eq!(format!("{}/{}", said.status, said.reason), flag);
        assert!(said.message.contains(message), "{}", said.message);
    }
}

#[test]
fn a_route_without_hook_and_shadow_has_no_conditions_on_them() {
    let told = after(Some(plan(decision(800))), &knowing(&[], &[]), NOW);
    let none = |type_| find_condition(&told.conditions, type_).is_none();
    assert!(none(RouteCondition::HookAnswered) && none(RouteCondition::ShadowReady));
}

#[test]
fn events_are_told_once_a_transition() {
    let reasons = |before: &JournalRouteStatus, after: &JournalRouteStatus| -> Vec<String> {
        events::between(before, after).into_iter().map(|event| event.reason).collect()
    };
    let shifting = after(Some(plan(decision(800))), &JournalRouteStatus::default(), NOW);
    let with = |phase| JournalRouteStatus { phase, ..shifting.clone() };
    let flipped = |type_: RouteCondition, status: &str| {
        let mut next = shifting.clone();
        next.conditions.iter_mut().filter(|c| c.type_ == type_.name()).for_each(|c| c.status = status.into());
        next
    };
    assert_eq!(reasons(&with(Phase::Steady), &shifting), ["Shifting"]);
    assert_eq!(reasons(&with(Phase::WarmingUp), &shifting), Vec::<String>::new());
    assert_eq!(reasons(&shifting, &shifting), Vec::<String>::new());
    assert_eq!(reasons(&shifting, &with(Phase::Shifted)), ["Shifted"]);
    assert_eq!(reasons(&with(Phase::Returning), &with(Phase::Steady)), ["Returned"]);
    assert_eq!(reasons(&shifting, &with(Phase::Degraded)), ["Degraded"]);
    assert_eq!(reasons(&shifting, &flipped(RouteCondition::Programmed, "False")), ["ProgrammingFailed"]);
    assert_eq!(reasons(&shifting, &flipped(RouteCondition::Contested, "True")), ["Contested"]);
    let trusted = flipped(RouteCondition::ForecastTrusted, "True");
    assert_eq!(reasons(&trusted, &shifting), ["ForecastDistrusted"]);
}
