//! The ladder of forecasts, rung by rung, in the pure loop: who forecasts, and what condition `ForecastTrusted` says of it.

use foreshift_api::{
    Span,
    condition::{RouteCondition, find_condition},
    journal_route::Strategy,
    resource_persona::{History, Window},
};
use foreshift_engine::{forecast::Rung, ledger::Ledger};
use foreshift_view::observe;
use k8s_openapi::jiff::Timestamp;

use super::{
    apply::Applied,
    plan::Planner,
    status::{Facts, next_status},
    validate::validate,
};
use crate::{
    fixtures::{World, later, node},
    models::{Files, Models},
};

/// Seconds between two loads.
const STEP: i64 = 2;

/// Loads that a persona shows.
const SHOWN: usize = 32;

/// Who forecast in the last tick, and what the condition says.
#[derive(Debug)]
struct Told {
    rung: Rung,
    status: String,
    message: String,
}

/// The lead shows these loads, one more each tick.
fn told(models: &Models, strategy: Strategy, loads: &[f64]) -> Told {
    let world = World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 4);
    let mut route = (*world.route("journal")).clone();
    route.spec.forecast.strategy = strategy;
    let (mut planner, mut ledger) = (Planner::default(), Ledger::default());
    let mut last = None;
    for seen in SHOWN.min(loads.len())..=loads.len() {
        let now = later(STEP * seen as i64);
        let shown = &loads[seen.saturating_sub(SHOWN)..seen];
        show(&world, ("n1", "a"), now, shown);
        show(&world, ("n2", "b"), now, &vec![0.05; shown.len()]);
        let observed = observe(&world.caches, &route, &planner.services_in_force(), now);
        let verdict = validate(&route, &observed);
        let outcome = planner.tick(&route, &verdict, &observed, &mut ledger, models, now);
        let applied = Applied::default();
        let facts = Facts { route: &route, verdict: &verdict, outcome: &outcome, applied: &applied };
        let previous = route.status.clone().unwrap_or_default();
        let status = next_status(facts, &previous, now);
        let found = find_condition(&status.conditions, RouteCondition::ForecastTrusted).unwrap();
        last = Some(Told {
            rung: outcome.plan.unwrap().decision.rung,
            status: format!("{}/{}", found.status, found.reason),
            message: found.message.clone(),
        });
        route.status = Some(status);
    }
    last.unwrap()
}

/// A node of one core publishes the loads of its one resource; without any, only that it is there.
fn show(world: &World, (name, service): (&str, &str), now: Timestamp, loads: &[f64]) {
    let permille: Vec<i32> = loads.iter().map(|load| (load * 1000.0).round() as i32).collect();
    let window = |period: i64, load: Vec<i32>| Window {
        period: Span::from_secs(period.unsigned_abs()),
        step: now.as_second() / period,
        load,
    };
    let load = loads.last().copied().unwrap_or(0.4);
    let node = node(name).at_load(load).running(service, load);
    let node = if loads.is_empty() {
        node
    } else {
        let history = History { fine: window(STEP, permille.clone()), coarse: window(15, Vec::new()) };
        node.with_windows(history, permille, Vec::new())
    };
    world.put_persona(node.persona(now));
}

fn shipped() -> Models {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let model = Files::in_folder(folder.as_ref()).unwrap().load().unwrap();
    Models { model: Some(model.into()), refused: None }
}

/// Little happens.
fn calm(count: usize) -> Vec<f64> {
    (0..count).map(|step| 0.4 + 0.01 * (step % 3) as f64).collect()
}

/// Levels that hold for a while: whoever follows a trend is wrong after each of them.
fn stairs(count: usize) -> Vec<f64> {
    (0..count).map(|step| [0.2, 0.6, 0.3, 0.5][step / 4 % 4]).collect()
}

/// Rises for 80 s, again and again, and falls back at once: what rose before the fall rises after it.
fn sawtooth(count: usize) -> Vec<f64> {
    (0..count).map(|step| 0.1 + 0.012 * (step % 40) as f64).collect()
}

/// Quiet, but for a sample a minute that nothing announces.
fn rare_peaks(count: usize) -> Vec<f64> {
    (0..count).map(|step| if step % 31 == 0 { 0.65 } else { 0.2 }).collect()
}

/// A name of the case, what is there, and what is told: rung, condition, and parts of its message.
type Case<'a> = (&'a str, &'a Models, Strategy, Vec<f64>, Rung, &'a str, &'a [&'a str]);

fn hold(cases: Vec<Case<'_>>) {
    for (case, models, strategy, loads, rung, status, parts) in cases {
        let told = told(models, strategy, &loads);
        assert_eq!((told.rung, told.status.as_str()), (rung, status), "{case}: {}", told.message);
        for part in parts {
            assert!(told.message.contains(part), "{case}: {}", told.message);
        }
    }
}

#[test]
fn every_rung_forecasts_when_those_above_cannot_and_the_route_says_why() {
    use Strategy::{Auto, Reactive};
    let (model, none) = (shipped(), Models::default());
    let refused = Models { model: None, refused: Some("its digest is another".into()) };
    hold(vec![
        (
            "a model and its window",
            &model,
            Auto,
            calm(40),
            Rung::Model,
            "True/Model",
            &["model ", " forecasts"],
        ),
        (
            "no model file",
            &none,
            Auto,
            calm(40),
            Rung::Holt,
            "False/Fallback",
            &["holt forecasts instead of the model: no model is loaded"],
        ),
        (
            "a file that was refused",
            &refused,
            Auto,
            calm(40),
            Rung::Holt,
            "False/Fallback",
            &["holt forecasts", "no model is loaded (its digest is another)"],
        ),
        (
            "too little history for the model",
            &model,
            Auto,
            calm(12),
            Rung::Holt,
            "False/Fallback",
            &["holt forecasts", "the model needs 32 samples, 12 have arrived"],
        ),
        (
            "too little history for a trend",
            &model,
            Auto,
            calm(3),
            Rung::LastValue,
            "False/Fallback",
            &[
                "last-value forecasts",
                "the model needs 32 samples",
                "a trend needs 4 samples, 3 have arrived",
            ],
        ),
        (
            "no history at all",
            &model,
            Auto,
            Vec::new(),
            Rung::Reactive,
            "False/Fallback",
            &["reactive forecasts", "no sample has arrived yet"],
        ),
        (
            "a route that asks for no forecast",
            &model,
            Reactive,
            calm(40),
            Rung::Reactive,
            "True/Reactive",
            &["forecast.strategy asks for no forecast"],
        ),
    ]);
}

#[test]
fn who_does_worse_than_a_lower_rung_on_this_series_gives_way_to_it() {
    let (model, none) = (shipped(), Models::default());
    let worse = ["last-value forecasts", "the model's skill over 161 forecasts is -0.", "a trend did worse"];
    let trend = ["last-value forecasts", "no model is loaded; a trend did worse than the last value"];
    let (auto, rung, fallback) = (Strategy::Auto, Rung::LastValue, "False/Fallback");
    hold(vec![
        ("a trend", &none, auto, stairs(200), rung, fallback, &trend),
        ("a model before a sawtooth", &model, auto, sawtooth(200), rung, fallback, &worse),
        ("a model before rare peaks", &model, auto, rare_peaks(200), rung, fallback, &worse),
        // The model is judged only when 24 of its forecasts have come due.
        ("a model that is not judged yet", &model, auto, sawtooth(62), Rung::Model, "True/Model", &[]),
    ]);
}
