//! Headroom weights.

use super::{Policy, Spread, proportional_reactive::observed};
use crate::{
    fleet::{Fleet, Layout},
    source::Entry,
};

/// Time constant of the utilisation's average, in seconds.
const TAU: f64 = 5.0;

/// All entries stay local while the lead is at most this much above the mean of the others.
const VARIANCE: f64 = 0.1;

/// Part of the entries that probes the others all the same.
const PROBES: f64 = 0.03;

/// Envoy's `load_aware_locality`, a locality a resource, the lead the local one: every second
/// `weight = hosts x (1 - utilisation)` with an average of 5 s (the first sample raw), all local while
/// `util_local <= mean(util_remote) + 0.1`, a probe floor of 3 % by host count, host counts when all are overloaded
/// (Envoy's documentation of the policy). It acts in the proxy, so that no actuation delay holds it up.
#[derive(Debug)]
pub struct HeadroomWeights {
    utilisation: Vec<Option<f64>>,
    spreads: Vec<Spread>,
    shares: Vec<Vec<f64>>,
}

impl HeadroomWeights {
    /// Everything local until something is known.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let spreads: Vec<Spread> =
            layout.pools.iter().map(|pool| Spread::lead_only(pool.members.len())).collect();
        let shares = spreads.iter().enumerate().map(|(route, spread)| spread.shares(route, layout)).collect();
        Self { utilisation: vec![None; layout.resources.len()], spreads, shares }
    }
}

/// Weights of the localities from their hosts and utilisations, the local one first.
fn weights(hosts: &[f64], utilisation: &[f64]) -> Vec<f64> {
    let headroom: Vec<f64> = hosts.iter().zip(utilisation).map(|(h, u)| h * (1.0 - u).max(0.0)).collect();
    let remote = utilisation[1..].iter().sum::<f64>() / (utilisation.len() - 1).max(1) as f64;
    let sum: f64 = headroom.iter().sum();
    let mut weights: Vec<f64> = if sum <= 0.0 {
        let all: f64 = hosts.iter().sum();
        hosts.iter().map(|h| h / all.max(1e-9)).collect()
    } else if utilisation[0] <= remote + VARIANCE {
        (0..hosts.len()).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect()
    } else {
        headroom.iter().map(|h| h / sum).collect()
    };
    let elsewhere: f64 = weights[1..].iter().sum();
    let remote_hosts: f64 = hosts[1..].iter().sum();
    if elsewhere < PROBES && remote_hosts > 0.0 {
        weights[0] = 1.0 - PROBES;
        for (weight, h) in weights[1..].iter_mut().zip(&hosts[1..]) {
            *weight = PROBES * h / remote_hosts;
        }
    }
    weights
}

impl Policy for HeadroomWeights {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        self.spreads[usize::from(entry.route)].choose(entry, fleet)
    }

    fn tick(&mut self, fleet: &Fleet) {
        let layout = fleet.layout();
        let alpha = 1.0 - (-1.0 / TAU).exp();
        for (resource, average) in self.utilisation.iter_mut().enumerate() {
            let now = observed(resource as u16, fleet).min(1.0);
            *average = Some(average.map_or(now, |before| before + alpha * (now - before)));
        }
        for (route, pool) in layout.pools.iter().enumerate() {
            let hosts: Vec<f64> = pool.members.iter().map(|&m| fleet.ready_of(m).len() as f64).collect();
            let loads: Vec<f64> =
                pool.members.iter().map(|&m| self.utilisation[usize::from(m)].unwrap_or_default()).collect();
            self.spreads[route] = Spread::Weights(weights(&hosts, &loads));
            self.shares[route] = self.spreads[route].shares(route, layout);
        }
    }

    fn shares(&self, route: usize) -> Option<Vec<f64>> {
        self.shares.get(route).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_envoys() {
        let near = |got: Vec<f64>, expected: &[f64]| {
            assert!(got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-9), "{got:?} {expected:?}");
        };
        near(weights(&[4.0, 4.0], &[0.3, 0.3]), &[0.97, 0.03]);
        near(weights(&[4.0, 4.0], &[0.4, 0.3]), &[0.97, 0.03]);
        near(weights(&[4.0, 4.0], &[0.8, 0.2]), &[0.2, 0.8]);
        near(weights(&[4.0, 2.0, 2.0], &[1.0, 1.0, 1.0]), &[0.5, 0.25, 0.25]);
    }
}
