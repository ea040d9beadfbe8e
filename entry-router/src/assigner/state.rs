//! What the lock guards: the engine's candidates, the endpoints, and what was learned.

mod copies;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use foreshift_engine::{
    assign::{self, Candidates, Tick, Ticket, assign_entry},
    impact::{Impacts, OTHER},
};

use super::{
    Choice, Entry, Outcome, Refusal, Settings,
    decisions::{Counts, Id, Reason, Recent, Record, Ring, Tally, Times},
    endpoints::Endpoints,
    prior::{Entries, Prior, Size},
};
use crate::snapshot::{Protocol, RouteSnapshot};
use copies::Copies;
pub(super) use copies::CopyOrder;

/// One route.
#[derive(Debug, Default)]
pub(super) struct RouteState {
    candidates: Candidates,
    impacts: Impacts,
    priors: Vec<Prior>,
    /// By place.
    members: Vec<Member>,
    copies: Copies,
    snapshot: Option<RouteSnapshot>,
    ring: Ring,
    times: Times,
    refusals: u64,
    in_flight: usize,
    random: u64,
}

/// One resource by its place.
#[derive(Debug, Default)]
struct Member {
    endpoints: Endpoints,
    protocol: Protocol,
    counts: Counts,
    /// Its place in the snapshot; none when it is no longer of the route.
    listed: Option<usize>,
    first_entry: Option<Duration>,
    /// Entries that it acknowledged since the last tick.
    served: u32,
    /// Copies that were ordered for it.
    copied: u64,
}

/// What was chosen for an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    pub(super) endpoint: SocketAddr,
    hint: usize,
    place: usize,
    class: usize,
    size: Size,
    prior: f64,
    impact: f64,
    reason: Reason,
}

impl RouteState {
    pub(super) fn prepare(&mut self, mut snapshot: RouteSnapshot, now: Duration) {
        self.impacts.fade(now);
        self.prepare_copies(&mut snapshot);
        let resources: Vec<_> = snapshot.members.iter().map(|member| member.resource.clone()).collect();
        let Some((lead, alternates)) = resources.split_first() else { return };
        let places: Vec<Option<usize>> = alternates.iter().map(|r| self.candidates.place(&r.name)).collect();
        let warm: Vec<f64> = snapshot.members[1..]
            .iter()
            .zip(&places)
            .enumerate()
            .map(|(i, (member, place))| {
                if self.holds_share(i) {
                    return 0.0;
                }
                let first = place.and_then(|place| self.members.get(place)?.first_entry);
                let since = first.map_or(Duration::ZERO, |first| now.saturating_sub(first));
                member.warm.unwrap_or_else(|| snapshot.policy.warm_up.factor(since))
            })
            .collect();
        let shares = snapshot.shares();
        let tick = Tick {
            now,
            lead,
            alternates,
            present: &shares,
            warm: &warm,
            // What this route itself moves shows at once in what is in flight.
            unseen: &[],
            part: snapshot.part,
            policy: &snapshot.policy,
        };
        let classes = self.impacts.classes().map(|(place, _)| place + 1).max().unwrap_or(1);
        let impacts = &self.impacts;
        let learned = |class: usize, i: usize| {
            let place = places[i].filter(|&place| impacts.samples(class, place) >= 1.0);
            place.map_or(f64::NAN, |place| impacts.affinity(class, place))
        };
        self.candidates.prepare(&tick, classes, learned);
        self.take_over(snapshot);
    }

    fn take_over(&mut self, snapshot: RouteSnapshot) {
        for member in &mut self.members {
            member.listed = None;
        }
        for (i, listed) in snapshot.members.iter().enumerate() {
            let Some(place) = self.candidates.place(&listed.resource.name) else { continue };
            if self.members.len() <= place {
                self.members.resize_with(place + 1, Member::default);
            }
            let member = &mut self.members[place];
            if *member.counts.resource != *listed.resource.name {
                *member = Member::default();
                member.counts.resource = listed.resource.name.as_str().into();
                self.impacts.forget(place);
            }
            member.listed = Some(i);
            member.endpoints.update(&listed.endpoints);
            member.protocol = listed.protocol;
        }
        self.snapshot = Some(snapshot);
    }

