//! Reactive failover.

use super::{Policy, Spread, proportional_reactive::observed, spread::Delayed};
use crate::{
    fleet::{Fleet, Layout, Pool},
    source::Entry,
};

/// The lead is failing from this load on, when it was seen there for so many seconds in a row.
const FAILING: f64 = 0.95;
const FAILING_FOR: u32 = 3;

/// So many endpoints of alternates join or leave at once.
const STEP: usize = 2;

/// It has recovered when it would stay under the route's objective with a step less elsewhere, seen for so many seconds
/// in a row, at the earliest so long after the last move.
const RECOVERED_FOR: u32 = 3;
const HOLD_DOWN: u64 = 30;

/// An alarm on the lead's load and a step for it: three seconds in a row at or over 0.95, then two more endpoints of the
/// alternates are listed beside the lead's.
///
/// The rule is the "quick reactive" one that the demo's premise was measured against on a real cluster; it stands for what
/// is scripted around an alert, and it is quicker than what products ship: Envoy's outlier detection ejects after five
/// errors in a row and gives back after 30 s (`consecutive_5xx`, `base_ejection_time`) and never looks at load, a
/// Prometheus alert or an autoscaler looks every 15 s. It shares no code with Foreshift's planner. What the rule leaves
/// open is read so that it serves it best:
/// - It counts again after each step without waiting for it to act: with slow actuation it moves more than it needs, and
///   has less excess work for it.
/// - Steps go to all alternates in turn, so that none is filled and a lost one takes little with it.
/// - Steps come back one at a time and only where the observed load leaves room for them, so that it does not flap.
/// - Endpoints that are known to be gone are replaced in the same second; when the lead has none, all alternates take over.
#[derive(Debug)]
pub struct ReactiveFailover {
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    /// Endpoints of alternates that are asked for.
    elsewhere: usize,
    failing: u32,
    recovered: u32,
    moved: u64,
    spread: Delayed<Spread>,
    shares: Vec<f64>,
}

impl ReactiveFailover {
    /// With everything on the leads.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let route = |(number, pool): (usize, &Pool)| {
            let lead_only = Spread::lead_only(pool.members.len());
            Route {
                elsewhere: 0,
                failing: 0,
                recovered: 0,
                moved: 0,
                shares: lead_only.shares(number, layout),
                spread: Delayed::new(lead_only, layout.actuation_delay),
            }
        };
        Self { routes: layout.pools.iter().enumerate().map(route).collect() }
    }
}

impl Route {
    /// Takes note of a second in which the lead, with `lead` endpoints, was seen at `load`.
    fn observe(&mut self, now: u64, load: f64, lead: usize, objective: f64) {
        let count = |hits: u32, held: bool| if held { hits + 1 } else { 0 };
        let listed = lead + self.elsewhere;
        let fewer = self.elsewhere.saturating_sub(STEP);
        let back = load * listed as f64 / (lead + fewer).max(1) as f64;
        self.failing = count(self.failing, load >= FAILING);
        self.recovered = count(self.recovered, self.elsewhere > 0 && back < objective);
        if self.failing >= FAILING_FOR {
            self.elsewhere += STEP;
        } else if self.recovered >= RECOVERED_FOR && now.saturating_sub(self.moved) >= HOLD_DOWN {
            self.elsewhere = fewer;
        } else {
            return;
        }
        (self.failing, self.recovered, self.moved) = (0, 0, now);
    }
}

/// The lead's endpoints and as many of the alternates', one of each in turn.
fn listed(pool: &Pool, elsewhere: usize, fleet: &Fleet) -> Vec<u16> {
    let alternates = || pool.members[1..].iter().map(|&member| fleet.ready_of(member));
    let most = alternates().map(<[u16]>::len).max().unwrap_or_default();
    let in_turn = (0..most).flat_map(|turn| alternates().filter_map(move |ready| ready.get(turn).copied()));
    let lead = fleet.ready_of(pool.members[0]);
    let elsewhere = if lead.is_empty() { usize::MAX } else { elsewhere };
    lead.iter().copied().chain(in_turn.take(elsewhere)).collect()
}

impl Policy for ReactiveFailover {
    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        self.routes[usize::from(entry.route)].spread.get().choose(entry, fleet)
    }

    fn tick(&mut self, fleet: &Fleet) {
        let layout = fleet.layout();
        for (number, (route, pool)) in self.routes.iter_mut().zip(&layout.pools).enumerate() {
            let lead = fleet.ready_of(pool.members[0]).len();
            let all: usize = pool.members[1..].iter().map(|&member| fleet.ready_of(member).len()).sum();
            route.observe(fleet.second(), observed(pool.members[0], fleet), lead, pool.lead_load);
            route.elsewhere = route.elsewhere.min(all.next_multiple_of(STEP));
            route.spread.decide(fleet.second(), Spread::Endpoints(listed(pool, route.elsewhere, fleet)));
            route.shares = route.spread.get().shares(number, layout);
        }
    }

    fn shares(&self, route: usize) -> Option<Vec<f64>> {
        self.routes.get(route).map(|route| route.shares.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Endpoints elsewhere after each second with such a load of a lead with four endpoints.
    fn follow(loads: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let mut route = Route {
            elsewhere: 0,
            failing: 0,
            recovered: 0,
            moved: 0,
            spread: Delayed::new(Spread::lead_only(2), 0),
            shares: Vec::new(),
        };
        let follow = |(now, load)| {
            route.observe(now, load, 4, 0.75);
            route.elsewhere
        };
        (100..).zip(loads).map(follow).collect()
    }

    #[test]
    fn three_seconds_at_the_limit_bring_two_endpoints_and_as_many_again() {
        assert_eq!(follow([0.95, 0.96, 0.94, 0.95, 1.2, 1.0, 1.0, 1.0, 1.0]), [0, 0, 0, 0, 0, 2, 2, 2, 4]);
    }

    #[test]
    fn a_step_comes_back_half_a_minute_later_and_only_into_room() {
        let after = |load: f64| follow([1.0; 3].into_iter().chain([load; 60]));
        // With the step back the lead would stand at 1.5 times as much.
        assert_eq!(after(0.55).last(), Some(&2));
        let back = after(0.45).iter().rposition(|&elsewhere| elsewhere == 2);
        assert_eq!(back, Some(2 + 29));
    }
}
