//! Copies for alternates: the engine's shadow mode beside the engine's assignment.

use std::{sync::Arc, time::Duration};

use foreshift_engine::{
    assign::{self, Ticket},
    impact::OTHER,
    resource::{Readiness, Resource},
    shadow::{self, Mirror, Purpose, Shadow, Skip},
};
use foreshift_view::policy;

use super::{Chosen, Entry, Outcome, Reason, RouteState};
use crate::{
    assigner::{ClassSeen, Seen},
    shadow::Mark,
    snapshot::{Protocol, RouteSnapshot},
};

/// The shadow mode of a route.
#[derive(Debug, Default)]
pub(super) struct Copies {
    mirror: Mirror,
    /// What the route asks for; none where it asks for no copies.
    asked: Option<(Shadow, Mark)>,
    /// Copies that no alternate had room for.
    without_room: u64,
}

/// A copy to be made.
#[derive(Clone, Debug)]
pub(in crate::assigner) struct CopyOrder {
    pub(in crate::assigner) chosen: Chosen,
    pub(in crate::assigner) protocol: Protocol,
    pub(in crate::assigner) shadow: Shadow,
    pub(in crate::assigner) mark: Mark,
    purpose: Purpose,
    alternate: Arc<str>,
}

impl RouteState {
    /// Takes over what a tick brought, and tells the snapshot what copies showed of the alternates: where the operator
    /// judges, its word counts, for it hears all replicas.
    pub(super) fn prepare_copies(&mut self, snapshot: &mut RouteSnapshot) {
        self.copies.asked = snapshot.spec.shadow.as_ref().and_then(|spec| {
            let mark = Mark::of(spec)?;
            Some((policy::shadow(spec), mark))
        });
        let served: Vec<u32> =
            snapshot.members.iter().map(|member| self.served(&member.resource.name)).collect();
        let Some((shadow, _)) = &self.copies.asked else {
            self.copies.mirror = Mirror::default();
            return;
        };
        let Some((lead, alternates)) = snapshot.members.split_first_mut() else { return };
        let resources: Vec<Resource> = alternates.iter().map(|member| member.resource.clone()).collect();
        let warm: Vec<Option<f64>> = alternates.iter().map(|member| member.warm).collect();
        let present: Vec<u16> = alternates.iter().map(|member| member.share).collect();
        self.copies.mirror.prepare(&shadow::Tick {
            now: snapshot.at,
            shadow,
            seed: shadow::seed(&snapshot.route.to_string()),
            phase: snapshot.phase,
            policy: &snapshot.policy,
            lead: &lead.resource,
            alternates: &resources,
            warm: &warm,
            present: &present,
            served: &served[1..],
            part: snapshot.part,
        });
        for (i, member) in alternates.iter_mut().enumerate() {
            if member.resource.readiness == Readiness::Inconclusive {
                member.resource.readiness = self.copies.mirror.readiness(i);
            }
        }
    }

    /// The percent of entries that may be copied.
    pub(in crate::assigner) fn copied(&self) -> f64 {
        if self.copies.asked.is_some() { self.copies.mirror.percent() } else { 0.0 }
    }

    /// Whether an alternate gets nothing yet, since copies are still warming it.
    pub(super) fn holds_share(&self, alternate: usize) -> bool {
        self.copies.mirror.holds_share(alternate)
    }

    /// A copy of an entry that was just given to a resource, if there shall be one.
    pub(in crate::assigner) fn order_copy(
        &mut self,
        entry: &Entry<'_>,
        original: &Chosen,
    ) -> Option<CopyOrder> {
        let (shadow, mark) = self.copies.asked.clone()?;
        let calm = original.reason == Reason::Rule(assign::Reason::LeadHasHeadroom);
        let (candidates, impacts) = (&self.candidates, &self.impacts);
        let has_room = |name: &str| {
            candidates.place(name).is_some_and(|place| {
                let impact = impacts.predict(original.class, place, original.prior);
                place != original.place && candidates.has_room_for_copy(place, impact)
            })
        };
        let order = match self.copies.mirror.order(entry.id.as_bytes(), calm, has_room) {
            Ok(order) => order,
            Err(skip) => {
                self.copies.without_room += u64::from(skip == Skip::NoRoom);
                return None;
            }
        };
        let listed = &self.snapshot.as_ref()?.members.get(order.alternate + 1)?;
        let place = self.candidates.place(&listed.resource.name)?;
        let member = self.members.get_mut(place)?;
        let alternate = Arc::clone(&member.counts.resource);
        // All in turn, so that each of them is warmed.
        let turn = member.copied as usize % listed.shadow_endpoints.len().max(1);
        let Some(&endpoint) = listed.shadow_endpoints.get(turn) else {
            self.copies.mirror.withdrawn(&alternate);
            return None;
        };
        let protocol = listed.shadow_protocol;
        member.copied += 1;
        let impact = self.impacts.predict(original.class, place, original.prior);
        let chosen = Chosen { endpoint, hint: turn, place, impact, ..*original };
        Some(CopyOrder { chosen, protocol, shadow, mark, purpose: order.purpose, alternate })
    }

