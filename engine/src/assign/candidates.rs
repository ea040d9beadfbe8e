//! The resources of a route as the data plane sees them, prepared once a tick.

use std::{collections::BTreeMap, time::Duration};

use super::{
    PROMPT,
    intensity::Intensity,
    limits::{Limits, limits},
    slot::{Budget, Outcome, Outcomes, Record, Slot, Ticket},
};
use crate::{
    allocate::{takers, within},
    impact::{LEAST_WORK, MOST_WORK},
    policy::Policy,
    resource::{Freshness, Resource, Scores},
};

/// Shares are counted over the last entries: those of ten seconds ago weigh half.
const SHARE_HALF_LIFE: Duration = Duration::from_secs(10);

/// The same for the mean work of an entry.
const TYPICAL_HALF_LIFE: Duration = Duration::from_mins(1);

/// Loads beyond are queues of which nobody knows how long they are.
const MOST_LOAD: f64 = 4.0;

/// The part of the entries that counts as large, and how far one entry moves what that is.
const LARGE: f64 = 0.01;
const LARGE_STEP: f64 = 0.05;

/// The work of an entry when nothing was predicted for any.
const UNKNOWN_WORK: f64 = 1e-3;

/// What the plan and the personas say at a tick.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// The caller's clock, the same as for entries.
    pub now: Duration,
    /// The lead.
    pub lead: &'a Resource,
    /// Its alternates, in the order of the route.
    pub alternates: &'a [Resource],
    /// Share of each alternate in the plan, permille; none where it ends. Whoever holds one keeps its place.
    pub present: &'a [u16],
    /// How warm each alternate is, 0 to 1 ([`crate::policy::WarmUp::factor`] of the time since its first entry); warm
    /// where it ends.
    pub warm: &'a [f64],
    /// Work of other routes that is planned but not yet seen, in cores: lead first, then the alternates.
    pub unseen: &'a [f64],
    /// The part of the route's entries that comes through here, 0 to 1: one over the number of replicas.
    pub part: f64,
    /// What the route asks for.
    pub policy: &'a Policy,
}

impl Tick<'_> {
    /// The part as a number that divides; all where it is none.
    pub(super) fn part(&self) -> f64 {
        if self.part > 0.0 { self.part.min(1.0) } else { 1.0 }
    }
}

/// The resources of a route, what each has in flight, and their order for each class of entries.
///
/// A resource keeps its place (an index) for as long as it belongs to the route or has entries in flight. After the
/// first tick the lead is at 0 and the alternates follow in the order of the route.
#[derive(Debug, Default)]
pub struct Candidates {
    slots: Vec<Slot>,
    budgets: Vec<Budget>,
    records: Vec<Record>,
    names: Vec<String>,
    places: BTreeMap<String, usize>,
    vacant: Vec<usize>,
    lead: Option<usize>,
    /// Alternates that pass their gates, best first, by class.
    ranks: Vec<Vec<u32>>,
    everywhere: Outcomes,
    intensity: Intensity,
    /// What it was at the last tick.
    cores_a_second: f64,
    recent: f64,
    sizes: Sizes,
    least_lead_share: f64,
    most_share: f64,
    at: Duration,
}

/// Sums over past entries, for their mean work.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    work: f64,
    entries: f64,
    /// Kept, since every choice reads it for every candidate.
    mean: f64,
    /// About one entry in a hundred takes more.
    large: f64,
}

impl Candidates {
    /// Takes over what a tick brought. `affinity` tells the score (0 to 100) of an alternate, by its index in
    /// `tick.alternates`, for each class below `classes`; what is not a number is the persona's.
    ///
    /// n log n in the number of alternates for each class, and the only place that allocates.
    pub fn prepare(&mut self, tick: &Tick<'_>, classes: usize, affinity: impl Fn(usize, usize) -> f64) {
        self.learn_intensity(tick);
        self.forget(tick.now);
        let limits = limits(tick, self.cores_a_second);
        for record in &mut self.records {
            record.limits = Limits::default();
        }
        let mut places = Vec::with_capacity(limits.len());
        for (resource, limits) in std::iter::once(tick.lead).chain(tick.alternates).zip(limits) {
            let place = self.place_of(&resource.name);
            self.records[place].limits = limits;
            places.push(place);
        }
        self.lead = places.first().copied();
        self.leave(&places);
        let typical = self.typical(0.0);
        for ((slot, budget), record) in self.slots.iter_mut().zip(&mut self.budgets).zip(&self.records) {
            slot.update(record, typical, &self.everywhere);
            budget.update(&record.limits);
        }
        self.least_lead_share = f64::from(tick.policy.limits.min_lead_share.min(1000)) / 1000.0;
        self.most_share = f64::from(tick.policy.limits.max_share_per_alternate.min(1000)) / 1000.0;
        self.rank(tick, &places[1..], classes.max(1), affinity);
    }

