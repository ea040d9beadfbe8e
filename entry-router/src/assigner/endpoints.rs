//! The endpoints of one resource: which of them gets an entry.

use std::{net::SocketAddr, time::Duration};

/// So many are looked at for one entry: of four at random the least busy one is hardly ever a bad one
/// (Mitzenmacher, "The power of two choices in randomized load balancing", 2001), and the time does not grow.
const LOOKED_AT: usize = 4;

/// An endpoint that fails is left alone for this long, doubled with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Those of one resource.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Vec<Endpoint>);

#[derive(Debug)]
struct Endpoint {
    address: SocketAddr,
    in_flight: u32,
    failures: u32,
    paused_until: Duration,
}

impl Endpoints {
    /// Takes over a new list; who stays keeps what is known of it.
    pub(super) fn update(&mut self, addresses: &[SocketAddr]) {
        let mut before = std::mem::take(&mut self.0);
        self.0.extend(addresses.iter().map(|&address| {
            let known = before.iter().position(|endpoint| endpoint.address == address);
            known.map_or_else(|| Endpoint::new(address), |known| before.swap_remove(known))
        }));
    }

    /// The least busy of a few, `random` says which few. Those that failed lately only if there are no others.
    pub(super) fn pick(
        &self,
        within: Option<&[SocketAddr]>,
        random: u64,
        now: Duration,
    ) -> Option<(usize, SocketAddr)> {
        let count = self.0.len();
        if count == 0 {
            return None;
        }
        let first = (random % count as u64) as usize;
        let all = (0..count).map(|i| (first + i) % count);
        let allowed = |&i: &usize| within.is_none_or(|within| within.contains(&self.0[i].address));
        let up = |&i: &usize| self.0[i].paused_until <= now;
        let least_busy = |i: &usize| self.0[*i].in_flight;
        all.clone()
            .filter(allowed)
            .filter(up)
            .take(LOOKED_AT)
            .min_by_key(least_busy)
            .or_else(|| all.filter(allowed).min_by_key(|&i| (self.0[i].paused_until, self.0[i].in_flight)))
            .map(|i| (i, self.0[i].address))
    }

    pub(super) fn find(&self, address: SocketAddr) -> Option<usize> {
        self.0.iter().position(|endpoint| endpoint.address == address)
    }

    pub(super) fn start(&mut self, hint: usize, address: SocketAddr) {
        if let Some(endpoint) = self.at(hint, address) {
            endpoint.in_flight = endpoint.in_flight.saturating_add(1);
        }
    }

    /// An entry ended: `failed` says whether its endpoint did, `None` tells nothing of it.
    pub(super) fn finish(&mut self, hint: usize, address: SocketAddr, failed: Option<bool>, now: Duration) {
        let Some(endpoint) = self.at(hint, address) else { return };
        endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        match failed {
            Some(true) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << endpoint.failures.min(8)).min(LONGEST_PAUSE);
                endpoint.paused_until = now + pause;
                endpoint.failures = endpoint.failures.saturating_add(1);
            }
            Some(false) => (endpoint.failures, endpoint.paused_until) = (0, Duration::ZERO),
            None => (),
        }
    }

    /// Lists change, so a place is no more than a hint.
    fn at(&mut self, hint: usize, address: SocketAddr) -> Option<&mut Endpoint> {
        let there = self.0.get(hint).is_some_and(|endpoint| endpoint.address == address);
        let place = if there { Some(hint) } else { self.find(address) };
        self.0.get_mut(place?)
    }
}

impl Endpoint {
    fn new(address: SocketAddr) -> Self {
        Self { address, in_flight: 0, failures: 0, paused_until: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn endpoints(count: u16) -> Endpoints {
        let mut endpoints = Endpoints::default();
        endpoints.update(&(1..=count).map(address).collect::<Vec<_>>());
        endpoints
    }

    #[test]
    fn the_least_busy_of_four_is_picked_wherever_the_look_begins() {
        let mut endpoints = endpoints(4);
        for port in [1, 2, 2, 4] {
            endpoints.start(0, address(port));
        }
        assert!((0..100).all(|random| endpoints.pick(None, random, Duration::ZERO).unwrap().1 == address(3)));
    }

    #[test]
    fn who_failed_is_left_alone_for_longer_each_time_and_forgiven_at_its_first_success() {
        let (mut endpoints, now) = (endpoints(2), Duration::from_secs(9));
        let picked = |endpoints: &Endpoints, now| {
            (0..10).any(|r| endpoints.pick(None, r, now).unwrap().1 == address(1))
        };
        endpoints.finish(0, address(1), Some(true), now);
        assert!(!picked(&endpoints, now));
        assert!(picked(&endpoints, now + FIRST_PAUSE));
        endpoints.finish(0, address(1), Some(true), now);
        assert!(!picked(&endpoints, now + FIRST_PAUSE));
        endpoints.finish(0, address(1), Some(false), now);
        assert!(picked(&endpoints, now));
    }

    #[test]
    fn when_all_failed_the_one_that_did_first_is_tried_and_a_subset_is_kept_to() {
        let (mut endpoints, now) = (endpoints(3), Duration::ZERO);
        for port in [2, 1, 3] {
            endpoints.finish(0, address(port), Some(true), Duration::from_millis(port.into()));
        }
        assert_eq!(endpoints.pick(None, 7, now).unwrap().1, address(1));
        assert_eq!(endpoints.pick(Some(&[address(3), address(9)]), 0, now).unwrap().1, address(3));
        assert_eq!(endpoints.pick(Some(&[address(9)]), 0, now), None);
    }

    #[test]
    fn a_new_list_keeps_what_was_in_flight_on_those_that_stay() {
        let mut endpoints = endpoints(2);
        endpoints.start(1, address(2));
        endpoints.update(&[address(2), address(3)]);
        assert_eq!(endpoints.pick(None, 0, Duration::ZERO).unwrap().1, address(3));
        endpoints.finish(1, address(2), None, Duration::ZERO);
        assert_eq!(endpoints.pick(None, 0, Duration::ZERO).unwrap().1, address(2));
    }
}
