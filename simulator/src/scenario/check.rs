//! What a scenario says must fit together.

use std::path::Path;

use foreshift_api::{JournalRouteSpec, journal_route::Mode};

use super::{Fault, FaultKind, Scenario, Size};
use crate::{
    error::{Error, Result},
    shape::Shape,
    source::Drawn,
};

/// Entries are counted in nanoseconds of a `u64`; a year is far more than anybody simulates.
const LONGEST: u64 = 366 * 24 * 3600;

/// Endpoints are counted in 16 bits.
const MOST_PODS: u64 = 50_000;

/// Entries of one second are held in memory.
const MOST_ENTRIES: f64 = 5e6;

/// A wrong word, what is wrong with it and what was expected.
type Wrong = (String, String, String);

/// Looks for the first thing that does not fit.
pub(super) fn check(path: &Path, text: &str, scenario: &Scenario) -> Result<()> {
    let found = sizes(scenario)
        .or_else(|| scenario.routes().find_map(|(route, _)| route_fits(route, scenario)))
        .or_else(|| scenario.faults.iter().find_map(|fault| fault_fits(fault, scenario)))
        .or_else(|| scenario.routes().find_map(|(_, demand)| rising(&demand.shape)))
        .or_else(|| (0..scenario.routes().count()).find_map(|route| rate_fits(route, scenario)));
    match found {
        Some((word, problem, expected)) => Err(Error::at(path, line_of(text, &word), &problem, &expected)),
        None => Ok(()),
    }
}

fn wrong(word: &str, problem: impl Into<String>, expected: impl Into<String>) -> Wrong {
    (word.to_owned(), problem.into(), expected.into())
}

fn sizes(scenario: &Scenario) -> Option<Wrong> {
    let seconds = scenario.duration.get().as_secs();
    if !(1..=LONGEST).contains(&seconds) {
        return Some(wrong("duration", "the duration is under 1s or over a year", "for example 10m"));
    }
    if !(1..=3600).contains(&scenario.timeout.get().as_secs()) {
        return Some(wrong("timeout", "the timeout is under 1s or over 1h", "for example 5s"));
    }
    if scenario.settle.get().as_secs() > LONGEST {
        return Some(wrong("settle", "the time to settle is over a year", "for example 60s"));
    }
    if [scenario.delays.metrics, scenario.delays.publish, scenario.delays.actuation]
        .iter()
        .any(|delay| delay.get().as_secs() > 600)
    {
        return Some(wrong("delays", "a delay is over 10m", "for example 2s"));
    }
    if scenario.classes.is_empty() || scenario.classes.len() > 1000 {
        return Some(wrong(
            "classes",
            "there are no classes, or more than 1000",
            "a list with at least one class",
        ));
    }
    for (i, class) in scenario.classes.iter().enumerate() {
        if scenario.classes[..i].iter().any(|other| other.name == class.name) {
            return Some(wrong(
                &class.name,
                format!("class `{}` is there twice", class.name),
                "each class once",
            ));
        }
        if let Size::Pareto { least, most, .. } = class.bytes
            && least >= most
        {
            return Some(wrong(
                "pareto",
                "`least` is not below `most`",
                "for example {least: 500, most: 1000000, tail: 1.3}",
            ));
        }
    }
    let pods =
        scenario.resources.values().flat_map(|resource| &resource.nodes).map(|node| u64::from(node.pods));
    if pods.sum::<u64>() > MOST_PODS {
        return Some(wrong("pods", "there are more than 50000 pods", "fewer pods"));
    }
    scenario.resources.iter().find_map(|(name, resource)| {
        if resource.nodes.is_empty() || resource.nodes.len() > 1000 {
            return Some(wrong(
                name,
                format!("resource `{name}` has no nodes, or more than 1000"),
                "at least one node",
            ));
        }
        if resource.nodes.iter().any(|node| node.pods == 0 || node.workers() > 4096) {
            return Some(wrong(
                name,
                format!("a node of `{name}` has no pods or more than 4096 workers"),
                "1 pod or more and 1 to 4096 workers",
            ));
        }
        let strange = resource.speed.keys().find(|class| scenario.classes.iter().all(|c| c.name != **class));
        strange.map(|class| {
            wrong(
                class,
                format!("`{name}` has a speed for class `{class}`, which is not in classes"),
                "the name of a class",
            )
        })
    })
}