    /// Where a resource is.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Which resource is at a place; empty where none is.
    #[must_use]
    pub fn name(&self, resource: usize) -> &str {
        self.names.get(resource).map_or("", String::as_str)
    }

    /// Notes that an entry is on its way to a resource; `impact` as for [`super::assign_entry`].
    pub fn start(&mut self, resource: usize, impact: f64, now: Duration) -> Ticket {
        let work = self.work(impact);
        self.recent += work;
        self.sizes.add(work);
        if let Some(budget) = self.budgets.get_mut(resource) {
            budget.give(work, now.as_secs_f64());
        }
        let others = self.slots.get_mut(resource).map_or(0, |slot| slot.start(work));
        Ticket { resource, work, others, at: now }
    }

    /// Whether a copy of an entry fits in beside the entries that a resource has, warm or not: nobody needs it, so it
    /// gets no more than what the objective leaves.
    #[must_use]
    pub fn has_room_for_copy(&self, resource: usize, impact: f64) -> bool {
        let (Some(slot), Some(record)) = (self.slots.get(resource), self.records.get(resource)) else {
            return false;
        };
        let work = self.work(impact);
        slot.has_endpoints() && slot.is_within(record.limits.limit, work, self.typical(work))
    }

    /// Notes that a copy of an entry is on its way. It takes room as an entry does, and is no part of any share.
    pub fn start_copy(&mut self, resource: usize, impact: f64, now: Duration) -> Ticket {
        let work = self.work(impact);
        let others = self.slots.get_mut(resource).map_or(0, |slot| slot.start(work));
        Ticket { resource, work, others, at: now }
    }

    /// Takes an entry back. For one that was acknowledged it answers the seconds that it would have taken with the
    /// resource to itself: what [`crate::impact`] learns from.
    #[allow(clippy::needless_pass_by_value, reason = "an entry ends once, so its ticket is used up")]
    pub fn finish(&mut self, ticket: Ticket, outcome: Outcome, now: Duration) -> Option<f64> {
        let typical = self.typical(0.0);
        let slot = self.slots.get_mut(ticket.resource)?;
        let record = self.records.get_mut(ticket.resource)?;
        let in_flight = slot.finish(ticket.work);
        if outcome == Outcome::Cancelled {
            return None;
        }
        let failed = outcome == Outcome::Failed;
        record.outcomes.observe(failed, now);
        self.everywhere.observe(failed, now);
        let service = (!failed).then(|| record.served(&ticket, in_flight, now));
        slot.update(record, typical, &self.everywhere);
        service
    }

    pub(super) fn lead(&self) -> Option<usize> {
        self.lead
    }

    pub(super) fn slot(&self, resource: usize) -> &Slot {
        &self.slots[resource]
    }

    pub(super) fn everybody(&self) -> impl Iterator<Item = usize> {
        self.lead.into_iter().chain((0..self.slots.len()).filter(|&resource| Some(resource) != self.lead))
    }

    pub(super) fn ranked(&self, class: usize) -> impl Iterator<Item = usize> {
        let ranks = self.ranks.get(class).or(self.ranks.first()).map_or(&[][..], Vec::as_slice);
        ranks.iter().map(|&resource| resource as usize)
    }

    /// Predicted work as a number that sums.
    pub(super) fn work(&self, impact: f64) -> f64 {
        if (LEAST_WORK..=MOST_WORK).contains(&impact) {
            return impact;
        }
        let known = impact.is_finite() && impact > 0.0;
        if known { impact.clamp(LEAST_WORK, MOST_WORK) } else { self.sizes.mean }
    }

    /// What an entry of `work` may wait for: the mean entry, or one as large as itself.
    pub(super) fn typical(&self, work: f64) -> f64 {
        if work > self.sizes.mean { work } else { self.sizes.mean }
    }

    /// Seconds within which an entry of `work` is to be done.
    fn due(&self, work: f64) -> f64 {
        PROMPT * if work > self.sizes.large { work } else { self.sizes.large }
    }

    /// Whether an entry of `work` would be done on time.
    pub(super) fn is_prompt(&self, resource: usize, work: f64) -> bool {
        self.slots[resource].is_prompt(work, self.due(work), self.cores_a_second)
    }

    /// Whether a resource was given no more than its objective lets it do, `work` included.
    pub(super) fn may_have(&self, resource: usize, work: f64, now: f64) -> bool {
        self.budgets[resource].allows(work, now)
    }

