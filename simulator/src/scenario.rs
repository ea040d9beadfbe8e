//! A scenario file: resources, classes of entries, demand, faults, delays, and the very `JournalRoute` spec.

pub mod amount;
mod check;
mod route;

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use foreshift_api::{JournalRouteSpec, Span};
use serde::Deserialize;

use self::amount::{Level, Positive, Ratio};
use crate::{
    error::{Error, Result},
    shape::Shape,
};

/// No scenario has reason to be larger; what is larger is not read.
const MAX_BYTES: u64 = 1 << 20;

/// What is simulated.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a scenario with duration, resources, classes, route and demand"
)]
pub struct Scenario {
    /// Length of the measured part.
    pub duration: Span,
    /// Time before it in which everything runs at the first level and nothing is counted.
    #[serde(default = "default_settle")]
    pub settle: Span,
    /// After this long a client gives an entry up.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How old what anybody knows is, and how long a decision takes to act.
    #[serde(default)]
    pub delays: Delays,
    /// Who can take entries, by Service name.
    pub resources: BTreeMap<String, ResourceSpec>,
    /// What entries there are.
    pub classes: Vec<Class>,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// The route, as it would be applied to a cluster.
    pub route: route::Strict,
    /// How many entries come.
    pub demand: Demand,
    /// More routes over the same resources.
    #[serde(default)]
    pub others: Vec<Other>,
}

/// A further route with its own demand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// The route.
    pub route: route::Strict,
    /// Its demand.
    pub demand: Demand,
}

/// Delays between what happens, what is known and what is done.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delays {
    /// From a measurement to everybody who reads it, whole seconds.
    pub metrics: Span,
    /// The least time between two personas of one node, whole seconds; 2 s is what agents do.
    pub publish: Span,
    /// From a change of shares to its effect on entries: programming and connections that must be renewed.
    pub actuation: Span,
}

/// A backend Service with its nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceSpec {
    /// The nodes that its pods run on; no other resource runs there.
    pub nodes: Vec<NodeSpec>,
    /// Price of each of its nodes for an hour.
    #[serde(default)]
    pub price: Level,
    /// Spread of service times: standard deviation of their logarithm.
    #[serde(default)]
    pub jitter: Level,
    /// How fast it works, by class; 1 where nothing is said.
    #[serde(default)]
    pub speed: BTreeMap<String, Positive>,
    /// Entries that it answers with an error, at once.
    #[serde(default)]
    pub errors: Ratio,
    /// Caches that are cold at the beginning.
    #[serde(default)]
    pub cold: Option<Cold>,
    /// Part of its nodes' capacity that somebody else takes.
    #[serde(default, with = "serde_yaml::with::singleton_map")]
    pub antagonist: Option<Shape>,
}

/// A node.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// Its capacity.
    pub cores: Positive,
    /// Entries that are worked on at once; by default one a core, rounded up. Others queue.
    #[serde(default)]
    pub workers: Option<u16>,
    /// Pods, each an endpoint.
    #[serde(default = "default_pods")]
    pub pods: u16,
}

/// Cold caches: service times are `factor` times as long at first, and less so with every entry.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cold {
    /// How much longer the first entry takes.
    pub factor: Positive,
    /// Entries on a node after which 1/e of the excess is left.
    pub entries: Positive,
}

/// A class of entries.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Class {
    /// Its name, as a trace writes it.
    pub name: String,
    /// How often it comes, relative to the others.
    #[serde(default = "one")]
    pub weight: Positive,
    /// Work of one step on one core, in milliseconds.
    pub work_ms: Positive,
    /// Work on top of it for every 1000 bytes, in milliseconds.
    #[serde(default)]
    pub work_ms_per_kilobyte: Level,
    /// Its size.
    #[serde(default, with = "serde_yaml::with::singleton_map")]
    pub bytes: Size,
}

