//! The oracle.

use super::Policy;
use crate::{
    fleet::{Fleet, Layout},
    source::{Entry, SECOND},
};

/// The load at which the oracle keeps the lead: just under its capacity.
const JUST_UNDER: f64 = 0.97;

/// Knows all entries of the coming second with their work, and what antagonists and faults will take from every
/// node; keeps the lead just under what it can do then and gives the rest to the alternates by what each has left.
/// Its shares act at once. Nothing that runs on a cluster can do this: it shows how far a goal is from the possible.
#[derive(Debug)]
pub struct Oracle {
    /// Work that each resource may still take in this second, in core seconds.
    budgets: Vec<f64>,
    /// Budget of each resource for the second.
    full: Vec<f64>,
    /// Turn within each resource.
    turns: Vec<usize>,
    /// Work that was given beyond what could be worked off, in core seconds.
    backlog: Vec<f64>,
    given: Vec<f64>,
    /// Part of the second's work that each route's lead can take.
    lead_share: Vec<f64>,
    owed: Vec<f64>,
}

impl Oracle {
    /// Before the first second.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let resources = layout.resources.len();
        Self {
            budgets: vec![0.0; resources],
            full: vec![0.0; resources],
            turns: vec![0; resources],
            backlog: vec![0.0; resources],
            given: vec![0.0; resources],
            lead_share: vec![1.0; layout.pools.len()],
            owed: vec![0.0; layout.pools.len()],
        }
    }

    fn sound(fleet: &Fleet, resource: u16, at: u64) -> bool {
        let nodes = &fleet.layout().resources[usize::from(resource)].nodes;
        nodes.iter().all(|&node| fleet.layout().nodes[node].is_sound(at))
    }
}

impl Policy for Oracle {
    fn foresee(&mut self, entries: &[Entry], fleet: &Fleet) {
        let layout = fleet.layout();
        let now = fleet.second() * SECOND + SECOND / 2;
        for (i, resource) in layout.resources.iter().enumerate() {
            // An even spread over endpoints fills the weakest node first.
            let pods = resource.nodes.iter().map(|&node| layout.pods(node)).sum::<f64>();
            let weakest = resource
                .nodes
                .iter()
                .map(|&node| {
                    layout.nodes[node].cores * layout.nodes[node].left(now) * pods / layout.pods(node)
                })
                .fold(f64::INFINITY, f64::min);
            self.backlog[i] = (self.backlog[i] + self.given[i] - weakest).max(0.0);
            self.given[i] = 0.0;
            let up = Self::sound(fleet, i as u16, now) && Self::sound(fleet, i as u16, now + SECOND / 2);
            self.full[i] = if up { (weakest * JUST_UNDER - self.backlog[i]).max(0.0) } else { 0.0 };
            self.budgets[i] = self.full[i];
        }
        for (route, pool) in layout.pools.iter().enumerate() {
            let lead = pool.members[0];
            let mine = entries.iter().filter(|entry| usize::from(entry.route) == route);
            let work: f64 =
                mine.map(|entry| f64::from(entry.work) * layout.slowness(lead, entry.class)).sum();
            self.lead_share[route] = (self.full[usize::from(lead)] / work.max(1e-9)).min(1.0);
        }
    }

    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let layout = fleet.layout();
        let route = usize::from(entry.route);
        let members = &layout.pools[route].members;
        let work = |member: u16| f64::from(entry.work) * layout.slowness(member, entry.class);
        let lead = members[0];
        // The lead's part is spread evenly over the second: error diffusion.
        self.owed[route] += self.lead_share[route] * work(lead);
        let chosen = if self.owed[route] >= work(lead) * 0.5 || members.len() < 2 {
            self.owed[route] -= work(lead);
            lead
        } else {
            let left = |member: u16| {
                let i = usize::from(member);
                self.budgets[i] / layout.resources[i].capacity.max(1e-9)
            };
            members[1..].iter().copied().max_by(|&a, &b| left(a).total_cmp(&left(b))).unwrap_or(lead)
        };
        let i = usize::from(chosen);
        self.budgets[i] -= work(chosen);
        self.given[i] += work(chosen);
        let ready = fleet.ready_of(chosen);
        let ready = if ready.is_empty() { fleet.pool(route) } else { ready };
        if ready.is_empty() {
            return 0;
        }
        self.turns[i] = (self.turns[i] + 1) % ready.len();
        ready[self.turns[i]]
    }
}