    pub(super) fn choose(
        &mut self,
        entry: &Entry<'_>,
        tried: &[usize],
        within: Option<&[SocketAddr]>,
        settings: &Settings,
        now: Duration,
    ) -> Result<Chosen, Refusal> {
        if self.members.is_empty() {
            return Err(self.refuse(Refusal::NoEndpoint));
        }
        if self.in_flight >= settings.most_in_flight {
            return Err(self.refuse(Refusal::TooMany));
        }
        let class = self.class(entry.class, now);
        let entries = if entry.batch { Entries::Uncounted } else { Entries::One };
        let size = Size { bytes: entry.bytes, entries };
        let prior = self.prior(class, size);
        let random = self.draw();
        let impact = |place: usize| self.impacts.predict(class, place, prior);
        let explored = if tried.is_empty() && within.is_none() && chance(random) < settings.explore {
            self.explore(class, now, impact, random)
        } else {
            None
        };
        let (place, reason) = match (explored, within) {
            (Some(place), _) => (place, Reason::Exploration),
            (None, None) => {
                let chosen = assign_entry(&self.candidates, class, now, impact, tried);
                (chosen.resource, Reason::Rule(chosen.reason))
            }
            (None, Some(within)) => {
                let mut barred = tried.to_vec();
                barred.extend((0..self.members.len()).filter(|&place| !self.members[place].has_any(within)));
                let chosen = assign_entry(&self.candidates, class, now, impact, &barred);
                (chosen.resource, Reason::Rule(chosen.reason))
            }
        };
        if matches!(reason, Reason::Rule(rule) if rule != assign::Reason::LeadHasHeadroom) {
            self.lead_is_short();
        }
        let random = self.draw();
        let member = self.members.get(place);
        let Some((hint, endpoint)) = member.and_then(|member| member.endpoints.pick(within, random, now))
        else {
            return Err(self.refuse(Refusal::NoEndpoint));
        };
        let impact = self.impacts.predict(class, place, prior);
        Ok(Chosen { endpoint, hint, place, class, size, prior, impact, reason })
    }

    /// An alternate with room, if the one that was drawn has some.
    fn explore(
        &self,
        class: usize,
        now: Duration,
        impact: impl Fn(usize) -> f64,
        random: u64,
    ) -> Option<usize> {
        let listed = |&place: &usize| self.members[place].listed.is_some_and(|listed| listed > 0);
        let alternates: Vec<usize> = (0..self.members.len()).filter(listed).collect();
        let drawn = *alternates.get((random >> 32) as usize % alternates.len().max(1))?;
        let others: Vec<usize> = (0..self.members.len()).filter(|&place| place != drawn).collect();
        let chosen = assign_entry(&self.candidates, class, now, impact, &others);
        (chosen.resource == drawn && chosen.reason == assign::Reason::BestAlternate).then_some(drawn)
    }

    /// What was chosen, had it been the resource with this endpoint.
    pub(super) fn chosen_at(&self, endpoint: SocketAddr, instead: &Chosen) -> Option<Chosen> {
        let found = |(place, member): (usize, &Member)| Some((place, member.endpoints.find(endpoint)?));
        let (place, hint) = self.members.iter().enumerate().find_map(found)?;
        let impact = self.impacts.predict(instead.class, place, instead.prior);
        Some(Chosen { endpoint, hint, place, impact, ..*instead })
    }

    pub(super) fn start(&mut self, chosen: &Chosen, entry: &Entry<'_>, now: Duration) -> Ticket {
        let Chosen { class, place, reason, impact, .. } = *chosen;
        let Entry { bytes, trace, .. } = *entry;
        self.ring.push(Record { at: now, id: Id::new(entry.id), trace, class, bytes, place, reason, impact });
        if let Some(member) = self.members.get_mut(place) {
            member.counts.reasons[reason.place()] += 1;
            member.counts.predicted += impact;
        }
        self.restart(chosen, now)
    }

    /// Counts an entry as in flight, without another decision.
    pub(super) fn restart(&mut self, chosen: &Chosen, at: Duration) -> Ticket {
        self.in_flight += 1;
        if let Some(member) = self.members.get_mut(chosen.place) {
            member.endpoints.start(chosen.hint, chosen.endpoint);
            member.first_entry.get_or_insert(at);
        }
        self.candidates.start(chosen.place, chosen.impact, at)
    }

