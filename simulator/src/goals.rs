//! The numbers that the project set itself, held against what the scenarios show.

mod calm;
mod excess;
mod spreaders;

use crate::{
    cluster::ShippedModel,
    error::Result,
    figures::Figures,
    golden::Shipped,
    policies::{self, Named, Settings},
    run::{self, Order, Report},
    scenario::Scenario,
    table::aligned,
};

pub use excess::ByScenario;

/// What the scenarios show.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Every goal.
    pub goals: Vec<Goal>,
    /// Where excess work comes from.
    pub excess: Vec<ByScenario>,
}

/// One goal.
#[derive(Clone, Debug)]
pub struct Goal {
    /// What is measured, and where.
    pub what: String,
    /// What it should be.
    pub goal: String,
    /// What it is.
    pub got: String,
    /// What the oracle comes to, where that says something.
    pub oracle: String,
    /// Whether the goal is reached.
    pub reached: bool,
}

/// Foreshift's route mode in its two forms.
const ROUTE_MODES: [&str; 2] = ["foreshift_slices", "foreshift_weights"];

/// What our planner does without a forecast: no rival, but what the forecast must be better than.
const OWN_LAST_RUNG: &str = "foreshift_reactive";

/// Scenarios in which the lead alone is meant to carry the route, so that policies that keep it can be compared.
fn keeps_lead(shipped: &Shipped) -> bool {
    shipped.name != "antagonist-square-wave"
}

/// Measures everything.
///
/// # Errors
/// What is wrong with a scenario.
pub fn measure(scenarios: &[Shipped], seeds: u64, model: &ShippedModel) -> Result<Measured> {
    const KEEP: [&str; 5] = [
        "reactive_failover",
        "proportional_reactive",
        OWN_LAST_RUNG,
        "foreshift_slices",
        "foreshift_weights",
    ];
    let all = |scenario: &Scenario| ordered(scenario, &policies::ALL, seeds, Settings::default(), model);
    let mut reports = Vec::new();
    for shipped in scenarios {
        reports.push(all(&shipped.scenario)?);
    }
    let of =
        |name: &str| scenarios.iter().zip(&reports).find(|(shipped, _)| shipped.name == name).map(|(_, r)| r);
    let kept: Vec<(&Shipped, &Report)> =
        scenarios.iter().zip(&reports).filter(|(s, _)| keeps_lead(s)).collect();
    let (shipped, reports_kept): (Vec<&Shipped>, Vec<&Report>) = kept.into_iter().unzip();

    let mut excess: Vec<ByScenario> = shipped
        .iter()
        .zip(&reports_kept)
        .map(|(shipped, report)| excess::by_scenario("as shipped", &KEEP, &shipped.name, report))
        .collect();
    let mut goals = Vec::new();
    for mode in ROUTE_MODES {
        goals.extend(excess::over_reactive("scenarios as shipped", mode, &reports_kept));
    }
    for (delay, most) in [(15, 0.5), (30, 0.65)] {
        let (slow, rows) = excess::slow_actuation(&shipped, delay, most, seeds, model)?;
        goals.extend(slow);
        excess.extend(rows);
    }
    if let Some(ramp) = of("slow-ramp") {
        goals.extend(excess::on_the_ramp(ramp));
    }
    for mode in ROUTE_MODES.iter().chain(&["foreshift_entry"]) {
        goals.extend(spreaders::against_spreaders(mode, scenarios, &reports));
    }
    if let Some(antagonist) = of("antagonist-square-wave") {
        goals.push(spreaders::antagonist_goal(antagonist));
    }
    if let Some(ramp) = scenarios.iter().find(|shipped| shipped.name == "slow-ramp") {
        goals.extend(calm::staleness(&ramp.scenario, seeds, model)?);
    }
    if let Some(steady) = of("steady") {
        goals.extend(ROUTE_MODES.map(|mode| calm::steady_goal(mode, steady)));
    }
    goals.extend(ROUTE_MODES.iter().flat_map(|mode| calm::churn_goals(mode, &reports_kept)));
    Ok(Measured { goals, excess })
}

/// All goals as a Markdown table.
#[must_use]
pub fn table(goals: &[Goal]) -> String {
    let head = ["", "goal", "got", "oracle", ""].map(str::to_owned).to_vec();
    let row = |goal: &Goal| {
        let verdict = if goal.reached { "reached" } else { "missed" };
        vec![goal.what.clone(), goal.goal.clone(), goal.got.clone(), goal.oracle.clone(), verdict.to_owned()]
    };
    aligned(&std::iter::once(head).chain(goals.iter().map(row)).collect::<Vec<_>>())
}

/// Excess work by scenario as Markdown, a table a setting; scenarios in which nobody has any are left out.
#[must_use]
pub fn excess_tables(rows: &[ByScenario]) -> String {
    let visible = |row: &&ByScenario| row.excess.iter().any(|(_, excess)| *excess >= 5e-5);
    let mut text = String::new();
    for block in rows.chunk_by(|a, b| a.what.0 == b.what.0) {
        let policies = block.iter().take(1).flat_map(|row| &row.excess).map(|(policy, _)| policy.clone());
        let mut lines = vec![std::iter::once(block[0].what.0.clone()).chain(policies).collect::<Vec<_>>()];
        for row in block.iter().filter(visible) {
            let cells = row.excess.iter().map(|(_, excess)| percent(*excess));
            lines.push(std::iter::once(row.what.1.clone()).chain(cells).collect());
        }
        text.push('\n');
        text.push_str(&aligned(&lines));
    }
    text
}

fn ordered(
    scenario: &Scenario,
    policies: &[Named],
    seeds: u64,
    settings: Settings,
    model: &ShippedModel,
) -> Result<Report> {
    run::run(Order { scenario, trace: None, policies, first_seed: 1, seeds, settings }, model)
}

fn figure(report: &Report, policy: &str, of: fn(&Figures) -> f64) -> f64 {
    report.figures(policy).map_or(f64::NAN, of)
}

fn mean(reports: &[&Report], policy: &str, of: fn(&Figures) -> f64) -> f64 {
    reports.iter().map(|report| figure(report, policy, of)).sum::<f64>() / reports.len().max(1) as f64
}

fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

/// One part of another in percent; nothing of nothing is nothing.
fn part(a: f64, b: f64) -> (f64, String) {
    let ratio = if a <= 0.0 { 0.0 } else { a / b };
    (ratio, format!("{:.0} % ({} of {})", ratio * 100.0, percent(a), percent(b)))
}
