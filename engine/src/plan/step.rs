//! The decision proper: hold, or place another share on the lead.

use std::time::Duration;

use super::{DemandOnLead, Input, Memory};
use crate::{
    allocate::may_take,
    decision::{Suppression, Trigger},
    forecast::Rung,
    resource::Freshness,
};

/// What this tick does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// Targets stay.
    Hold(Suppression),
    /// The lead gets this share (permille), the rest is placed anew.
    Place { lead: u16, trigger: Trigger },
}

/// Ticks in a row over the objective: few when far over, more when mildly (docs/planner.md has the measurements).
const FAR_HITS: u32 = 2;
const MILD_HITS: u32 = 4;
const LOW_HITS: u32 = 3;

/// After a hard step nothing more is shed for this long: what it changed must be programmed, worked off and published
/// before it can be judged.
const SETTLE: Duration = Duration::from_secs(6);

/// Unless that much more (permille) turns out to be needed: the first persona of a jump shows the half of it.
const ESCALATION: u16 = 50;

/// A move away smaller than this (permille) is not worth a change.
const SMALLEST_SHED: u16 = 20;
/// A move back smaller than this is not worth a change, unless it is the last one.
const SMALLEST_RETURN: u16 = 50;

/// What one tick does, from gates to scores.
/// `silent`: an alternate has a share and no voice.
pub(super) fn decide(
    input: &Input<'_>,
    demand: &DemandOnLead,
    memory: &Memory,
    present: &[u16],
    silent: bool,
) -> Step {
    let shed = shed(input, demand, memory, present[0]);
    membership(input, memory, present)
        .or_else(|| ignorance(input, shed))
        .or_else(|| shed.filter(|step| matches!(step, Step::Place { .. })))
        .or_else(|| silent.then_some(Step::Place { lead: present[0], trigger: Trigger::Silence }))
        .or(shed)
        .or_else(|| rebalance(memory, present[0]))
        .or_else(|| give_back(input, demand, memory, present[0]))
        .unwrap_or(Step::Hold(Suppression::Hits))
}

/// Whoever cannot take entries gets none, at once.
fn membership(input: &Input<'_>, memory: &Memory, present: &[u16]) -> Option<Step> {
    let place = |lead| Some(Step::Place { lead, trigger: Trigger::Membership });
    let somebody = input.alternates.iter().zip(&present[1..]).any(|(a, &p)| may_take(a, p));
    if input.lead.endpoints == 0 && present[0] > 0 && somebody {
        return place(0);
    }
    if input.lead.drained && present[0] > 0 && somebody {
        return place(present[0].saturating_sub(input.policy.limits.max_step.max(1)));
    }
    let lost = input.alternates.iter().zip(&present[1..]).any(|(a, &p)| p > 0 && !may_take(a, p));
    if lost || memory.members_changed {
        return place(if input.lead.endpoints > 0 || !somebody { present[0] } else { 0 });
    }
    None
}

/// Without the lead's persona shares are held. Only more is shed, while it is not too old and others still speak: by the
/// forecast that runs on and by what they do.
fn ignorance(input: &Input<'_>, shed: Option<Step>) -> Option<Step> {
    let all_absent = input.alternates.iter().all(|a| a.freshness == Freshness::Absent);
    let somebody_speaks = input.alternates.iter().any(|a| a.freshness == Freshness::Fresh);
    let more = shed.filter(|step| matches!(step, Step::Place { .. }));
    match input.lead.freshness {
        Freshness::Fresh => None,
        Freshness::Aged if somebody_speaks && more.is_some() => more,
        Freshness::Absent if all_absent => Some(Step::Hold(Suppression::NoPersonas)),
        _ => Some(Step::Hold(Suppression::StalePersona)),
    }
}

fn shed(input: &Input<'_>, demand: &DemandOnLead, memory: &Memory, lead: u16) -> Option<Step> {
    let hits = &memory.hits;
    let saturated = memory.saturated();
    let due = match input.outlook.fine.rung {
        Rung::Reactive => saturated,
        _ => saturated || hits.far >= FAR_HITS || hits.mild >= MILD_HITS,
    };
    if !due || demand.over <= 0.0 {
        return None;
    }
    let wanted = floor_permille(demand.wanted_lead_ahead);
    if wanted + SMALLEST_SHED > lead {
        return Some(Step::Hold(Suppression::DeadBand));
    }
    let settling = memory.last_hard.is_some_and(|at| input.now.saturating_sub(at) < SETTLE);
    if settling && !(saturated && wanted + ESCALATION <= lead) {
        return Some(Step::Hold(Suppression::Settling));
    }
    if saturated {
        return Some(Step::Place { lead: wanted, trigger: Trigger::Saturation });
    }
    let gentle = lead.saturating_sub(input.policy.limits.max_step);
    Some(Step::Place { lead: wanted.max(gentle), trigger: Trigger::Forecast })
}

fn rebalance(memory: &Memory, lead: u16) -> Option<Step> {
    (memory.hits.overfull >= MILD_HITS).then_some(Step::Place { lead, trigger: Trigger::Rebalance })
}

/// Return on observed load only, and never to a share that the forecast would take away again.
fn give_back(input: &Input<'_>, demand: &DemandOnLead, memory: &Memory, lead: u16) -> Option<Step> {
    if lead >= 1000 || memory.hits.low < LOW_HITS {
        return None;
    }
    let hold_down = input.policy.limits.hold_down;
    if memory.last_shed.is_some_and(|at| input.now.saturating_sub(at) < hold_down) {
        return Some(Step::Hold(Suppression::HoldDown));
    }
    let wanted = floor_permille(demand.wanted_lead_held);
    if wanted < 1000 && wanted < lead + SMALLEST_RETURN {
        return Some(Step::Hold(Suppression::DeadBand));
    }
    let lead = wanted.min(lead + input.policy.limits.max_step);
    Some(Step::Place { lead, trigger: Trigger::Headroom })
}

fn floor_permille(share: f64) -> u16 {
    (share * 1000.0).floor().clamp(0.0, 1000.0) as u16
}
