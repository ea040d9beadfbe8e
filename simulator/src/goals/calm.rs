//! Calm: personas that are late, demand that rests, and how much shares move.

use foreshift_api::Span;

use super::{Goal, OWN_LAST_RUNG, ROUTE_MODES, figure, mean, ordered, percent};
use crate::{
    cluster::ShippedModel,
    error::Result,
    policies::{self, Settings},
    run::Report,
    scenario::Scenario,
};

/// Personas that are older and older, on a ramp that must be followed.
pub(super) fn staleness(scenario: &Scenario, seeds: u64, model: &ShippedModel) -> Result<Vec<Goal>> {
    const AGES: [u64; 7] = [1, 2, 5, 10, 20, 30, 60];
    let ours = policies::named(ROUTE_MODES)?;
    let mut reports = Vec::new();
    for age in AGES {
        let mut scenario = scenario.clone();
        scenario.delays.metrics = Span::from_secs(age);
        reports.push(ordered(&scenario, &ours, seeds, Settings::default(), model)?);
    }
    let mut goals = Vec::new();
    for mode in ROUTE_MODES {
        let p99: Vec<f64> = reports.iter().map(|report| figure(report, mode, |f| f.p99_ms)).collect();
        let churn: Vec<f64> =
            reports.iter().map(|report| figure(report, mode, |f| f.share_churn_per_min)).collect();
        let told = |values: &[f64], digits: usize| {
            let cells = AGES.iter().zip(values).map(|(age, value)| format!("{age} s {value:.digits$}"));
            cells.collect::<Vec<_>>().join(", ")
        };
        goals.push(Goal {
            what: format!("p99 of {mode} with personas 1 to 60 s old, slow ramp, ms"),
            goal: "within 10 % of that at 1 s".into(),
            got: told(&p99, 1),
            oracle: "-".into(),
            reached: p99.iter().all(|value| (value / p99[0] - 1.0).abs() <= 0.1),
        });
        goals.push(Goal {
            what: format!("churn of {mode} with personas 1 to 60 s old, slow ramp, a minute"),
            goal: "no oscillation: at most twice that at 1 s".into(),
            got: told(&churn, 2),
            oracle: "-".into(),
            reached: churn.iter().all(|value| *value <= 2.0 * churn[0]),
        });
    }
    Ok(goals)
}

pub(super) fn steady_goal(mode: &str, steady: &Report) -> Goal {
    let ratio = steady.figures(mode).and_then(|f| f.false_shift_ratio).unwrap_or(f64::NAN);
    Goal {
        what: format!("false shifts of {mode} on steady demand"),
        goal: "under 5 % of shifts".into(),
        got: format!("{}, churn {:.2}/min", percent(ratio), figure(steady, mode, |f| f.share_churn_per_min)),
        oracle: "-".into(),
        reached: ratio < 0.05,
    }
}

/// Against the best rival, and against our own planner without a forecast.
pub(super) fn churn_goals(mode: &str, reports: &[&Report]) -> [Goal; 2] {
    let churn = |policy: &str| mean(reports, policy, |f| f.share_churn_per_min);
    let rivals =
        ["reactive_failover", "proportional_reactive", "headroom_weights"].map(|name| (churn(name), name));
    let best = rivals.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, ""));
    let goal = |whose: &str, (theirs, name): (f64, &str)| Goal {
        what: format!("share churn of {mode} over {whose}"),
        goal: "at most half".into(),
        got: format!("{:.2}x ({:.2} a minute, {name} {theirs:.2})", churn(mode) / theirs, churn(mode)),
        oracle: format!("{:.2} a minute", churn("oracle")),
        reached: churn(mode) <= theirs / 2.0,
    };
    let own = (churn(OWN_LAST_RUNG), OWN_LAST_RUNG);
    [goal("the best reactive rival's", best), goal("its own last rung's", own)]
}