    pub(super) fn lead_is_owed(&self, lead: usize, work: f64) -> bool {
        self.budgets[lead].recent + work < self.least_lead_share * (self.recent + work)
    }

    pub(super) fn has_its_most(&self, alternate: usize, work: f64) -> bool {
        self.most_share < 1.0
            && self.budgets[alternate].recent + work > self.most_share * (self.recent + work)
    }
}

impl Candidates {
    /// Holds what resources use for the route's entries against what they were given.
    fn learn_intensity(&mut self, tick: &Tick<'_>) {
        let (mut own_cores, mut given, mut cores) = (0.0, 0.0, 0.0);
        for resource in std::iter::once(tick.lead).chain(tick.alternates) {
            let Some(budget) = self.place(&resource.name).and_then(|place| self.budgets.get_mut(place))
            else {
                continue;
            };
            let since_tick = std::mem::take(&mut budget.since_tick);
            // Where nobody measures, nothing is used.
            if resource.freshness == Freshness::Fresh && resource.own_cores > 0.0 {
                // A full resource uses no more than it has; its load tells what it would use.
                own_cores += resource.own_cores * within(resource.load, 1.0, MOST_LOAD);
                given += since_tick;
                cores += resource.capacity;
            }
        }
        let part = tick.part();
        self.intensity.observe(own_cores * part, given, tick.now.saturating_sub(self.at));
        self.cores_a_second = self.intensity.get(cores * part);
    }

    /// What was given and learned counts less with time.
    fn forget(&mut self, now: Duration) {
        let since = now.saturating_sub(self.at).as_secs_f64();
        let keep = |half_life: Duration| (-since / half_life.as_secs_f64()).exp2();
        self.at = self.at.max(now);
        self.recent *= keep(SHARE_HALF_LIFE);
        self.sizes.work *= keep(TYPICAL_HALF_LIFE);
        self.sizes.entries *= keep(TYPICAL_HALF_LIFE);
        self.everywhere.fade(now);
        for (budget, record) in self.budgets.iter_mut().zip(&mut self.records) {
            budget.recent *= keep(SHARE_HALF_LIFE);
            record.fade(now);
        }
    }

    fn place_of(&mut self, name: &str) -> usize {
        if let Some(place) = self.place(name) {
            return place;
        }
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.budgets.push(Budget::default());
            self.records.push(Record::default());
            self.names.push(String::new());
            self.slots.len() - 1
        });
        (self.slots[place], self.budgets[place]) = (Slot::default(), Budget::default());
        self.records[place] = Record::default();
        self.records[place].fade(self.at);
        name.clone_into(&mut self.names[place]);
        self.places.insert(name.into(), place);
        place
    }

    /// Resources that are not in the tick leave as soon as nothing is in flight on them.
    fn leave(&mut self, present: &[usize]) {
        let mut stays = vec![false; self.slots.len()];
        for &place in present {
            stays[place] = true;
        }
        for (place, slot) in self.slots.iter().enumerate() {
            if !stays[place] && slot.is_idle() && self.places.remove(&self.names[place]).is_some() {
                self.names[place].clear();
                self.vacant.push(place);
            }
        }
    }

    fn rank(
        &mut self,
        tick: &Tick<'_>,
        places: &[usize],
        classes: usize,
        affinity: impl Fn(usize, usize) -> f64,
    ) {
        self.ranks.truncate(classes);
        self.ranks.resize_with(classes, Vec::new);
        for (class, ranks) in self.ranks.iter_mut().enumerate() {
            let scores = |i: usize| {
                let persona = tick.alternates[i].scores;
                let learned = affinity(class, i);
                Scores {
                    affinity: if learned.is_nan() { persona.affinity } else { learned.clamp(0.0, 100.0) },
                    stability: persona.stability * (1.0 - self.records[places[i]].outcomes.ratio()),
                    ..persona
                }
            };
            let order = takers(tick.alternates, tick.present, tick.policy, scores);
            ranks.clear();
            ranks.extend(order.into_iter().map(|i| places[i] as u32));
        }
    }
}

impl Sizes {
    fn add(&mut self, work: f64) {
        self.work += work;
        self.entries += 1.0;
        self.mean = (self.work / self.entries).clamp(LEAST_WORK, MOST_WORK);
        // Stochastic approximation (Robbins and Monro, 1951): steps up and down balance at the quantile.
        let step = if work > self.large { 1.0 - LARGE } else { -LARGE };
        self.large = (self.large * (1.0 + LARGE_STEP * step)).clamp(LEAST_WORK, MOST_WORK);
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self { work: 0.0, entries: 0.0, mean: UNKNOWN_WORK, large: UNKNOWN_WORK }
    }
}
