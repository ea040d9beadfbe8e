//! How much the lead is asked to do, and which share of it keeps the lead at its objective.

use std::time::Duration;

use super::{Input, Memory};
use crate::{
    forecast::{Quantiles, Rung},
    resource::Freshness,
};

/// The newest step of a series is as old as this when nothing is late: the step, the publish, the way here, and a
/// step that an alternate has yet to report.
const USUAL_AGE: Duration = Duration::from_secs(7);

/// What is older than this says nothing of now.
const OLDEST: Duration = Duration::from_mins(2);

/// Shares of alternates by which the whole is known without the lead.
const TELLING: f64 = 0.1;

/// What is offered to the lead at the planning horizon.
#[derive(Clone, Debug)]
pub(super) struct DemandOnLead {
    /// The lead's load if everything went to it.
    pub(super) offered: Quantiles,
    /// The lead's load now.
    pub(super) observed: f64,
    /// The part of the planned quantile that shares can move.
    pub(super) movable: f64,
    /// The lead's load that shares cannot move, other routes' unseen moves included.
    pub(super) background: f64,
    /// The largest share of the lead that keeps it at its objective, 0 to 1.
    pub(super) wanted_lead: f64,
    /// The same when alternates must first be warmed: it looks further ahead.
    pub(super) wanted_lead_ahead: f64,
    /// The same for the highest load that the fine forecast fears: what comes back must not go away again at once.
    pub(super) wanted_lead_held: f64,
    /// The largest share of the lead that does not saturate it, 0 to 1.
    pub(super) most_lead: f64,
    /// Load above the objective with the present target share; below zero is room.
    pub(super) over: f64,
    /// What an entry takes on each alternate over what it takes on the lead.
    pub(super) work: Vec<f64>,
}

impl DemandOnLead {
    pub(super) fn assess(input: &Input<'_>, memory: &Memory) -> Self {
        let objective = &input.policy.objective;
        let (present_lead, ahead) = memory.remaining_warm_up(input);
        let late = input.age.min(OLDEST).saturating_sub(USUAL_AGE);
        let (offered, carried) = offered_ahead(input, late);
        let unseen = input.unseen.first().copied().unwrap_or(0.0) / input.lead.capacity.max(1e-3);
        let background = clean(input.lead.background + unseen);
        // The plan never trusts a forecast that is more hopeful than what is seen; a burst is seen when it lasts.
        let fine = &input.outlook.fine;
        let work = memory.work(input);
        let newest = if memory.saturated() { fine.last.max(offered_now(input, &work)) } else { fine.level };
        let elsewhere = if late.is_zero() { 0.0 } else { told_elsewhere(input, memory, &work) };
        let by_lead = if memory.hides_demand(input.now) { told_by_lead(input, memory) } else { 0.0 };
        let known = background + elsewhere.max(by_lead);
        let observed = clean(newest.max(fine.level).max(known));
        let level = offered.get(objective.quantile).max(observed);
        let movable = (level - background).max(0.0);
        let wanted = |movable: f64| Self::wanted(input, background, movable);
        let further = if ahead.is_zero() || fine.rung == Rung::Reactive {
            level
        } else {
            // The median: a far quantile is wide, and a false start moves entries for nothing.
            level.max(clean(input.outlook.at(objective.horizon + late + ahead).p50))
        };
        let movable_ahead = (further - background).max(0.0);
        Self {
            offered,
            observed: clean(input.lead.load),
            movable,
            background,
            wanted_lead: wanted(movable),
            wanted_lead_ahead: wanted(movable_ahead),
            wanted_lead_held: wanted((further.max(clean(fine.peak.p90) + carried) - background).max(0.0)),
            most_lead: Self::share_at(input, objective.saturation.min(1.0), background, movable),
            over: background + movable_ahead * f64::from(present_lead) / 1000.0 - objective.lead_load,
            work,
        }
    }

    /// Points over the objective; 100 is saturation.
    pub(super) fn urgency(&self, input: &Input<'_>) -> f64 {
        let objective = &input.policy.objective;
        100.0 * self.over / (objective.saturation - objective.lead_load).max(0.01)
    }

