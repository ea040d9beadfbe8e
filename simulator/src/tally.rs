//! What is counted while a policy runs. [`crate::figures`] says what the counts mean.

use hdrhistogram::Histogram;

use crate::{
    fleet::{Fate, Fleet, Verdict},
    source::Entry,
};

/// Latencies are counted in microseconds with three digits, up to an hour.
const MICROS: (u64, u64, u8) = (1, 3_600_000_000, 3);

/// Counts of one policy in one run, from the end of the settling time on.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latency of acknowledged and lost entries, in microseconds; lost ones took the client's timeout.
    pub latency: Histogram<u64>,
    /// Entries that arrived.
    pub entries: u64,
    /// Entries that were answered with an error.
    pub errors: u64,
    /// Entries that were never answered.
    pub lost: u64,
    /// One record a second.
    pub seconds: Vec<Second>,
    /// Core seconds in use on each node, by whomever.
    pub used: Vec<f64>,
    /// Core seconds in use on each node for entries.
    pub own: Vec<f64>,
    /// Work of all entries as their leads would do it, in core seconds.
    pub work: f64,
    current: Vec<Counted>,
    slow: Vec<u32>,
}

/// One second.
#[derive(Clone, Debug, Default)]
pub struct Second {
    /// By route.
    pub routes: Vec<RouteSecond>,
    /// Work that was sent to nodes above what they can do, in core seconds.
    pub excess: f64,
    /// 99th percentile of latency, in milliseconds, by time of arrival.
    pub p99_ms: f64,
}

/// One second of one route.
#[derive(Clone, Debug, Default)]
pub struct RouteSecond {
    /// Utilisation of the lead's fullest node.
    pub lead_load: f64,
    /// The lead's load if everything went to it: work and antagonists over capacity.
    pub offered: f64,
    /// Entries that each resource got, lead first.
    pub entries: Vec<u32>,
    /// The shares in force, lead first, where shares are programmed.
    pub shares: Option<Vec<f64>>,
}

#[derive(Clone, Debug)]
struct Counted {
    entries: Vec<u32>,
    work: f64,
}

impl Tally {
    /// Nothing was counted yet.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "the bounds are constants that fit")]
    pub fn new(fleet: &Fleet) -> Self {
        let layout = fleet.layout();
        let (low, high, digits) = MICROS;
        let counted = |members: usize| Counted { entries: vec![0; members], work: 0.0 };
        Self {
            latency: Histogram::new_with_bounds(low, high, digits).expect("these bounds are sound"),
            entries: 0,
            errors: 0,
            lost: 0,
            seconds: Vec::new(),
            used: vec![0.0; layout.nodes.len()],
            own: vec![0.0; layout.nodes.len()],
            work: 0.0,
            current: layout.pools.iter().map(|pool| counted(pool.members.len())).collect(),
            slow: Vec::new(),
        }
    }

    /// An entry was sent to an endpoint and this will become of it.
    pub fn record(&mut self, entry: &Entry, endpoint: u16, fate: Fate, fleet: &Fleet) {
        let layout = fleet.layout();
        let route = usize::from(entry.route);
        let members = &layout.pools[route].members;
        let resource = layout.endpoints[usize::from(endpoint)].resource;
        let current = &mut self.current[route];
        if let Some(member) = members.iter().position(|&member| member == resource) {
            current.entries[member] += 1;
        }
        current.work += f64::from(entry.work) * layout.slowness(members[0], entry.class);
        self.entries += 1;
        match fate.verdict {
            Verdict::Acknowledged => {}
            Verdict::Error => {
                self.errors += 1;
                return;
            }
            Verdict::Lost => self.lost += 1,
        }
        let micros = (fate.at - entry.at) / 1000;
        self.latency.saturating_record(micros.max(1));
        self.slow.push(micros as u32);
    }

    /// A second is over, and counts or does not.
    pub fn close_second(&mut self, fleet: &Fleet, shares: impl Fn(usize) -> Option<Vec<f64>>, counts: bool) {
        let layout = fleet.layout();
        if !counts {
            *self = Self::new(fleet);
            return;
        }
        let mut second = Second { p99_ms: self.p99(), ..Second::default() };
        for node in 0..layout.nodes.len() {
            let sample = fleet.sampled(node);
            self.used[node] += sample.used;
            self.own[node] += sample.own;
            let capacity = if sample.up { layout.nodes[node].cores * sample.left } else { 0.0 };
            second.excess += (sample.offered - capacity).max(0.0);
        }
        for (route, current) in self.current.iter_mut().enumerate() {
            let lead = &layout.resources[usize::from(layout.pools[route].members[0])];
            let full = |&node: &usize| fleet.sampled(node).used / layout.nodes[node].cores;
            let taken = |&node: &usize| 1.0 - fleet.sampled(node).left;
            self.work += current.work;
            second.routes.push(RouteSecond {
                lead_load: lead.nodes.iter().map(full).fold(0.0, f64::max),
                offered: current.work / lead.capacity + lead.nodes.iter().map(taken).fold(0.0, f64::max),
                entries: current.entries.clone(),
                shares: shares(route),
            });
            current.entries.fill(0);
            current.work = 0.0;
        }
        self.seconds.push(second);
    }

    fn p99(&mut self) -> f64 {
        let Some(last) = self.slow.len().checked_sub(1) else { return 0.0 };
        let rank = (self.slow.len() as f64 * 0.99) as usize;
        let p99 = *self.slow.select_nth_unstable(rank.min(last)).1;
        self.slow.clear();
        f64::from(p99) / 1000.0
    }
}
