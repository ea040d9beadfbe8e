//! Least loaded by reported metrics.

use std::collections::VecDeque;

use super::Policy;
use crate::{
    fleet::{Fleet, Layout},
    source::Entry,
};

/// Every entry to the endpoint that reported the least, which everybody believes until the next report: the
/// arg-max picker with a queue-depth scorer of the Gateway API Inference Extension (llm-d-router). Reports are read once
/// a second and are as old as the scenario's metrics delay; ties are broken evenly.
#[derive(Debug)]
pub struct LeastLoaded {
    /// In-flight entries by endpoint of the last seconds, newest last.
    counted: VecDeque<Vec<u32>>,
    age: usize,
    /// The least loaded endpoints of each route.
    best: Vec<Vec<u16>>,
}

impl LeastLoaded {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self {
            counted: VecDeque::new(),
            age: usize::try_from(layout.metrics_delay).unwrap_or(usize::MAX),
            best: vec![Vec::new(); layout.pools.len()],
        }
    }
}

impl Policy for LeastLoaded {
    const HEARS: bool = true;

    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let route = usize::from(entry.route);
        let best = &self.best[route];
        let among = if best.is_empty() { fleet.pool(route) } else { best };
        among.get(entry.one_of(among.len(), 0)).copied().unwrap_or_default()
    }

    fn tick(&mut self, fleet: &Fleet) {
        let layout = fleet.layout();
        let node_load = |node: u16| -> u32 {
            let on_node = layout.endpoints.iter().enumerate().filter(|(_, e)| e.node == node);
            on_node.map(|(i, _)| fleet.in_flight(i as u16)).sum()
        };
        let counts = layout.endpoints.iter().map(|endpoint| node_load(endpoint.node)).collect();
        self.counted.push_back(counts);
        while self.counted.len() > self.age.saturating_add(1) {
            self.counted.pop_front();
        }
        let Some(reported) = self.counted.front() else { return };
        for (route, best) in self.best.iter_mut().enumerate() {
            // Queue and use together: an idle queue on a busy node is not an idle node.
            let load = |&endpoint: &u16| {
                let node = usize::from(layout.endpoints[usize::from(endpoint)].node);
                let plan = &layout.nodes[node];
                f64::from(reported[usize::from(endpoint)]) / f64::from(plan.workers)
                    + fleet.carried(node).used / plan.cores
            };
            let least = fleet.pool(route).iter().map(load).fold(f64::INFINITY, f64::min);
            *best =
                fleet.pool(route).iter().copied().filter(|endpoint| load(endpoint) <= least + 1e-9).collect();
        }
    }
}
