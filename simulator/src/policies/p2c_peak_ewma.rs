//! Power of two choices with peak EWMA.

use super::{Answer, Policy};
use crate::{
    fleet::{Fleet, Layout},
    source::{Entry, SECOND},
};

/// Latency of an endpoint that nothing is known of, in seconds.
const DEFAULT_RTT: f64 = 0.030;

/// Time after which 1/e of an old latency is left, in seconds.
const DECAY: f64 = 10.0;

/// Linkerd2-proxy's balancer: of two random endpoints the one with the lower (latency x (pending + 1)), where a
/// latency above the average replaces it at once and one below is folded in with a decay of 10 s; default round-trip
/// time 30 ms (linkerd2-proxy). Errors count by their latency, as they do there (linkerd2#11669).
#[derive(Debug)]
pub struct P2cPeakEwma {
    latency: Vec<f64>,
    updated: Vec<u64>,
}

impl P2cPeakEwma {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { latency: vec![DEFAULT_RTT; layout.endpoints.len()], updated: vec![0; layout.endpoints.len()] }
    }

    fn cost(&self, endpoint: u16, fleet: &Fleet, now: u64) -> f64 {
        let i = usize::from(endpoint);
        let age = now.saturating_sub(self.updated[i]) as f64 / SECOND as f64;
        // What is not heard of fades towards nothing, so that it is tried again.
        self.latency[i] * (-age / DECAY).exp() * f64::from(fleet.in_flight(endpoint) + 1)
    }
}

impl Policy for P2cPeakEwma {
    const HEARS: bool = true;

    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let pool = fleet.pool(usize::from(entry.route));
        if pool.len() < 2 {
            return pool.first().copied().unwrap_or_default();
        }
        let first = entry.one_of(pool.len(), 0);
        let second = (first + 1 + entry.one_of(pool.len() - 1, 1)) % pool.len();
        let [first, second] = [pool[first], pool[second]];
        if self.cost(second, fleet, entry.at) < self.cost(first, fleet, entry.at) { second } else { first }
    }

    fn heard(&mut self, answer: &Answer, _fleet: &Fleet) {
        let i = usize::from(answer.endpoint);
        let latency = (answer.at - answer.sent) as f64 / SECOND as f64;
        if latency > self.latency[i] {
            self.latency[i] = latency;
        } else {
            let keep = (-(answer.at.saturating_sub(self.updated[i]) as f64 / SECOND as f64) / DECAY).exp();
            self.latency[i] = self.latency[i] * keep + latency * (1.0 - keep);
        }
        self.updated[i] = answer.at;
    }
}
