//! Excess work against those that keep the lead, and how far ahead of them shares move.

use foreshift_api::{Span, journal_route::HorizonLimit};

use super::{Goal, OWN_LAST_RUNG, ROUTE_MODES, figure, mean, ordered, part, percent};
use crate::{
    cluster::ShippedModel,
    error::Result,
    golden::Shipped,
    policies::{self, Named, Settings},
    run::Report,
    scenario::Scenario,
};

/// Excess work of one scenario, by policy.
#[derive(Clone, Debug)]
pub struct ByScenario {
    /// The setting and the scenario.
    pub what: (String, String),
    /// Policy and its excess work over all work.
    pub excess: Vec<(String, f64)>,
}

/// Against the reactive rival, and against our own planner without a forecast.
pub(super) fn over_reactive(setting: &str, mode: &str, reports: &[&Report]) -> Vec<Goal> {
    let excess = |policy: &str| mean(reports, policy, |f| f.excess_work_ratio);
    let over = |rival: &str| {
        let (ratio, got) = part(excess(mode), excess(rival));
        Goal {
            what: format!("excess work of {mode} over {rival}, {setting}"),
            goal: "at most 10 %".into(),
            got,
            oracle: percent(excess("oracle")),
            reached: ratio <= 0.1,
        }
    };
    ["reactive_failover", OWN_LAST_RUNG].into_iter().map(over).collect()
}

/// The excess work of these policies in each scenario.
pub(super) fn by_scenario(setting: &str, policies: &[&str], name: &str, report: &Report) -> ByScenario {
    let excess = |policy: &&str| ((*policy).to_owned(), figure(report, policy, |f| f.excess_work_ratio));
    ByScenario { what: (setting.to_owned(), name.to_owned()), excess: policies.iter().map(excess).collect() }
}

/// With connections that take their time to renew; the route looks as far ahead, and the rival moves as much.
pub(super) fn slow_actuation(
    scenarios: &[&Shipped],
    delay: u64,
    most: f64,
    seeds: u64,
    model: &ShippedModel,
) -> Result<(Vec<Goal>, Vec<ByScenario>)> {
    const COMPARED: [&str; 5] =
        ["reactive_failover", OWN_LAST_RUNG, "foreshift_slices", "foreshift_weights", "oracle"];
    let setting = format!("{delay} s actuation");
    let rival = policies::named(["proportional_reactive"])?;
    let (mut reports, mut rows) = (Vec::new(), Vec::new());
    let mut rivals: [f64; 2] = [0.0; 2];
    for shipped in scenarios {
        let mut scenario = shipped.scenario.clone();
        scenario.delays.actuation = Span::from_secs(delay);
        scenario.route.0.objective.horizon = HorizonLimit(format!("{delay}s"));
        for other in &mut scenario.others {
            other.route.0.objective.horizon = HorizonLimit(format!("{delay}s"));
        }
        let report = ordered(&scenario, &policies::named(COMPARED)?, seeds, Settings::default(), model)?;
        let mut row = by_scenario(&setting, &COMPARED, &shipped.name, &report);
        for (sum, mode) in rivals.iter_mut().zip(ROUTE_MODES) {
            let share = figure(&report, mode, |f| f.mean_alternate_share);
            let target = target_for(share, &scenario, &rival, model)?;
            let settings = Settings { proportional_target: Some(target) };
            let same_share = ordered(&scenario, &rival, seeds, settings, model)?;
            let excess = figure(&same_share, "proportional_reactive", |f| f.excess_work_ratio);
            row.excess.push((format!("proportional_reactive at the share of {mode}"), excess));
            *sum += excess;
        }
        rows.push(row);
        reports.push(report);
    }
    let reports: Vec<&Report> = reports.iter().collect();
    let mut goals = Vec::new();
    for (mode, rival) in ROUTE_MODES.into_iter().zip(rivals) {
        goals.extend(over_reactive(&setting, mode, &reports));
        let excess = mean(&reports, mode, |f| f.excess_work_ratio);
        let (ratio, got) = part(excess, rival / reports.len().max(1) as f64);
        goals.push(Goal {
            what: format!("excess work of {mode} over proportional_reactive at the same share, {setting}"),
            goal: format!("at most {:.0} %", most * 100.0),
            got,
            oracle: percent(mean(&reports, "oracle", |f| f.excess_work_ratio)),
            reached: ratio <= most,
        });
    }
    Ok((goals, rows))
}

/// The target at which the proportional rival moves as much as `share`, by bisection on the first seed.
fn target_for(share: f64, scenario: &Scenario, rival: &[Named], model: &ShippedModel) -> Result<f64> {
    let (mut low, mut high) = (0.05, 1.5);
    for _ in 0..7 {
        let middle = f64::midpoint(low, high);
        let settings = Settings { proportional_target: Some(middle) };
        let moved = figure(&ordered(scenario, rival, 1, settings, model)?, "proportional_reactive", |f| {
            f.mean_alternate_share
        });
        if moved > share { low = middle } else { high = middle }
    }
    Ok(f64::midpoint(low, high))
}

pub(super) fn on_the_ramp(ramp: &Report) -> Vec<Goal> {
    let ahead = |policy: &str| ramp.figures(policy).and_then(|f| f.first_shift_lead_time_s);
    let told = |seconds: Option<f64>| seconds.map_or_else(|| "never".to_owned(), |s| format!("{s:.0} s"));
    let mut goals = Vec::new();
    for mode in ROUTE_MODES {
        goals.extend(over_reactive("slow ramp", mode, &[ramp]));
        goals.push(Goal {
            what: format!("first share of {mode} moved ahead of saturation, slow ramp"),
            goal: "at least 60 s".into(),
            got: format!("{} (reactive_failover {})", told(ahead(mode)), told(ahead("reactive_failover"))),
            oracle: told(ahead("oracle")),
            reached: ahead(mode).is_some_and(|seconds| seconds >= 60.0),
        });
    }
    goals
}
