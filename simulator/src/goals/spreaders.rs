//! Against those that spread always: the tail, the lead's share and the cost.

use super::{Goal, figure, mean, percent};
use crate::{
    golden::Shipped,
    policies::{self, Kind},
    run::Report,
    tally::Tally,
};

fn spreaders() -> impl Iterator<Item = &'static str> {
    let spread = policies::ALL.into_iter().filter(|policy| policy.kind == Kind::Spreads);
    spread.map(|policy| policy.name).filter(|name| *name != "static_weights")
}

pub(super) fn against_spreaders(mode: &str, scenarios: &[Shipped], reports: &[Report]) -> Vec<Goal> {
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

pub(super) fn antagonist_goal(report: &Report) -> Goal {
    let p99 = |policy| figure(report, policy, |f| f.p99_ms);
    Goal {
        what: "p99 of foreshift_entry and of prequal, antagonist at 90 % load".into(),
        goal: "at or below".into(),
        got: format!("{:.1} ms, prequal {:.1} ms", p99("foreshift_entry"), p99("prequal")),
        oracle: format!("{:.1} ms", p99("oracle")),
        reached: p99("foreshift_entry") <= p99("prequal"),
    }
}
