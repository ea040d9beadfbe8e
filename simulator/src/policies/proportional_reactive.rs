//! Proportional reactive shift.

use super::{Policy, Spread, spread::Delayed};
use crate::{
    fleet::{Fleet, Layout, Pool},
    source::Entry,
};
use foreshift_engine::persona::load::{self, Usage};

/// Shifts `max(0, 1 - target/observed)` of the entries, every second, from what is observed and without any forecast.
///
/// `observed` is what is offered to the lead (its own load and what the alternates do for it), read by the engine's
/// own rule, so that the rival does not chase its own moves; the alternates take the share by their cores. Shares act
/// after the scenario's actuation delay. The issue names the rule; no product is behind it.
#[derive(Debug)]
pub struct ProportionalReactive {
    targets: Vec<f64>,
    spreads: Vec<Delayed<Spread>>,
    shares: Vec<Vec<f64>>,
}

impl ProportionalReactive {
    /// Keeps the lead at `target`, or at the route's own objective.
    #[must_use]
    pub fn new(layout: &Layout, target: Option<f64>) -> Self {
        let lead_only =
            |pool: &Pool| Delayed::new(Spread::lead_only(pool.members.len()), layout.actuation_delay);
        Self {
            targets: layout.pools.iter().map(|pool| target.unwrap_or(pool.lead_load)).collect(),
            spreads: layout.pools.iter().map(lead_only).collect(),
            shares: layout
                .pools
                .iter()
                .map(|pool| Spread::lead_only(pool.members.len()))
                .enumerate()
                .map(|(route, spread)| spread.shares(route, layout))
                .collect(),
        }
    }
}

/// Load of a resource as the control plane reads it: that of its fullest node, beyond 1 while entries wait.
pub(super) fn observed(resource: u16, fleet: &Fleet) -> f64 {
    let layout = fleet.layout();
    let nodes = layout.resources[usize::from(resource)].nodes.iter();
    nodes
        .map(|&node| {
            let sample = fleet.reported(node);
            load::cpu(&Usage {
                capacity: layout.nodes[node].cores,
                used: sample.used,
                pressure: Some(sample.waiting),
                throttled: None,
            })
        })
        .fold(0.0, f64::max)
}

impl Policy for ProportionalReactive {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        self.spreads[usize::from(entry.route)].get().choose(entry, fleet)
    }

    fn tick(&mut self, fleet: &Fleet) {
        let layout = fleet.layout();
        for (route, pool) in layout.pools.iter().enumerate() {
            let lead = &layout.resources[usize::from(pool.members[0])];
            let elsewhere: f64 = pool.members[1..]
                .iter()
                .flat_map(|&member| &layout.resources[usize::from(member)].nodes)
                .map(|&node| fleet.reported(node).own)
                .sum();
            let offered = observed(pool.members[0], fleet) + elsewhere / lead.capacity;
            let moved = (1.0 - self.targets[route] / offered.max(1e-9)).max(0.0);
            let cores = |&member: &u16| {
                if fleet.ready_of(member).is_empty() {
                    0.0
                } else {
                    layout.resources[usize::from(member)].cores
                }
            };
            let all: f64 = pool.members[1..].iter().map(cores).sum();
            let mut weights = vec![1.0 - moved];
            weights.extend(
                pool.members[1..]
                    .iter()
                    .map(|member| if all > 0.0 { moved * cores(member) / all } else { 0.0 }),
            );
            self.spreads[route].decide(fleet.second(), Spread::Weights(weights));
            self.shares[route] = self.spreads[route].get().shares(route, layout);
        }
    }

    fn shares(&self, route: usize) -> Option<Vec<f64>> {
        self.shares.get(route).cloned()
    }
}