    pub(super) fn finish(&mut self, chosen: &Chosen, ticket: Ticket, outcome: Outcome, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(member) = self.members.get_mut(chosen.place) {
            member.endpoints.finish(chosen.hint, chosen.endpoint, outcome.of_endpoint(), now);
            member.counts.outcomes[outcome as usize] += 1;
            member.served = member.served.saturating_add(u32::from(outcome == Outcome::Acknowledged));
            member.counts.entries[outcome as usize] += chosen.entries();
        }
        let service = self.candidates.finish(ticket, outcome.into(), now);
        match outcome {
            Outcome::Refused | Outcome::Cancelled => {}
            Outcome::Acknowledged | Outcome::Failed | Outcome::Unreachable => {
                // By now more is known of its size.
                let prior = self.prior(chosen.class, chosen.size);
                if prior > 0.0 {
                    self.impacts.observe(chosen.class, chosen.place, prior, service, now);
                }
                if let Some(service) = service {
                    if self.priors.len() <= chosen.class {
                        self.priors.resize_with(chosen.class + 1, Prior::default);
                    }
                    self.priors[chosen.class].observe(chosen.size, service);
                }
            }
        }
    }

    pub(super) fn took(&mut self, time: Duration) {
        self.times.observe(time);
    }

    fn prior(&self, class: usize, size: Size) -> f64 {
        self.priors.get(class).map_or(0.0, |prior| prior.predict(size))
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.refusals += 1;
        refusal
    }

    /// Entries without a class share a place with those of classes beyond the most.
    fn class(&mut self, class: &str, now: Duration) -> usize {
        if class.is_empty() {
            return OTHER;
        }
        match self.impacts.class(class) {
            OTHER => self.impacts.admit(class, now),
            known => known,
        }
    }

    /// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl RouteState {
    pub(super) fn snapshot(&self) -> Option<&RouteSnapshot> {
        self.snapshot.as_ref()
    }

    pub(super) fn tell(&self, chosen: &Chosen) -> Choice {
        let member = self.members.get(chosen.place);
        Choice {
            resource: member.map(|member| Arc::clone(&member.counts.resource)).unwrap_or_default(),
            protocol: member.map_or_else(Protocol::default, |member| member.protocol),
            place: chosen.place,
            endpoint: chosen.endpoint,
            reason: chosen.reason,
            impact: chosen.impact,
        }
    }

    pub(super) fn recent(&self, most: usize, now: Duration) -> Vec<Recent> {
        let class_of = |place: usize| {
            let named = self.impacts.classes().find(|(class, _)| *class == place);
            named.map_or_else(|| "other".into(), |(_, name)| name.to_owned())
        };
        let told = |record: &Record| {
            let member = self.members.get(record.place)?;
            let listed = member.listed.and_then(|i| self.snapshot.as_ref()?.members.get(i));
            let resource = listed.map(|listed| &listed.resource);
            Some(Recent {
                age: now.saturating_sub(record.at).as_secs_f64(),
                id: record.id.text(),
                trace: record.trace,
                class: class_of(record.class),
                bytes: record.bytes,
                resource: member.counts.resource.to_string(),
                reason: record.reason,
                impact: record.impact,
                affinity: self.impacts.affinity(record.class, record.place),
                stability: resource.map_or(0.0, |resource| resource.scores.stability),
                cost: resource.map_or(0.0, |resource| resource.scores.cost),
                load: resource.map_or(0.0, |resource| resource.load),
            })
        };
        self.ring.newest().take(most).filter_map(told).collect()
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            resources: self.members.iter().map(|member| member.counts.clone()).collect(),
            in_flight: self.in_flight,
            refusals: self.refusals,
            times: self.times.clone(),
            copies_without_room: self.copies_without_room(),
        }
    }
}

impl Chosen {
    /// What the request was found to bring when it passed.
    pub(super) fn measured(&mut self, bytes: u64, entries: Option<u64>) {
        self.size = Size { bytes: Some(bytes), entries: entries.map_or(Entries::One, Entries::Counted) };
    }

    /// Entries as they are counted: a batch that did not pass whole is one.
    fn entries(&self) -> u64 {
        match self.size.entries {
            Entries::Counted(entries) => entries,
            Entries::One | Entries::Uncounted => 1,
        }
    }
}

impl Member {
    fn has_any(&self, within: &[SocketAddr]) -> bool {
        within.iter().any(|&address| self.endpoints.find(address).is_some())
    }
}

/// A draw as a number from 0 to 1.
fn chance(random: u64) -> f64 {
    f64::from(random as u32) / f64::from(u32::MAX)
}
