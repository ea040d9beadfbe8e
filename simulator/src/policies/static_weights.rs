//! Static weights.

use super::{Policy, Spread};
use crate::{
    fleet::{Fleet, Layout},
    source::Entry,
};

/// Weights that a person set once, in proportion to the cores of each resource: `backendRefs[].weight` of an
/// HTTPRoute without anybody who changes them.
#[derive(Debug)]
pub struct StaticWeights {
    spreads: Vec<Spread>,
    shares: Vec<Vec<f64>>,
}

impl StaticWeights {
    /// Weights by capacity.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let cores = |&member: &u16| layout.resources[usize::from(member)].cores;
        let spreads: Vec<Spread> = layout
            .pools
            .iter()
            .map(|pool| Spread::Weights(pool.members.iter().map(cores).collect()))
            .collect();
        let shares = spreads.iter().enumerate().map(|(route, spread)| spread.shares(route, layout)).collect();
        Self { spreads, shares }
    }
}

impl Policy for StaticWeights {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        self.spreads[usize::from(entry.route)].choose(entry, fleet)
    }

    fn shares(&self, route: usize) -> Option<Vec<f64>> {
        self.shares.get(route).cloned()
    }
}
