//! Client-side weighted round robin.

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::Policy;
use crate::{
    fleet::{Fleet, Layout},
    source::Entry,
};

/// Seconds of continuous reports before a weight is used.
const BLACKOUT: u64 = 10;

/// Seconds without a report after which a weight is dropped.
const EXPIRATION: u64 = 180;

/// Weight of the error ratio beside the utilisation.
const ERROR_PENALTY: f64 = 1.0;

/// gRPC's and Envoy's client-side weighted round robin over ORCA reports:
/// `weight = qps / (utilisation + eps/qps x 1.0)`, updated every second, unused for the first 10 s of reports and after
/// 3 min without; an endpoint without a weight gets the mean, and with fewer than two weights it is plain round robin
/// (gRFC A58, A51). Reports come with the answers and are as old as the scenario's
/// metrics delay. Endpoints are picked by earliest deadline, with random first deadlines against lock-step.
#[derive(Debug)]
pub struct WeightedRoundRobin {
    weights: Vec<f64>,
    reporting_since: Vec<Option<u64>>,
    last_report: Vec<u64>,
    /// Virtual time of each endpoint's next turn, and of each route.
    deadlines: Vec<f64>,
    now: Vec<f64>,
}

impl WeightedRoundRobin {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(layout: &Layout, seed: u64) -> Self {
        let mut dice = Pcg64Mcg::seed_from_u64(seed);
        let endpoints = layout.endpoints.len();
        Self {
            weights: vec![1.0; endpoints],
            reporting_since: vec![None; endpoints],
            last_report: vec![0; endpoints],
            deadlines: (0..endpoints).map(|_| dice.random()).collect(),
            now: vec![0.0; layout.pools.len()],
        }
    }
}

impl Policy for WeightedRoundRobin {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let route = usize::from(entry.route);
        let earlier =
            |a: &u16, b: &u16| self.deadlines[usize::from(*a)].total_cmp(&self.deadlines[usize::from(*b)]);
        let Some(&next) = fleet.pool(route).iter().min_by(|a, b| earlier(a, b)) else { return 0 };
        let i = usize::from(next);
        // An endpoint that comes back does not make up for the turns that it missed.
        self.now[route] = self.now[route].max(self.deadlines[i]);
        self.deadlines[i] =
            self.deadlines[i].max(self.now[route] - 1.0 / self.weights[i]) + 1.0 / self.weights[i];
        next
    }

    fn tick(&mut self, fleet: &Fleet) {
        let layout = fleet.layout();
        let now = fleet.second();
        let mut usable = vec![None; self.weights.len()];
        for (i, endpoint) in layout.endpoints.iter().enumerate() {
            let node = usize::from(endpoint.node);
            let sample = fleet.carried(node);
            if sample.answered > 0 {
                self.last_report[i] = now;
                self.reporting_since[i].get_or_insert(now);
            } else if now - self.last_report[i] > EXPIRATION {
                self.reporting_since[i] = None;
            }
            if self.reporting_since[i].is_some_and(|since| now - since >= BLACKOUT) && sample.answered > 0 {
                let qps = f64::from(sample.answered);
                let utilisation = sample.used / layout.nodes[node].cores;
                let load = utilisation + f64::from(sample.errors) / qps * ERROR_PENALTY;
                usable[i] = (load > 0.0).then_some(qps / load);
            } else if self.reporting_since[i].is_some_and(|since| now - since >= BLACKOUT) {
                usable[i] = Some(self.weights[i]);
            }
        }
        let known: Vec<f64> = usable.iter().copied().flatten().collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        for (weight, usable) in self.weights.iter_mut().zip(usable) {
            *weight = if known.len() < 2 { 1.0 } else { usable.unwrap_or(mean).max(1e-6) };
        }
    }
}