    /// Counts a copy as under way on its alternate, if that has room.
    pub(in crate::assigner) fn start_copy(&mut self, order: &CopyOrder, now: Duration) -> Option<Ticket> {
        let Chosen { place, impact, endpoint, hint, .. } = order.chosen;
        if !self.candidates.has_room_for_copy(place, impact) {
            return None;
        }
        self.members.get_mut(place)?.endpoints.start(hint, endpoint);
        Some(self.candidates.start_copy(place, impact, now))
    }

    /// Learns from a copy as from an entry, but for those that warm an alternate: what is cold is slow.
    pub(in crate::assigner) fn finish_copy(
        &mut self,
        order: &CopyOrder,
        ticket: Ticket,
        original: Option<f64>,
        taken: Result<Duration, Outcome>,
        now: Duration,
    ) {
        let outcome = taken.err().unwrap_or(Outcome::Acknowledged);
        self.take_back(order, outcome, now);
        let teaches = order.purpose == Purpose::Trial || outcome != Outcome::Acknowledged;
        let told = if teaches { outcome.into() } else { assign::Outcome::Cancelled };
        let service = self.candidates.finish(ticket, told, now);
        let Chosen { class, place, prior, .. } = order.chosen;
        if order.purpose == Purpose::Trial && prior > 0.0 {
            self.impacts.observe(class, place, prior, service, now);
        }
        let copy = taken.ok().map(|latency| latency.as_secs_f64());
        self.copies.mirror.ended(&order.alternate, order.purpose, original, copy);
    }

    /// A copy is not made, or not to its end.
    pub(in crate::assigner) fn withdraw_copy(
        &mut self,
        order: &CopyOrder,
        ticket: Option<Ticket>,
        now: Duration,
    ) {
        if let Some(ticket) = ticket {
            self.take_back(order, Outcome::Cancelled, now);
            self.candidates.finish(ticket, assign::Outcome::Cancelled, now);
        }
        self.copies.mirror.withdrawn(&order.alternate);
    }

    pub(super) fn copies_without_room(&self) -> u64 {
        self.copies.without_room
    }

    /// What copies showed of the alternates, and entries of all resources.
    pub(in crate::assigner) fn seen(&self) -> Seen {
        let Some(snapshot) = &self.snapshot else { return Seen::default() };
        // A class that is called so itself would be told twice.
        let named = self.impacts.classes().filter(|(_, name)| *name != "other");
        let classes = std::iter::once((OTHER, "other")).chain(named);
        let seen = |(class, name): (usize, &str)| {
            let name = name.to_owned();
            self.members.iter().enumerate().filter(|(_, member)| member.listed.is_some()).filter_map(
                move |(place, member)| {
                    Some(ClassSeen {
                        resource: Arc::clone(&member.counts.resource),
                        class: name.clone(),
                        affinity: self.impacts.affinity(class, place),
                        outcome: self.impacts.outcome(class, place)?,
                    })
                },
            )
        };
        Seen {
            at: snapshot.at,
            asked: self.copies.asked.as_ref().map(|(shadow, _)| *shadow),
            alternates: self.copies.mirror.alternates().collect(),
            classes: classes.flat_map(seen).collect(),
        }
    }

    /// The lead had no room for an entry.
    pub(super) fn lead_is_short(&mut self) {
        self.copies.mirror.lead_is_short();
    }

    fn take_back(&mut self, order: &CopyOrder, outcome: Outcome, now: Duration) {
        let Chosen { place, endpoint, hint, .. } = order.chosen;
        if let Some(member) = self.members.get_mut(place) {
            member.endpoints.finish(hint, endpoint, outcome.of_endpoint(), now);
            member.counts.copies[outcome as usize] += 1;
        }
    }

    fn served(&mut self, resource: &str) -> u32 {
        let place = self.candidates.place(resource);
        let member = place.and_then(|place| self.members.get_mut(place));
        member.map_or(0, |member| std::mem::take(&mut member.served))
    }
}
