//! What the planner remembers of a route between ticks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    DemandOnLead, Input, Step,
    ejection::{Ejections, barred},
};
use crate::{
    allocate::find_best_alternate,
    decision::{Trigger, Trouble},
    hooks::COOL_AFTER,
    resource::Resource,
    work::{Ratios, Settled},
};

/// The lower threshold, as a part of the objective: below it, observed load gives shares back.
const LOW: f64 = 0.8;

/// Ticks in a row of observed saturation that allow a hard step: one may be a burst.
const SATURATED_HITS: u32 = 3;

/// A newest persona as far over as this is no burst: it is averaged over seconds, so one tick will do.
/// Where that happens again and again it is looked at for longer.
const FAR_OVER: f64 = 1.25;
const CALM: Duration = Duration::from_secs(30);

/// An alternate may stand this far over its objective before it is relieved.
const OVERFULL: f64 = 1.1;

/// What the planner remembers of a route between ticks. A default one begins with everything on the lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    targets: BTreeMap<String, u16>,
    warm: BTreeMap<String, Warm>,
    /// Alternates whose first share waits for their hook.
    waiting: BTreeSet<String>,
    resumed: bool,
    ejections: Ejections,
    ratios: Ratios,
    settled: Settled,
    pub(super) effective: Option<Vec<u16>>,
    pub(super) members_changed: bool,
    pub(super) hits: Hits,
    pub(super) last_shed: Option<Duration>,
    pub(super) last_return: Option<Duration>,
    pub(super) last_hard: Option<Duration>,
}

/// Ticks in a row in which something held.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hits {
    pub(super) far: u32,
    pub(super) mild: u32,
    pub(super) saturated: u32,
    pub(super) low: u32,
    pub(super) overfull: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Warm {
    since: Duration,
    last_share: Duration,
}

fn count(hits: &mut u32, held: bool) {
    *hits = if held { hits.saturating_add(1) } else { 0 };
}

impl Memory {
    /// Goes on from shares in force (permille by Service), as after a restart: they count as warm and as just moved.
    #[must_use]
    pub fn resume(shares: impl IntoIterator<Item = (String, u16)>) -> Self {
        Self { targets: shares.into_iter().collect(), resumed: true, ..Self::default() }
    }

    /// From now on these alternates get no first share, since their warm-up hook has not answered yet; their ramp
    /// begins when they are no longer named. A saturated lead, or one without endpoints, waits for nobody.
    pub fn wait_for(&mut self, alternates: impl IntoIterator<Item = String>) {
        self.waiting = alternates.into_iter().collect();
    }

    /// Whether an alternate has a share or had one lately.
    #[must_use]
    pub fn is_warm(&self, alternate: &str) -> bool {
        self.warm.contains_key(alternate) || (self.resumed && self.targets.get(alternate) > Some(&0))
    }

    /// What an entry takes on an alternate over what it takes on a lead of `lead_capacity` cores, as learned.
    #[must_use]
    pub fn work_on(&self, alternate: &str, lead_capacity: f64) -> f64 {
        self.ratios.of(alternate, lead_capacity)
    }

    /// The same for all alternates of a tick.
    pub(super) fn work(&self, input: &Input<'_>) -> Vec<f64> {
        input.alternates.iter().map(|a| self.work_on(&a.name, input.lead.capacity)).collect()
    }

    /// See [`Ejections::hides_demand`].
    pub(super) fn hides_demand(&self, now: Duration) -> bool {
        self.ejections.hides_demand(now)
    }

    /// The shares of the last seconds.
    pub(super) fn settled(&self) -> &Settled {
        &self.settled
    }

    /// Learns what entries take where, and who is in trouble.
    pub(super) fn observe(&mut self, input: &Input<'_>, present: &[u16]) -> Vec<Option<Trouble>> {
        let resources = input.alternates.len() + 1;
        let planned = self.effective.as_deref().filter(|shares| shares.len() == resources);
        let in_force =
            if input.in_force.len() == resources { input.in_force } else { planned.unwrap_or_default() };
        let settled = self.ratios.observe(input.now, input.lead, input.alternates, in_force, input.age);
        let work = self.work(input);
        let troubles = self.ejections.observe(input, &present[1..], &settled, &work);
        self.settled = settled;
        for (alternate, _) in input.alternates.iter().zip(&troubles).filter(|(_, trouble)| barred(**trouble))
        {
            // It comes back as carefully as it came.
            self.warm.remove(&alternate.name);
        }
        troubles
    }