    /// The load of a resource (lead first) at the horizon with `share` of the route's entries.
    pub(super) fn predicted(&self, input: &Input<'_>, resource: usize, share: f64) -> f64 {
        let cores = share * self.movable * input.lead.capacity * self.work_on(resource);
        match resource.checked_sub(1).map(|i| &input.alternates[i]) {
            Some(alternate) => clean(alternate.background + cores / alternate.capacity.max(1e-3)),
            None => clean(self.background + cores / input.lead.capacity.max(1e-3)),
        }
    }

    /// What an entry takes on a resource (lead first) over what it takes on the lead.
    pub(super) fn work_on(&self, resource: usize) -> f64 {
        resource.checked_sub(1).map_or(1.0, |i| self.work[i])
    }

    fn wanted(input: &Input<'_>, background: f64, movable: f64) -> f64 {
        if input.lead.endpoints == 0 || input.lead.drained {
            return 0.0;
        }
        Self::share_at(input, input.policy.objective.lead_load, background, movable)
    }

    /// The share of the lead with which it stands at `load`, within its limits.
    fn share_at(input: &Input<'_>, load: f64, background: f64, movable: f64) -> f64 {
        let least = f64::from(input.policy.limits.min_lead_share) / 1000.0;
        if movable <= 1e-9 {
            return 1.0;
        }
        let share = (load - background) / movable;
        if share.is_nan() { 1.0 } else { share.clamp(least.min(1.0), 1.0) }
    }
}

/// What is offered at the horizon, with a series that ends `late`, and how much of it is only carried on.
fn offered_ahead(input: &Input<'_>, late: Duration) -> (Quantiles, f64) {
    let horizon = input.policy.objective.horizon;
    let clean = |q: Quantiles| Quantiles { p50: clean(q.p50), p90: clean(q.p90), p99: clean(q.p99) };
    let (near, far) = (clean(input.outlook.at(horizon)), clean(input.outlook.at(horizon + late)));
    let carried = far.p50 - near.p50;
    match input.lead.freshness {
        // What is late is carried on by its median; its spread stays that of the horizon.
        Freshness::Fresh => {
            let on = |load: f64| (load + carried).max(0.0);
            (Quantiles { p50: on(near.p50), p90: on(near.p90), p99: on(near.p99) }, carried)
        }
        // Of a lead that fell silent less is known with every second.
        _ => (far, carried),
    }
}

/// What is offered by the newest personas, which are ahead of the series by the step that is not over yet.
fn offered_now(input: &Input<'_>, work: &[f64]) -> f64 {
    let elsewhere: f64 = input.alternates.iter().zip(work).map(|(a, work)| a.own_cores.max(0.0) / work).sum();
    input.lead.load + elsewhere / input.lead.capacity.max(1e-3)
}

/// The route's load on the lead if everything went there, by what alternates do for their shares: known though the
/// lead's own persona is old. Zero where they tell too little.
fn told_elsewhere(input: &Input<'_>, memory: &Memory, work: &[f64]) -> f64 {
    let told =
        input.alternates.iter().zip(work).enumerate().filter(|(_, (a, _))| a.freshness == Freshness::Fresh);
    let (cores, share) = told.fold((0.0, 0.0), |(cores, share), (i, (alternate, work))| {
        (cores + alternate.own_cores.max(0.0) / work, share + memory.settled().most(i + 1))
    });
    if share >= TELLING { clean(cores / share / input.lead.capacity.max(1e-3)) } else { 0.0 }
}

/// The same by what the lead does for its share.
fn told_by_lead(input: &Input<'_>, memory: &Memory) -> f64 {
    let share = memory.settled().most(0);
    let cores = input.lead.own_cores.max(0.0);
    if share >= TELLING { clean(cores / share / input.lead.capacity.max(1e-3)) } else { 0.0 }
}

/// Loads beyond 16 times the capacity and numbers that are none tell nothing more than "far too much" and "nothing".
fn clean(load: f64) -> f64 {
    if load.is_nan() { 0.0 } else { load.clamp(0.0, 16.0) }
}
