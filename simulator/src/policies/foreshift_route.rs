//! Foreshift for whole routes.

use super::{Policy, Spread, spread::Delayed};
use crate::{
    cluster::{Cluster, Output, ShippedModel},
    fleet::{Fleet, Layout},
    scenario::Scenario,
    source::Entry,
};

/// The operator with its node agents ([`crate::cluster`]) once a second, its shares in force after the actuation delay.
///
/// It stands for three policies: `foreshift_slices` (shares as numbers of listed endpoints), `foreshift_weights` (shares
/// as weights at a gateway), and `foreshift_reactive`: weights by the same planner held on the last rung of its ladder
/// (`forecast.strategy: Reactive`), which moves only when saturation was observed. It shows what the forecast adds to the
/// planner, and it is what the demo on a real cluster is held against.
#[derive(Debug)]
pub struct ForeshiftRoute {
    cluster: Cluster,
    spreads: Vec<Delayed<Spread>>,
    shares: Vec<Vec<f64>>,
}

impl ForeshiftRoute {
    /// With everything on the leads.
    #[must_use]
    pub fn new(scenario: &Scenario, layout: &Layout, model: &ShippedModel, output: Output) -> Self {
        let lead_only = |members: usize| Spread::lead_only(members);
        let routes = layout.pools.iter().map(|pool| pool.members.len());
        Self {
            cluster: Cluster::new(scenario, layout, model, output),
            spreads: routes.clone().map(|n| Delayed::new(lead_only(n), layout.actuation_delay)).collect(),
            shares: routes.enumerate().map(|(route, n)| lead_only(n).shares(route, layout)).collect(),
        }
    }
}

impl Policy for ForeshiftRoute {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        self.spreads[usize::from(entry.route)].get().choose(entry, fleet)
    }

    fn tick(&mut self, fleet: &Fleet) {
        self.cluster.observe(fleet);
        for (route, spread) in self.spreads.iter_mut().enumerate() {
            if let Some(decided) = self.cluster.decide(route, fleet) {
                spread.decide(fleet.second(), decided);
            }
            self.shares[route] = spread.get().shares(route, fleet.layout());
        }
    }

    fn shares(&self, route: usize) -> Option<Vec<f64>> {
        self.shares.get(route).cloned()
    }
}