/// A distribution of sizes, in bytes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Size {
    /// All alike.
    Fixed(Level),
    /// Logarithms are normally distributed.
    Lognormal {
        /// Half are smaller.
        median: Positive,
        /// Standard deviation of the logarithm.
        sigma: Level,
    },
    /// A heavy tail, cut off.
    Pareto {
        /// None is smaller.
        least: Positive,
        /// None is larger.
        most: Positive,
        /// Tail index; the smaller the heavier.
        tail: Positive,
    },
}

/// How many entries come, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Demand {
    /// Offered work over the lead's capacity.
    #[serde(with = "serde_yaml::with::singleton_map")]
    pub shape: Shape,
    /// Entries that come together, on average; 1 is a Poisson process.
    #[serde(default = "one")]
    pub burst: Positive,
}

/// Something that goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// At which resource.
    pub resource: String,
    /// At which of its nodes, from 0; at all of them where nothing is said.
    #[serde(default)]
    pub node: Option<usize>,
    /// When it begins.
    pub from: Span,
    /// When it ends; never where nothing is said.
    #[serde(default)]
    pub to: Option<Span>,
    /// `errors`: part of the entries that are answered with an error.
    #[serde(default)]
    pub ratio: Option<Ratio>,
    /// `errors`: after how long; at once where nothing is said.
    #[serde(default)]
    pub answer: Option<Span>,
    /// `nodeLoss`: when the cluster takes note and removes the endpoints.
    #[serde(default)]
    pub noticed: Option<Span>,
    /// `stalePersona`: how much later personas arrive; not at all where nothing is said.
    #[serde(default)]
    pub delay: Option<Span>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// Entries are answered with an error, fast.
    Errors,
    /// Entries are accepted and never answered; the node looks idle.
    BlackHole,
    /// The node is gone, and with it what it had taken.
    NodeLoss,
    /// The node works on and its personas come late or not at all.
    StalePersona,
}

impl Default for Delays {
    fn default() -> Self {
        Self { metrics: Span::from_secs(1), publish: Span::from_secs(2), actuation: Span::from_secs(2) }
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::Fixed(Level::default())
    }
}

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::Input`] with the line and what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|error| Error::at(path, None, &error.to_string(), "a scenario as YAML, in UTF-8"))?;
        Self::parse(path, &text)
    }

    /// Checks the text of a scenario; `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Input`] with the line and what was expected.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        const A_SCENARIO: &str = "a scenario with duration, resources, classes, route and demand";
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::at(path, None, "the file is larger than 1 MiB", A_SCENARIO));
        }
        if text.trim().is_empty() {
            return Err(Error::at(path, Some(1), "the file is empty", A_SCENARIO));
        }
        let scenario: Self = serde_yaml::from_str(text).map_err(|error| {
            let line = error.location().map(|location| location.line() as u64);
            let told = error.to_string();
            // The parser names what it expected after a comma, and the place at the end.
            let told = told.split(" at line ").next().unwrap_or_default();
            match told.rsplit_once(", expected ") {
                Some((problem, expected)) => Error::at(path, line, problem, expected),
                None => Error::at(path, line, told, A_SCENARIO),
            }
        })?;
        check::check(path, text, &scenario)?;
        Ok(scenario)
    }

    /// All routes with their demand, the first one first.
    pub fn routes(&self) -> impl Iterator<Item = (&JournalRouteSpec, &Demand)> {
        let others = self.others.iter().map(|other| (&other.route.0, &other.demand));
        std::iter::once((&self.route.0, &self.demand)).chain(others)
    }
}

impl Delays {
    /// Whole seconds of a delay, rounded up.
    #[must_use]
    pub fn whole_seconds(span: Span) -> u64 {
        span.get().as_millis().div_ceil(1000) as u64
    }
}

impl NodeSpec {
    /// Entries that are worked on at once.
    #[must_use]
    pub fn workers(&self) -> u16 {
        self.workers.unwrap_or_else(|| self.cores.get().ceil() as u16).max(1)
    }
}

fn default_settle() -> Span {
    Span::from_secs(60)
}

fn default_timeout() -> Span {
    Span::from_secs(5)
}

fn default_pods() -> u16 {
    4
}

fn one() -> Positive {
    Positive::ONE
}

#[cfg(test)]
mod tests;
