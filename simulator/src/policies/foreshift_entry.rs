//! Foreshift for single entries.

use std::{collections::VecDeque, time::Duration};

use foreshift_engine::assign::{Candidates, Outcome, Tick, Ticket, assign_entry};

use super::{Answer, Policy, Told};
use crate::{
    cluster::{Cluster, Output, ShippedModel, Snapshot},
    fleet::{Fleet, Layout},
    scenario::Scenario,
    source::{Entry, SECOND},
};

/// The engine's `assign_entry` in one entry router that sees all entries: plan and personas by the operator's code
/// once a second, everything else from what the router itself sends and hears.
///
/// The predicted impact of an entry is its nominal work, as a calibrated prior would say it; how fast a resource really is
/// the engine learns from the answers. Shares act at once, for they are not programmed anywhere.
#[derive(Debug)]
pub struct ForeshiftEntry {
    cluster: Cluster,
    routes: Vec<Route>,
    classes: usize,
    /// Tickets of the entries under way, in the order in which they were sent.
    tickets: VecDeque<Option<(Ticket, u16)>>,
    first: u64,
}

#[derive(Debug)]
struct Route {
    candidates: Candidates,
    /// The resource at each place of the candidates.
    members: Vec<u16>,
    /// When each resource got its first entry.
    since: Vec<Option<Duration>>,
    turns: Vec<usize>,
}

impl ForeshiftEntry {
    /// Knows nothing yet: everything goes to the leads.
    #[must_use]
    pub fn new(scenario: &Scenario, layout: &Layout, model: &ShippedModel) -> Self {
        let resources = layout.resources.len();
        let route = |_| Route {
            candidates: Candidates::default(),
            members: Vec::new(),
            since: vec![None; resources],
            turns: vec![0; resources],
        };
        Self {
            cluster: Cluster::new(scenario, layout, model, Output::Weights),
            routes: (0..layout.pools.len()).map(route).collect(),
            classes: scenario.classes.len(),
            tickets: VecDeque::new(),
            first: 0,
        }
    }
}

impl Route {
    fn prepare(&mut self, snapshot: &Snapshot, classes: usize, now: Duration, fleet: &Fleet, route: usize) {
        let Some((lead, alternates)) = snapshot.resources.split_first() else { return };
        let members = &fleet.layout().pools[route].members;
        let policy = &snapshot.policy;
        let warm: Vec<f64> = members[1..]
            .iter()
            .map(|&member| {
                let since = self.since[usize::from(member)];
                policy.warm_up.factor(since.map_or(Duration::ZERO, |since| now.saturating_sub(since)))
            })
            .collect();
        let tick = Tick {
            now,
            lead,
            alternates,
            present: snapshot.shares.get(1..).unwrap_or_default(),
            warm: &warm,
            unseen: &snapshot.unseen,
            part: 1.0,
            policy,
        };
        // Affinity by class is not learned here: the personas' own stands for all.
        self.candidates.prepare(&tick, classes, |_, _| f64::NAN);
        let resources = snapshot.resources.iter().zip(members);
        for (place, member) in resources.filter_map(|(r, &m)| Some((self.candidates.place(&r.name)?, m))) {
            if self.members.len() <= place {
                self.members.resize(place + 1, member);
            }
            self.members[place] = member;
        }
    }
}

fn clock(at: u64) -> Duration {
    Duration::from_nanos(at)
}

impl Policy for ForeshiftEntry {
    const HEARS: bool = true;

    fn choose(&mut self, entry: &Entry, fleet: &Fleet) -> u16 {
        let number = usize::from(entry.route);
        let route = &mut self.routes[number];
        let now = clock(entry.at);
        let impact = f64::from(entry.work);
        let chosen = assign_entry(&route.candidates, usize::from(entry.class), now, |_| impact, &[]);
        let lead = fleet.layout().pools[number].members[0];
        let member = route.members.get(chosen.resource).copied().unwrap_or(lead);
        if route.members.is_empty() {
            // No persona has arrived yet.
            self.tickets.push_back(None);
        } else {
            let ticket = route.candidates.start(chosen.resource, impact, now);
            self.tickets.push_back(Some((ticket, entry.route)));
            route.since[usize::from(member)].get_or_insert(now);
        }
        let ready = fleet.ready_of(member);
        let ready = if ready.is_empty() { fleet.pool(number) } else { ready };
        let turn = &mut route.turns[usize::from(member)];
        *turn = if *turn + 1 < ready.len() { *turn + 1 } else { 0 };
        ready.get(*turn).copied().unwrap_or_default()
    }

    fn heard(&mut self, answer: &Answer, _fleet: &Fleet) {
        let at = answer.number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let ticket = at.and_then(|at| self.tickets.get_mut(at)).and_then(Option::take);
        if let Some((ticket, route)) = ticket {
            let outcome = match answer.told {
                Told::Acknowledged => Outcome::Acknowledged,
                Told::Error | Told::Lost => Outcome::Failed,
            };
            self.routes[usize::from(route)].candidates.finish(ticket, outcome, clock(answer.at));
        }
        while let Some(None) = self.tickets.front() {
            self.tickets.pop_front();
            self.first += 1;
        }
    }

    fn tick(&mut self, fleet: &Fleet) {
        self.cluster.observe(fleet);
        let now = clock(fleet.second() * SECOND);
        for (number, route) in self.routes.iter_mut().enumerate() {
            self.cluster.decide(number, fleet);
            if let Some(snapshot) = self.cluster.snapshot(number, fleet) {
                route.prepare(&snapshot, self.classes, now, fleet, number);
            }
        }
    }
}
