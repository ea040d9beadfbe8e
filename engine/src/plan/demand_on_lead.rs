//! How much the lead is asked to do, and which share of it keeps the lead at its objective.

use std::time::Duration;

use super::Input;
use crate::{
    forecast::{Quantiles, Rung},
    resource::Resource,
};

/// What is offered to the lead at the planning horizon.
#[derive(Clone, Copy, Debug)]
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
    /// Load above the objective with the present target share; below zero is room.
    pub(super) over: f64,
}

impl DemandOnLead {
    /// `ahead`: warm-up time still needed by the alternate that would be filled first; `saturated`: the lead has been
    /// saturated for some ticks.
    pub(super) fn assess(input: &Input<'_>, (present_lead, ahead): (u16, Duration), saturated: bool) -> Self {
        let objective = &input.policy.objective;
        let Quantiles { p50, p90, p99 } = input.outlook.at(objective.horizon);
        let offered = Quantiles { p50: clean(p50), p90: clean(p90), p99: clean(p99) };
        let unseen = input.unseen.first().copied().unwrap_or(0.0) / input.lead.capacity.max(1e-3);
        let background = clean(input.lead.background + unseen);
        // The plan never trusts a forecast that is more hopeful than what is seen; a burst is seen when it lasts.
        let fine = &input.outlook.fine;
        let newest = if saturated { fine.last.max(offered_now(input)) } else { fine.level };
        let observed = clean(newest.max(fine.level));
        let level = offered.get(objective.quantile).max(observed);
        let movable = (level - background).max(0.0);
        let wanted = |movable: f64| Self::wanted(input, background, movable);
        let further = if ahead.is_zero() || fine.rung == Rung::Reactive {
            level
        } else {
            // The median: a far quantile is wide, and a false start moves entries for nothing.
            level.max(clean(input.outlook.at(objective.horizon + ahead).p50))
        };
        let movable_ahead = (further - background).max(0.0);
        Self {
            offered,
            observed: clean(input.lead.load),
            movable,
            background,
            wanted_lead: wanted(movable),
            wanted_lead_ahead: wanted(movable_ahead),
            wanted_lead_held: wanted((further.max(clean(fine.peak.p90)) - background).max(0.0)),
            over: background + movable_ahead * f64::from(present_lead) / 1000.0 - objective.lead_load,
        }
    }

    /// Points over the objective; 100 is saturation.
    pub(super) fn urgency(&self, input: &Input<'_>) -> f64 {
        let objective = &input.policy.objective;
        100.0 * self.over / (objective.saturation - objective.lead_load).max(0.01)
    }

    /// A resource's load at the horizon with `share` of the route's entries.
    pub(super) fn predicted(&self, lead: &Resource, resource: &Resource, share: f64) -> f64 {
        let background = if resource.name == lead.name { self.background } else { resource.background };
        clean(background + share * self.movable * lead.capacity / resource.capacity.max(1e-3))
    }

    fn wanted(input: &Input<'_>, background: f64, movable: f64) -> f64 {
        if input.lead.endpoints == 0 || input.lead.drained {
            return 0.0;
        }
        let least = f64::from(input.policy.limits.min_lead_share) / 1000.0;
        if movable <= 1e-9 {
            return 1.0;
        }
        ((input.policy.objective.lead_load - background) / movable).clamp(least.min(1.0), 1.0)
    }
}

/// What is offered by the newest personas, which are ahead of the series by the step that is not over yet.
fn offered_now(input: &Input<'_>) -> f64 {
    let elsewhere: f64 = input.alternates.iter().map(|alternate| alternate.own_cores.max(0.0)).sum();
    input.lead.load + elsewhere / input.lead.capacity.max(1e-3)
}

/// Loads beyond 16 times the capacity and numbers that are none tell nothing more than "far too much" and "nothing".
fn clean(load: f64) -> f64 {
    if load.is_nan() { 0.0 } else { load.clamp(0.0, 16.0) }
}
