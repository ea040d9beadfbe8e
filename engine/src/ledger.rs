//! One ledger for all routes: moves that are planned but not yet visible in any persona.
//!
//! Without it two routes would spend the same headroom in the same second.

use std::{collections::BTreeMap, time::Duration};

use crate::{decision::Decision, resource::Resource};

/// Work that routes plan to put on Services, by Service and route; in cores.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    planned: BTreeMap<String, BTreeMap<String, Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    cores: f64,
    at: Duration,
}

impl Ledger {
    /// A route that has not planned for this long is gone.
    const FORGET_AFTER: Duration = Duration::from_mins(1);

    /// Notes what a route plans to put on a Service.
    pub fn record(&mut self, service: &str, route: &str, cores: f64, now: Duration) {
        let cores = if cores.is_finite() { cores.max(0.0) } else { 0.0 };
        self.planned.entry(service.into()).or_default().insert(route.into(), Entry { cores, at: now });
    }

    /// Notes what a decision puts on each resource of a route; `service` tells a resource's name among all routes.
    pub fn enter(
        &mut self,
        route: &str,
        decision: &Decision,
        lead: &Resource,
        service: impl Fn(&str) -> String,
        now: Duration,
    ) {
        let movable = (decision.offered.p50 - lead.background).max(0.0) * lead.capacity;
        for share in &decision.shares {
            let cores = f64::from(share.permille) / 1000.0 * movable * share.work;
            self.record(&service(&share.resource), route, cores, now);
        }
    }

    /// Removes a deleted route.
    pub fn forget(&mut self, route: &str) {
        self.planned.retain(|_, routes| {
            routes.remove(route);
            !routes.is_empty()
        });
    }

    /// Work of *other* routes on a Service that is planned but not yet in `observed_cores` (all routes together).
    #[must_use]
    pub fn unseen(&self, service: &str, route: &str, observed_cores: f64, now: Duration) -> f64 {
        let (own, others) = self.totals(service, route, now);
        if others <= 0.0 {
            return 0.0;
        }
        (own + others - observed_cores.max(0.0)).clamp(0.0, others)
    }

    /// The part of a Service's observed work that belongs to a route, 0 to 1, by what each route plans for it.
    #[must_use]
    pub fn part_of(&self, service: &str, route: &str, now: Duration) -> f64 {
        let (own, others) = self.totals(service, route, now);
        if others <= 0.0 { 1.0 } else { own / (own + others) }
    }

    fn totals(&self, service: &str, route: &str, now: Duration) -> (f64, f64) {
        let mut totals = (0.0, 0.0);
        for (name, entry) in self.planned.get(service).into_iter().flatten() {
            if now.saturating_sub(entry.at) <= Self::FORGET_AFTER {
                if name == route { totals.0 += entry.cores } else { totals.1 += entry.cores }
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn a_move_of_another_route_counts_until_it_is_seen() {
        let mut ledger = Ledger::default();
        ledger.record("b", "r1", 0.5, NOW);
        assert!((ledger.unseen("b", "r2", 0.0, NOW) - 0.5).abs() < 1e-9);
        assert!((ledger.unseen("b", "r2", 0.3, NOW) - 0.2).abs() < 1e-9);
        assert!(ledger.unseen("b", "r2", 0.5, NOW).abs() < 1e-9);
        assert!(ledger.unseen("b", "r1", 0.0, NOW).abs() < 1e-9, "own moves are planned anew each tick");
    }

    #[test]
    fn a_service_shared_by_two_routes_is_split_by_their_plans() {
        let mut ledger = Ledger::default();
        assert!((ledger.part_of("b", "r1", NOW) - 1.0).abs() < 1e-9);
        ledger.record("b", "r1", 0.3, NOW);
        ledger.record("b", "r2", 0.1, NOW);
        assert!((ledger.part_of("b", "r1", NOW) - 0.75).abs() < 1e-9);
        ledger.forget("r2");
        assert!((ledger.part_of("b", "r1", NOW) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_route_that_fell_silent_holds_no_headroom() {
        let mut ledger = Ledger::default();
        ledger.record("b", "r1", 0.5, NOW);
        assert!(ledger.unseen("b", "r2", 0.0, NOW + Duration::from_secs(61)).abs() < 1e-9);
    }
}
