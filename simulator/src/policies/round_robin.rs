//! Round robin.

use super::Policy;
use crate::{
    fleet::{Fleet, Layout},
    source::Entry,
};

/// Every endpoint in turn, lead and alternates alike: what kube-proxy and most proxies do by default
/// (the `RR` of the prequal-rs harness).
#[derive(Debug)]
pub struct RoundRobin {
    next: Vec<usize>,
}

impl RoundRobin {
    /// Begins with the first endpoint.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { next: vec![0; layout.pools.len()] }
    }
}

impl Policy for RoundRobin {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let route = usize::from(entry.route);
        let pool = fleet.pool(route);
        let next = &mut self.next[route];
        *next = if *next + 1 < pool.len() { *next + 1 } else { 0 };
        pool.get(*next).copied().unwrap_or_default()
    }
}
