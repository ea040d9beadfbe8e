//! Prequal.

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::{Answer, Policy};
use crate::{
    fleet::{Fleet, Layout},
    source::{Entry, SECOND},
};

/// Probes that a route keeps.
const POOL: usize = 16;

/// Age at which a probe is dropped, in nanoseconds.
const MAX_AGE: u64 = SECOND;

/// Probes sent for every entry.
const PROBES: usize = 3;

/// Probes removed for every entry.
const REMOVED: usize = 1;

/// Net probes added for every entry.
const DELTA: f64 = 1.0;

/// Quantile of in-flight entries from which an endpoint is hot: 2^-0.25.
const HOT: f64 = 0.84;

/// In-flight counts that latencies are kept for, and how many of each.
const DEPTHS: usize = 64;
const LATENCIES: usize = 5;

/// Prequal with its hot-cold lexicographic rule (NSDI'24): probes with in-flight entries
/// and the median latency of recent entries near that number; an endpoint above the 0.84 quantile of in-flight
/// entries is hot; the cold one with the lowest latency, else the one with the fewest in flight; pool of 16, probes
/// of at most 1 s, 3 probes sent and 1 removed for each entry, reuse by the paper's formula, in-flight entries of a used
/// probe counted up. Probes are answered at once, which is better than any network does.
#[derive(Debug)]
pub struct Prequal {
    dice: Pcg64Mcg,
    pools: Vec<Vec<Probe>>,
    latencies: Vec<Latencies>,
    remove_oldest: bool,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    endpoint: u16,
    at: u64,
    in_flight: u32,
    latency: u32,
    uses: f64,
}

/// Recent latencies of an endpoint, by the number in flight when the entry arrived; microseconds.
#[derive(Clone, Debug)]
struct Latencies {
    by_depth: Vec<[u32; LATENCIES]>,
    next: Vec<u8>,
}

impl Prequal {
    /// Without probes.
    #[must_use]
    pub fn new(layout: &Layout, seed: u64) -> Self {
        let unknown = Latencies { by_depth: vec![[0; LATENCIES]; DEPTHS], next: vec![0; DEPTHS] };
        Self {
            dice: Pcg64Mcg::seed_from_u64(seed ^ 0x5EED),
            pools: vec![Vec::with_capacity(POOL + PROBES); layout.pools.len()],
            latencies: vec![unknown; layout.endpoints.len()],
            remove_oldest: false,
        }
    }

    /// How often a probe may be used, after equation (1) of the paper.
    fn reuse(endpoints: usize) -> f64 {
        let kept = 1.0 - POOL as f64 / endpoints.max(1) as f64;
        let net = kept * PROBES as f64 - REMOVED as f64;
        // With fewer endpoints than probes the formula has no solution; the pool is renewed every second anyway.
        if net > 0.0 { ((1.0 + DELTA) / net).max(1.0) } else { f64::INFINITY }
    }

    fn probe(&mut self, route: usize, fleet: &Fleet, now: u64) {
        let all = fleet.pool(route);
        let first = if all.is_empty() { 0 } else { self.dice.random_range(0..all.len()) };
        let stride = if all.len() > PROBES { self.dice.random_range(1..all.len()) } else { 1 };
        for turn in 0..PROBES.min(all.len()) {
            let endpoint = all[(first + turn * stride) % all.len()];
            let in_flight = fleet.in_flight(endpoint);
            let latency = self.latencies[usize::from(endpoint)].near(in_flight);
            let pool = &mut self.pools[route];
            if pool.len() == POOL {
                pool.remove(0);
            }
            pool.push(Probe { endpoint, at: now, in_flight, latency, uses: 0.0 });
        }
    }

    /// Removes the oldest and the worst in turn.
    fn remove(&mut self, route: usize) {
        let pool = &mut self.pools[route];
        for _ in 0..REMOVED {
            if pool.len() <= 2 {
                return;
            }
            self.remove_oldest = !self.remove_oldest;
            let at = if self.remove_oldest { 0 } else { worst(pool) };
            pool.remove(at);
        }
    }
}

/// The number in flight from which an endpoint is hot.
fn threshold(pool: &[Probe]) -> u32 {
    let mut depths = [0; POOL + PROBES];
    for (depth, probe) in depths.iter_mut().zip(pool) {
        *depth = probe.in_flight;
    }
    let depths = &mut depths[..pool.len()];
    depths.sort_unstable();
    depths.get((HOT * pool.len() as f64) as usize).copied().unwrap_or(u32::MAX)
}

