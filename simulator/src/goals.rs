//! The numbers that the project set itself, held against what the scenarios show.

use foreshift_api::{Span, journal_route::HorizonLimit};

use crate::{
    cluster::ShippedModel,
    error::Result,
    figures::Figures,
    golden::Shipped,
    policies::{self, Kind, Named, Settings},
    run::{self, Order, Report},
    scenario::Scenario,
    table::aligned,
    tally::Tally,
};

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

/// Scenarios in which the lead alone is meant to carry the route, so that policies that keep it can be compared.
fn keeps_lead(shipped: &Shipped) -> bool {
    shipped.name != "antagonist-square-wave"
}

/// Measures everything.
///
/// # Errors
/// What is wrong with a scenario.
pub fn measure(scenarios: &[Shipped], seeds: u64, model: &ShippedModel) -> Result<Vec<Goal>> {
    let mut goals = Vec::new();
    let all = |scenario: &Scenario, settings| ordered(scenario, &policies::ALL, seeds, settings, model);
    let mut reports = Vec::new();
    for shipped in scenarios {
        reports.push(all(&shipped.scenario, Settings::default())?);
    }
    let of =
        |name: &str| scenarios.iter().zip(&reports).find(|(shipped, _)| shipped.name == name).map(|(_, r)| r);

    let kept: Vec<&Report> =
        scenarios.iter().zip(&reports).filter(|(s, _)| keeps_lead(s)).map(|(_, report)| report).collect();
    for mode in ROUTE_MODES {
        goals.push(excess_over_reactive("scenarios as shipped", mode, &kept));
    }
    for (delay, most) in [(15, 0.5), (30, 0.65)] {
        goals.extend(slow_actuation(scenarios, delay, most, seeds, model)?);
    }
    if let Some(ramp) = of("slow-ramp") {
        goals.extend(on_the_ramp(ramp));
    }
    for mode in ROUTE_MODES.iter().chain(&["foreshift_entry"]) {
        goals.extend(against_spreaders(mode, scenarios, &reports));
    }
    if let Some(antagonist) = of("antagonist-square-wave") {
        goals.push(antagonist_goal(antagonist));
    }
    if let Some(ramp) = scenarios.iter().find(|shipped| shipped.name == "slow-ramp") {
        goals.extend(staleness(&ramp.scenario, seeds, model)?);
    }
    if let Some(steady) = of("steady") {
        goals.extend(ROUTE_MODES.map(|mode| steady_goal(mode, steady)));
    }
    goals.extend(ROUTE_MODES.map(|mode| churn_goal(mode, &kept)));
    Ok(goals)
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

fn excess_over_reactive(setting: &str, mode: &str, reports: &[&Report]) -> Goal {
    let excess = |policy| mean(reports, policy, |f| f.excess_work_ratio);
    let (ratio, got) = part(excess(mode), excess("reactive_failover"));
    Goal {
        what: format!("excess work of {mode} over reactive_failover, {setting}"),
        goal: "at most 10 %".into(),
        got,
        oracle: percent(excess("oracle")),
        reached: ratio <= 0.1,
    }
}

/// With connections that take their time to renew; the route looks as far ahead, and the rival moves as much.
fn slow_actuation(
    scenarios: &[Shipped],
    delay: u64,
    most: f64,
    seeds: u64,
    model: &ShippedModel,
) -> Result<Vec<Goal>> {
    let names = ["reactive_failover", "foreshift_slices", "foreshift_weights", "oracle"];
    let compared = policies::named(names)?;
    let rival = policies::named(["proportional_reactive"])?;
    let mut reports = Vec::new();
    let mut rivals: [f64; 2] = [0.0; 2];
    for shipped in scenarios.iter().filter(|shipped| keeps_lead(shipped)) {
        let mut scenario = shipped.scenario.clone();
        scenario.delays.actuation = Span::from_secs(delay);
        scenario.route.0.objective.horizon = HorizonLimit(format!("{delay}s"));
        for other in &mut scenario.others {
            other.route.0.objective.horizon = HorizonLimit(format!("{delay}s"));
        }
        let report = ordered(&scenario, &compared, seeds, Settings::default(), model)?;
        for (sum, mode) in rivals.iter_mut().zip(ROUTE_MODES) {
            let share = figure(&report, mode, |f| f.mean_alternate_share);
            let target = target_for(share, &scenario, &rival, model)?;
            let settings = Settings { proportional_target: Some(target) };
            let same_share = ordered(&scenario, &rival, seeds, settings, model)?;
            *sum += figure(&same_share, "proportional_reactive", |f| f.excess_work_ratio);
        }
        reports.push(report);
    }
    let reports: Vec<&Report> = reports.iter().collect();
    let mut goals = Vec::new();
    for (mode, rival) in ROUTE_MODES.into_iter().zip(rivals) {
        goals.push(excess_over_reactive(&format!("{delay} s actuation"), mode, &reports));
        let excess = mean(&reports, mode, |f| f.excess_work_ratio);
        let (ratio, got) = part(excess, rival / reports.len().max(1) as f64);
        goals.push(Goal {
            what: format!(
                "excess work of {mode} over proportional_reactive at the same share, {delay} s actuation"
            ),
            goal: format!("at most {:.0} %", most * 100.0),
            got,
            oracle: percent(mean(&reports, "oracle", |f| f.excess_work_ratio)),
            reached: ratio <= most,
        });
    }
    Ok(goals)
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

fn on_the_ramp(ramp: &Report) -> Vec<Goal> {
    let ahead = |policy: &str| ramp.figures(policy).and_then(|f| f.first_shift_lead_time_s);
    let told = |seconds: Option<f64>| seconds.map_or_else(|| "never".to_owned(), |s| format!("{s:.0} s"));
    let mut goals = Vec::new();
    for mode in ROUTE_MODES {
        goals.push(excess_over_reactive("slow ramp", mode, &[ramp]));
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

fn spreaders() -> impl Iterator<Item = &'static str> {
    let spread = policies::ALL.into_iter().filter(|policy| policy.kind == Kind::Spreads);
    spread.map(|policy| policy.name).filter(|name| *name != "static_weights")
}

fn against_spreaders(mode: &str, scenarios: &[Shipped], reports: &[Report]) -> Vec<Goal> {
    let best = |report: &Report| {
        spreaders().map(|name| figure(report, name, |f| f.p99_ms)).fold(f64::INFINITY, f64::min)
    };
    let ratios = |policy: &str| -> Vec<(f64, &str)> {
        let ratio = |report: &Report| figure(report, policy, |f| f.p99_ms) / best(report);
        let mut all: Vec<_> =
            reports.iter().zip(scenarios).map(|(r, s)| (ratio(r), s.name.as_str())).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    };
    let told = |ratios: &[(f64, &str)]| {
        let middle = ratios.get(ratios.len() / 2).map_or(f64::NAN, |ratio| ratio.0);
        let worst = ratios.last().copied().unwrap_or((f64::NAN, ""));
        let within = ratios.iter().filter(|ratio| ratio.0 <= 1.1).count();
        format!(
            "{within} of {} scenarios; median {middle:.2}x, worst {:.2}x ({})",
            ratios.len(),
            worst.0,
            worst.1
        )
    };
    let ours = ratios(mode);
    let reached = ours.iter().all(|ratio| ratio.0 <= 1.1);
    let p99 = Goal {
        what: format!("p99 of {mode} over the best of those that spread"),
        goal: "at most 1.1x".into(),
        got: told(&ours),
        oracle: told(&ratios("oracle")),
        reached,
    };
    vec![p99, lead_share_goal(mode, scenarios, reports), cost_goal(mode, scenarios, reports)]
}

/// The lead's mean share over the seconds in which it could carry everything within its objective.
fn share_with_room(tally: &Tally, objective: f64) -> Option<f64> {
    let seconds = tally.seconds.iter().filter_map(|second| second.routes.first());
    let roomy = seconds.filter(|route| route.offered <= objective);
    let (lead, all) = roomy.fold((0_u64, 0_u64), |(lead, all), route| {
        (lead + u64::from(route.entries[0]), all + route.entries.iter().map(|&n| u64::from(n)).sum::<u64>())
    });
    (all > 0).then(|| lead as f64 / all as f64)
}

fn lead_share_goal(mode: &str, scenarios: &[Shipped], reports: &[Report]) -> Goal {
    let mut shares: Vec<(f64, f64, f64, &str)> = Vec::new();
    for (report, shipped) in reports.iter().zip(scenarios) {
        let with_room = |policy: &str| {
            let outcome = report.policies.iter().find(|outcome| outcome.policy.name == policy)?;
            share_with_room(&outcome.first, report.layout.pools[0].lead_load)
        };
        let most = spreaders().filter_map(with_room).reduce(f64::max);
        if let (Some(ours), Some(theirs), Some(oracle)) = (with_room(mode), most, with_room("oracle")) {
            shares.push((ours / theirs, ours, oracle, &shipped.name));
        }
    }
    let worst = shares.iter().min_by(|a, b| a.0.total_cmp(&b.0)).copied().unwrap_or((f64::NAN, 0.0, 0.0, ""));
    let kept = shares.iter().filter(|share| share.0 >= 2.0).count();
    Goal {
        what: format!(
            "the lead's share with {mode} while it has room, over the most that one of those gives it"
        ),
        goal: "at least 2x".into(),
        got: format!(
            "{kept} of {} scenarios; worst {:.2}x, the lead has {} ({})",
            shares.len(),
            worst.0,
            percent(worst.1),
            worst.3
        ),
        oracle: percent(worst.2),
        reached: kept == shares.len(),
    }
}

fn cost_goal(mode: &str, scenarios: &[Shipped], reports: &[Report]) -> Goal {
    let dearer = |shipped: &Shipped| {
        let price = |name: &str| shipped.scenario.resources.get(name).map_or(0.0, |r| r.price.get());
        let lead = price(&shipped.scenario.route.0.lead.service);
        shipped.scenario.route.0.alternates.iter().all(|alternate| price(&alternate.service) > lead)
    };
    let compared: Vec<&Report> =
        reports.iter().zip(scenarios).filter(|(_, s)| dearer(s)).map(|(r, _)| r).collect();
    let cheapest = |report: &Report| {
        spreaders().map(|name| figure(report, name, |f| f.cost)).fold(f64::INFINITY, f64::min)
    };
    let lower = compared.iter().filter(|report| figure(report, mode, |f| f.cost) < cheapest(report)).count();
    let rivals = compared.iter().map(|report| cheapest(report)).sum::<f64>() / compared.len().max(1) as f64;
    Goal {
        what: format!("cost of {mode} under the cheapest of those, where alternates cost more"),
        goal: "lower".into(),
        got: format!(
            "{lower} of {} scenarios; mean {:.3}, theirs {rivals:.3}",
            compared.len(),
            mean(&compared, mode, |f| f.cost)
        ),
        oracle: format!("{:.3}", mean(&compared, "oracle", |f| f.cost)),
        reached: lower == compared.len(),
    }
}

fn antagonist_goal(report: &Report) -> Goal {
    let p99 = |policy| figure(report, policy, |f| f.p99_ms);
    Goal {
        what: "p99 of foreshift_entry and of prequal, antagonist at 90 % load".into(),
        goal: "at or below".into(),
        got: format!("{:.1} ms, prequal {:.1} ms", p99("foreshift_entry"), p99("prequal")),
        oracle: format!("{:.1} ms", p99("oracle")),
        reached: p99("foreshift_entry") <= p99("prequal"),
    }
}

/// Personas that are older and older, on a ramp that must be followed.
fn staleness(scenario: &Scenario, seeds: u64, model: &ShippedModel) -> Result<Vec<Goal>> {
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

fn steady_goal(mode: &str, steady: &Report) -> Goal {
    let ratio = steady.figures(mode).and_then(|f| f.false_shift_ratio).unwrap_or(f64::NAN);
    Goal {
        what: format!("false shifts of {mode} on steady demand"),
        goal: "under 5 % of shifts".into(),
        got: format!("{}, churn {:.2}/min", percent(ratio), figure(steady, mode, |f| f.share_churn_per_min)),
        oracle: "-".into(),
        reached: ratio < 0.05,
    }
}

fn churn_goal(mode: &str, reports: &[&Report]) -> Goal {
    let churn = |policy| mean(reports, policy, |f| f.share_churn_per_min);
    let rivals =
        ["reactive_failover", "proportional_reactive", "headroom_weights"].map(|name| (churn(name), name));
    let best = rivals.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, ""));
    Goal {
        what: format!("share churn of {mode} over the best reactive rival's"),
        goal: "at most half".into(),
        got: format!("{:.2}x ({:.2} a minute, {} {:.2})", churn(mode) / best.0, churn(mode), best.1, best.0),
        oracle: format!("{:.2} a minute", churn("oracle")),
        reached: churn(mode) <= best.0 / 2.0,
    }
}