    /// The target shares, lead first, fitted to the resources that are there now.
    pub(super) fn targets_for(&mut self, input: &Input<'_>) -> Vec<u16> {
        if self.resumed {
            self.resumed = false;
            self.last_shed = Some(input.now);
            let warm = Warm { since: Duration::ZERO, last_share: input.now };
            self.warm =
                self.targets.iter().filter(|t| *t.1 > 0).map(|(name, _)| (name.clone(), warm)).collect();
        }
        let known = |r: &Resource| self.targets.get(&r.name).copied().unwrap_or(0);
        let mut present: Vec<u16> = vec![0];
        present.extend(input.alternates.iter().map(known));
        let elsewhere: u32 = present.iter().map(|&p| u32::from(p)).sum();
        if elsewhere > 1000 {
            present = vec![0; present.len()];
        }
        present[0] = 1000 - elsewhere.min(1000) as u16 * u16::from(elsewhere <= 1000);
        // A resource left the route: its share falls to the lead in this sum and must be placed anew.
        self.members_changed = !self.targets.is_empty() && known(input.lead) != present[0];
        present
    }

    /// The lead's target share and the warm-up time that the alternate to be filled first still needs.
    pub(super) fn remaining_warm_up(&self, input: &Input<'_>) -> (u16, Duration) {
        let lead = if self.targets.is_empty() {
            1000
        } else {
            let elsewhere: u16 = input
                .alternates
                .iter()
                .map(|a| self.targets.get(&a.name).copied().unwrap_or(0))
                .fold(0, u16::saturating_add);
            1000_u16.saturating_sub(elsewhere)
        };
        let ahead = find_best_alternate(input.alternates, input.policy).map_or(Duration::ZERO, |best| {
            let duration = input.policy.warm_up.duration;
            match self.warm.get(&input.alternates[best].name) {
                Some(warm) => duration.saturating_sub(input.now.saturating_sub(warm.since)),
                None => duration,
            }
        });
        (lead, ahead)
    }

    pub(super) fn count_saturated(&mut self, input: &Input<'_>) {
        count(&mut self.hits.saturated, input.lead.load >= input.policy.objective.saturation);
        let calm = self.last_hard.is_none_or(|at| input.now.saturating_sub(at) > CALM);
        if calm && input.lead.load >= FAR_OVER.max(input.policy.objective.saturation) {
            self.hits.saturated = self.hits.saturated.max(SATURATED_HITS);
        }
    }

    /// The shares of the tick before, if they were those of as many resources.
    pub(super) fn effective_of(&self, resources: usize) -> Option<&[u16]> {
        self.effective.as_deref().filter(|shares| shares.len() == resources && !self.members_changed)
    }

    /// The lead has been saturated for long enough to act on that alone.
    pub(super) fn saturated(&self) -> bool {
        self.hits.saturated >= SATURATED_HITS
    }

    pub(super) fn count_hits(&mut self, input: &Input<'_>, demand: &DemandOnLead, present: &[u16]) {
        let objective = &input.policy.objective;
        let urgency = demand.urgency(input);
        let overfull = present.iter().enumerate().skip(1).any(|(i, &share)| {
            share > 0
                && demand.predicted(input, i, f64::from(share) / 1000.0) > objective.alternate_load * OVERFULL
        });
        count(&mut self.hits.far, urgency >= 40.0);
        count(&mut self.hits.mild, urgency > 0.0);
        count(&mut self.hits.low, input.lead.load < objective.lead_load * LOW);
        count(&mut self.hits.overfull, overfull);
    }

    /// Takes note of what was decided; answers how warm every resource is, 0 to 1, lead first.
    pub(super) fn remember(
        &mut self,
        input: &Input<'_>,
        step: Step,
        present: &[u16],
        targets: &[u16],
    ) -> Vec<f64> {
        if let Step::Place { trigger, .. } = step {
            self.hits.overfull = 0;
            if trigger == Trigger::Saturation {
                self.last_hard = Some(input.now);
            }
            if targets[0] < present[0] {
                (self.last_shed, self.hits.far, self.hits.mild) = (Some(input.now), 0, 0);
            } else if trigger == Trigger::Headroom {
                (self.last_return, self.hits.low) = (Some(input.now), 0);
            }
        }
        let names = std::iter::once(input.lead).chain(input.alternates).map(|r| &r.name);
        self.targets = names.cloned().zip(targets.iter().copied()).collect();
        // Saturation is worse than a cold alternate.
        let waived = self.saturated();
        self.warm.retain(|_, warm| input.now.saturating_sub(warm.last_share) < COOL_AFTER);
        let mut factors = vec![1.0];
        for (alternate, &target) in input.alternates.iter().zip(&targets[1..]) {
            factors.push(self.warm_factor(input, alternate, target, waived));
        }
        factors
    }

    fn warm_factor(&mut self, input: &Input<'_>, alternate: &Resource, target: u16, waived: bool) -> f64 {
        if target == 0 {
            return 1.0;
        }
        let patient = !waived && input.lead.endpoints > 0;
        if patient && self.waiting.contains(&alternate.name) && !self.warm.contains_key(&alternate.name) {
            return 0.0;
        }
        let now = input.now;
        let warm = self.warm.entry(alternate.name.clone()).or_insert(Warm { since: now, last_share: now });
        warm.last_share = now;
        if waived {
            warm.since = now.saturating_sub(input.policy.warm_up.duration);
        }
        input.policy.warm_up.factor(now.saturating_sub(warm.since))
    }
}