fn route_fits(route: &JournalRouteSpec, scenario: &Scenario) -> Option<Wrong> {
    let named = || std::iter::once(&route.lead).chain(&route.alternates);
    if let Some(stranger) = named().find(|r| !scenario.resources.contains_key(&r.service)) {
        let there: Vec<&str> = scenario.resources.keys().map(String::as_str).collect();
        return Some(wrong(
            &stranger.service,
            format!("the route names Service `{}`, which is not in resources", stranger.service),
            format!("one of {}", there.join(", ")),
        ));
    }
    for (i, one) in named().enumerate() {
        if named().take(i).any(|other| other.service == one.service) {
            return Some(wrong(
                &one.service,
                format!("the route names `{}` twice", one.service),
                "every Service once, the lead not among the alternates",
            ));
        }
    }
    if route.alternates.is_empty() {
        return Some(wrong("alternates", "the route has no alternates", "at least one"));
    }
    let Some(target) = &route.target.service else {
        return Some(wrong(
            "target",
            "the route has no target.service",
            "target: {service: NAME}; weights are simulated with it, too",
        ));
    };
    if scenario.resources.contains_key(target) {
        return Some(wrong(
            "target",
            format!("target `{target}` is a resource"),
            "the Service that clients call",
        ));
    }
    if route.mode != Mode::Active || route.suspend {
        return Some(wrong("mode", "the route does not act", "mode: Active and no suspend"));
    }
    let weights = &route.weights;
    if weights.affinity < 0
        || weights.stability < 0
        || weights.cost < 0
        || weights.affinity + weights.stability + weights.cost == 0
    {
        return Some(wrong(
            "weights",
            "a weight is negative, or all are zero",
            "affinity, stability and cost of 0 or more",
        ));
    }
    let (lead, alternate, saturation) = (
        route.objective.lead_load.get(),
        route.objective.alternate_load.get(),
        route.objective.saturation.get(),
    );
    let sound =
        (0.1..saturation).contains(&lead) && (0.1..saturation).contains(&alternate) && saturation <= 1.0;
    if !sound {
        return Some(wrong(
            "objective",
            "the loads are not between 0.1 and saturation, or saturation is above 1",
            "for example leadLoad: \"0.75\", saturation: \"0.90\"",
        ));
    }
    None
}

fn fault_fits(fault: &Fault, scenario: &Scenario) -> Option<Wrong> {
    let Some(resource) = scenario.resources.get(&fault.resource) else {
        return Some(wrong(
            &fault.resource,
            format!("a fault names `{}`, which is not in resources", fault.resource),
            "the name of a resource",
        ));
    };
    if fault.node.is_some_and(|node| node >= resource.nodes.len()) {
        return Some(wrong(
            "node",
            format!("`{}` has no such node", fault.resource),
            format!("0 to {}", resource.nodes.len() - 1),
        ));
    }
    if fault.to.is_some_and(|to| to <= fault.from) {
        return Some(wrong("faults", "a fault ends before it begins", "`to` after `from`"));
    }
    let unfit = [
        (fault.ratio.is_some() || fault.answer.is_some(), FaultKind::Errors, "ratio and answer"),
        (fault.noticed.is_some(), FaultKind::NodeLoss, "noticed"),
        (fault.delay.is_some(), FaultKind::StalePersona, "delay"),
    ];
    unfit.iter().find(|(given, kind, _)| *given && *kind != fault.kind).map(|(_, kind, field)| {
        wrong(
            "faults",
            format!("{field} given for another kind of fault"),
            format!("{field} only with {kind:?}"),
        )
    })
}

fn rising(shape: &Shape) -> Option<Wrong> {
    let Shape::Points(points) = shape else { return None };
    if points.is_empty() || !points.is_sorted_by(|a, b| a.at < b.at) {
        return Some(wrong(
            "points",
            "the points do not rise in time",
            "at least one point, each later than the one before",
        ));
    }
    None
}

/// Looked up a thousand times over the scenario.
fn rate_fits(route: usize, scenario: &Scenario) -> Option<Wrong> {
    let drawn = Drawn::new(scenario, route, 0, 0)?;
    let seconds = scenario.duration.get().as_secs_f64();
    let most = (0..=1000).map(|i| drawn.rate(seconds * f64::from(i) / 1000.0)).fold(0.0, f64::max);
    (most > MOST_ENTRIES).then(|| {
        wrong(
            "demand",
            format!("{most:.0} entries arrive in a second"),
            "5 million a second at most: more workMs, or less",
        )
    })
}

/// The first line that says the word, as a whole word and not in a comment.
fn line_of(text: &str, word: &str) -> Option<u64> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let says = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word)
        })
    };
    let found = text.lines().position(|line| !line.trim_start().starts_with('#') && says(line));
    found.map(|line| line as u64 + 1)
}