/// The best by the hot-cold rule.
fn best(pool: &[Probe]) -> Option<usize> {
    let hot = threshold(pool);
    let rank = |probe: &Probe| if probe.in_flight > hot { (1, probe.in_flight) } else { (0, probe.latency) };
    (0..pool.len()).min_by_key(|&i| rank(&pool[i]))
}

/// The worst by the same rule: the hot one with the most in flight, else the slowest.
fn worst(pool: &[Probe]) -> usize {
    let hot = threshold(pool);
    let rank = |probe: &Probe| if probe.in_flight > hot { (1, probe.in_flight) } else { (0, probe.latency) };
    (0..pool.len()).max_by_key(|&i| rank(&pool[i])).unwrap_or_default()
}

impl Latencies {
    fn learn(&mut self, in_flight: u32, micros: u32) {
        let depth = (in_flight as usize).min(DEPTHS - 1);
        let next = &mut self.next[depth];
        self.by_depth[depth][usize::from(*next)] = micros.max(1);
        *next = (*next + 1) % LATENCIES as u8;
    }

    /// Median of recent latencies at the known depth that is nearest; 0 where nothing is known.
    fn near(&self, in_flight: u32) -> u32 {
        let wanted = (in_flight as usize).min(DEPTHS - 1);
        let known = |depth: usize| self.by_depth.get(depth).filter(|latencies| latencies[0] > 0);
        let found = (0..DEPTHS)
            .find_map(|away| wanted.checked_sub(away).and_then(known).or_else(|| known(wanted + away)));
        let Some(latencies) = found else { return 0 };
        let mut sorted = *latencies;
        sorted.sort_unstable();
        let unknown = sorted.iter().filter(|&&l| l == 0).count();
        sorted[unknown + (LATENCIES - unknown) / 2]
    }
}

impl Policy for Prequal {
    const HEARS: bool = true;

    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let route = usize::from(entry.route);
        let reuse = Self::reuse(fleet.pool(route).len());
        self.pools[route].retain(|probe| {
            entry.at - probe.at < MAX_AGE && probe.uses < reuse && fleet.is_ready(probe.endpoint)
        });
        let chosen = match best(&self.pools[route]) {
            Some(i) if self.pools[route].len() >= 2 => {
                let probe = &mut self.pools[route][i];
                probe.in_flight += 1;
                probe.uses += 1.0;
                probe.endpoint
            }
            _ => {
                let all = fleet.pool(route);
                all.get(entry.one_of(all.len(), 0)).copied().unwrap_or_default()
            }
        };
        self.remove(route);
        self.probe(route, fleet, entry.at);
        chosen
    }

    fn heard(&mut self, answer: &Answer, _fleet: &Fleet) {
        let micros = ((answer.at - answer.sent) / 1000).min(u64::from(u32::MAX)) as u32;
        self.latencies[usize::from(answer.endpoint)].learn(answer.in_flight, micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(endpoint: u16, in_flight: u32, latency: u32) -> Probe {
        Probe { endpoint, at: 0, in_flight, latency, uses: 0.0 }
    }

    #[test]
    fn the_cold_one_with_the_lowest_latency_wins_however_fast_a_hot_one_is() {
        let mut pool: Vec<Probe> = (0..7).map(|i| probe(i, 3, 100 + u32::from(i))).collect();
        pool.push(probe(9, 20, 1));
        assert_eq!(best(&pool).map(|i| pool[i].endpoint), Some(0));
        assert_eq!(worst(&pool), 7);
        let alike = [probe(0, 3, 9), probe(1, 3, 5)];
        assert_eq!(best(&alike), Some(1), "who is at the quantile is cold");
    }

    #[test]
    fn latency_is_the_median_at_the_nearest_known_depth() {
        let mut latencies = Latencies { by_depth: vec![[0; LATENCIES]; DEPTHS], next: vec![0; DEPTHS] };
        assert_eq!(latencies.near(3), 0);
        for micros in [10, 20, 90] {
            latencies.learn(5, micros);
        }
        assert_eq!(latencies.near(3), 20);
    }
}
