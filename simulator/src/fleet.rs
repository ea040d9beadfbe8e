//! The simulated resources: nodes with workers, queues, caches, antagonists and faults.
//!
//! A node serves first come, first served with a bounded number of workers. Everything that its future depends on is
//! known (antagonists and faults follow the clock), so the fate of an entry is known when it is sent: no events are
//! needed but the answers that a policy wants to hear of.

mod layout;
mod node;

use std::sync::Arc;

pub use layout::{Endpoint, Layout, NodePlan, Pool, ResourcePlan};
pub use node::{Fate, Sample, Verdict};

use crate::source::{Entry, SECOND};
use node::Node;

/// All nodes of one policy's world.
#[derive(Debug)]
pub struct Fleet {
    layout: Arc<Layout>,
    nodes: Vec<Node>,
    second: u64,
    ready: Vec<bool>,
    /// Ready endpoints of each route.
    pools: Vec<Vec<u16>>,
    /// Ready endpoints of each resource.
    of_resource: Vec<Vec<u16>>,
    in_flight: Vec<u32>,
}

impl Fleet {
    /// An idle fleet.
    #[must_use]
    pub fn new(layout: Arc<Layout>) -> Self {
        let nodes = layout.nodes.iter().map(Node::new).collect();
        let mut fleet = Self {
            nodes,
            second: 0,
            ready: vec![true; layout.endpoints.len()],
            pools: Vec::new(),
            of_resource: Vec::new(),
            in_flight: vec![0; layout.endpoints.len()],
            layout,
        };
        fleet.list();
        fleet
    }

    /// What there is.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Seconds that are over.
    #[must_use]
    pub fn second(&self) -> u64 {
        self.second
    }

    /// Ready endpoints of a route, those of its resources in turn.
    #[must_use]
    pub fn pool(&self, route: usize) -> &[u16] {
        &self.pools[route]
    }

    /// Ready endpoints of a resource.
    #[must_use]
    pub fn ready_of(&self, resource: u16) -> &[u16] {
        &self.of_resource[usize::from(resource)]
    }

    /// Whether an endpoint is listed as ready.
    #[must_use]
    pub fn is_ready(&self, endpoint: u16) -> bool {
        self.ready[usize::from(endpoint)]
    }

    /// Entries under way at an endpoint; kept only for policies that hear of answers.
    #[must_use]
    pub fn in_flight(&self, endpoint: u16) -> u32 {
        self.in_flight[usize::from(endpoint)]
    }

    /// The newest sample of a node, as its own agent sees it.
    #[must_use]
    pub fn sampled(&self, node: usize) -> &Sample {
        self.nodes[node].sample(0)
    }

    /// What the entries that a node answers carry back about it: the metrics delay old.
    #[must_use]
    pub fn carried(&self, node: usize) -> &Sample {
        self.nodes[node].sample(self.layout.metrics_delay)
    }

    /// What the control plane knows of a node: the metrics delay old, older while its reports are held up.
    #[must_use]
    pub fn reported(&self, node: usize) -> &Sample {
        let now = self.second.saturating_sub(1);
        let held_up = self.layout.nodes[node].report_age(now);
        self.nodes[node].sample(self.layout.metrics_delay + held_up)
    }

    /// Sends an entry to an endpoint.
    pub fn send(&mut self, entry: &Entry, endpoint: u16) -> Fate {
        let node = usize::from(self.layout.endpoints[usize::from(endpoint)].node);
        let plan = &self.layout.nodes[node];
        self.nodes[node].serve(plan, self.layout.timeout, entry)
    }

    pub(crate) fn departed(&mut self, endpoint: u16) {
        self.in_flight[usize::from(endpoint)] += 1;
    }

    pub(crate) fn answered(&mut self, endpoint: u16) {
        self.in_flight[usize::from(endpoint)] -= 1;
    }

    /// Ends a second: samples are taken, endpoints become ready or not.
    pub fn close_second(&mut self) {
        for (node, plan) in self.nodes.iter_mut().zip(&self.layout.nodes) {
            node.close_second(plan, self.second);
        }
        self.second += 1;
        let now = self.second * SECOND;
        let mut changed = false;
        for (ready, endpoint) in self.ready.iter_mut().zip(&self.layout.endpoints) {
            let listed = !self.layout.nodes[usize::from(endpoint.node)].is_known_lost(now);
            changed |= *ready != listed;
            *ready = listed;
        }
        if changed {
            self.list();
        }
    }

    fn list(&mut self) {
        let of = |resource: usize| -> Vec<u16> {
            let all = self.layout.endpoints.iter().enumerate();
            all.filter(|(i, endpoint)| usize::from(endpoint.resource) == resource && self.ready[*i])
                .map(|(i, _)| i as u16)
                .collect()
        };
        self.of_resource = (0..self.layout.resources.len()).map(of).collect();
        let of_resource = &self.of_resource;
        let turns = |pool: &Pool| -> Vec<u16> {
            let ready = |&member: &u16| &of_resource[usize::from(member)];
            let most = pool.members.iter().map(|member| ready(member).len()).max().unwrap_or_default();
            (0..most)
                .flat_map(|turn| pool.members.iter().filter_map(move |member| ready(member).get(turn)))
                .copied()
                .collect()
        };
        self.pools = self.layout.pools.iter().map(turns).collect();
    }
}
