//! The policies that are held against each other, one file each.
//!
//! Every rival runs by its published rules and defaults; where a rule leaves something open, it gets the reading
//! that serves it best, and its doc comment says so.

mod foreshift_entry;
mod foreshift_route;
mod headroom_weights;
mod least_loaded;
mod oracle;
mod p2c_peak_ewma;
mod prequal;
mod proportional_reactive;
mod reactive_failover;
mod round_robin;
mod spread;
mod static_weights;
mod weighted_round_robin;

use crate::{
    cluster::{Output, ShippedModel},
    error::{Error, Result},
    fleet::{Fleet, Layout, Verdict},
    lane::{Lane, Runner},
    scenario::Scenario,
    source::Entry,
};
use std::sync::Arc;

pub use foreshift_entry::ForeshiftEntry;
pub use foreshift_route::ForeshiftRoute;
pub use headroom_weights::HeadroomWeights;
pub use least_loaded::LeastLoaded;
pub use oracle::Oracle;
pub use p2c_peak_ewma::P2cPeakEwma;
pub use prequal::Prequal;
pub use proportional_reactive::ProportionalReactive;
pub use reactive_failover::ReactiveFailover;
pub use round_robin::RoundRobin;
pub use spread::Spread;
pub use static_weights::StaticWeights;
pub use weighted_round_robin::WeightedRoundRobin;

/// Decides where entries go.
pub trait Policy {
    /// Whether it hears of every answer.
    const HEARS: bool = false;

    /// All entries of the coming second; only an oracle looks at them.
    fn foresee(&mut self, _entries: &[Entry], _fleet: &Fleet) {}

    /// The endpoint for an entry.
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16;

    /// An answer arrived, or the client gave up.
    fn heard(&mut self, _answer: &Answer, _fleet: &Fleet) {}

    /// A second is over.
    fn tick(&mut self, _fleet: &Fleet) {}

    /// The shares in force of a route's resources, lead first; `None` where no shares are programmed.
    fn shares(&self, _route: usize) -> Option<Vec<f64>> {
        None
    }
}

/// What a client hears of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// When, in nanoseconds.
    pub at: u64,
    /// Number of the entry among those of its lane, from 0.
    pub number: u64,
    /// When the entry was sent.
    pub sent: u64,
    /// Entries that were under way at the endpoint when it arrived there, itself left out.
    pub in_flight: u32,
    /// Where it was sent.
    pub endpoint: u16,
    /// Its class.
    pub class: u16,
    /// Its route.
    pub route: u16,
    /// Whether it was acknowledged, refused or lost.
    pub told: Told,
}

/// [`Verdict`] in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// See [`Verdict::Acknowledged`].
    Acknowledged,
    /// See [`Verdict::Error`].
    Error,
    /// See [`Verdict::Lost`].
    Lost,
}

/// Whether a policy keeps entries with the lead while it has room, or spreads them always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keeps the lead.
    KeepsLead,
    /// Spreads always.
    Spreads,
}

/// A policy by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// As in commands and reports.
    pub name: &'static str,
    /// What it does with the lead.
    pub kind: Kind,
}

const fn keeps(name: &'static str) -> Named {
    Named { name, kind: Kind::KeepsLead }
}

const fn spreads(name: &'static str) -> Named {
    Named { name, kind: Kind::Spreads }
}

/// All policies, in the order of reports.
pub const ALL: [Named; 14] = [
    keeps("reactive_failover"),
    keeps("proportional_reactive"),
    keeps("headroom_weights"),
    spreads("static_weights"),
    spreads("round_robin"),
    spreads("weighted_round_robin"),
    spreads("least_loaded"),
    spreads("p2c_peak_ewma"),
    spreads("prequal"),
    keeps("foreshift_reactive"),
    keeps("foreshift_slices"),
    keeps("foreshift_weights"),
    keeps("foreshift_entry"),
    keeps("oracle"),
];

/// Settings of policies that a comparison may change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    /// Load at which `proportional_reactive` keeps the lead; the route's objective where nothing is said.
    pub proportional_target: Option<f64>,
}

/// The policies of these names.
///
/// # Errors
/// [`Error::Policy`] for a name that is none.
pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Named>> {
    let find = |name: &str| {
        ALL.iter().copied().find(|policy| policy.name == name).ok_or_else(|| Error::Policy {
            name: name.to_owned(),
            known: ALL.map(|policy| policy.name).join(", "),
        })
    };
    names.into_iter().map(|name| find(name.trim())).collect()
}

/// A lane that runs a policy over a fleet of its own.
#[must_use]
pub fn lane(
    policy: Named,
    scenario: &Scenario,
    layout: &Arc<Layout>,
    model: &ShippedModel,
    settings: Settings,
    seed: u64,
) -> Box<dyn Runner> {
    let fleet = Fleet::new(Arc::clone(layout));
    let route = |output| ForeshiftRoute::new(scenario, layout, model, output);
    match policy.name {
        "reactive_failover" => Lane::boxed(policy, ReactiveFailover::new(layout), fleet),
        "foreshift_reactive" => Lane::boxed(policy, route(Output::Reactive), fleet),
        "foreshift_slices" => Lane::boxed(policy, route(Output::Slices), fleet),
        "foreshift_weights" => Lane::boxed(policy, route(Output::Weights), fleet),
        "foreshift_entry" => Lane::boxed(policy, ForeshiftEntry::new(scenario, layout, model), fleet),
        "proportional_reactive" => {
            let rival = ProportionalReactive::new(layout, settings.proportional_target);
            Lane::boxed(policy, rival, fleet)
        }
        "headroom_weights" => Lane::boxed(policy, HeadroomWeights::new(layout), fleet),
        "static_weights" => Lane::boxed(policy, StaticWeights::new(layout), fleet),
        "weighted_round_robin" => Lane::boxed(policy, WeightedRoundRobin::new(layout, seed), fleet),
        "least_loaded" => Lane::boxed(policy, LeastLoaded::new(layout), fleet),
        "p2c_peak_ewma" => Lane::boxed(policy, P2cPeakEwma::new(layout), fleet),
        "prequal" => Lane::boxed(policy, Prequal::new(layout, seed), fleet),
        "oracle" => Lane::boxed(policy, Oracle::new(layout), fleet),
        _ => Lane::boxed(policy, RoundRobin::new(layout), fleet),
    }
}

impl From<Verdict> for Told {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Acknowledged => Self::Acknowledged,
            Verdict::Error => Self::Error,
            Verdict::Lost => Self::Lost,
        }
    }
}
