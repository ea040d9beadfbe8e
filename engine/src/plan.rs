//! The planner: one tick of one route. Gates first, then what the lead must shed, then who takes it.

mod demand_on_lead;
mod ejection;
mod memory;
mod step;

use std::time::Duration;

use crate::{
    allocate::{self, Allocation, Ask, fill, may_take},
    apportion::permille,
    decision::{Decision, Phase, Share, Suppression, Trigger},
    forecast::{Forecast, Quantile, Quantiles},
    policy::{FailurePolicy, Policy},
    resource::{Freshness, Resource},
    score::calculate_score,
};

use demand_on_lead::DemandOnLead;
pub use memory::Memory;
use step::Step;

/// What one tick is planned from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The caller's clock; any epoch, as long as it is always the same.
    pub now: Duration,
    /// The lead.
    pub lead: &'a Resource,
    /// Its alternates, in the order of the route.
    pub alternates: &'a [Resource],
    /// What is offered to the lead, ahead.
    pub outlook: &'a Outlook,
    /// Work of other routes that is planned but not yet seen, in cores: lead first, then the alternates.
    pub unseen: &'a [f64],
    /// The shares that entries follow now (permille, lead first); those of the last plan where it is empty.
    pub in_force: &'a [u16],
    /// How old the newest step of the lead's series is.
    pub age: Duration,
    /// What the route asks for.
    pub policy: &'a Policy,
}

/// Forecasts of the offered load (the lead's load if everything went to it) on two time scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Short period: plans shares.
    pub fine: Forecast,
    /// Long period: starts warm-ups, tells people what comes.
    pub coarse: Forecast,
}

impl Outlook {
    /// Quantiles at a horizon, from the series that reaches that far.
    #[must_use]
    pub fn at(&self, after: Duration) -> Quantiles {
        if after <= self.fine.reach() { self.fine.at(after) } else { self.coarse.at(after) }
    }

    /// The first moment at which the offered load reaches `level`, if either series sees one.
    #[must_use]
    pub fn reaches(&self, level: f64, quantile: Quantile) -> Option<Duration> {
        self.fine.reaches(level, quantile).or_else(|| self.coarse.reaches(level, quantile))
    }
}

/// Plans one tick. Same input, same output; the order of alternates does not matter except between equals.
#[must_use]
pub fn plan(input: &Input<'_>, mut memory: Memory) -> (Decision, Memory) {
    let present = memory.targets_for(input);
    let troubles = memory.observe(input, &present);
    let alternates = ejection::gated(input.alternates, &troubles);
    let input = &Input { alternates: &alternates, ..*input };
    let held = ejection::held(&present, &troubles, input.policy.limits.max_step);
    memory.count_saturated(input);
    let demand = DemandOnLead::assess(input, &memory);
    memory.count_hits(input, &demand, &present);

    let step = step::decide(input, &demand, &memory, &present, held != present);
    let (targets, insufficient) = place(input, &demand, step, &present, &held);
    let warm = memory.remember(input, step, &present, &targets);
    let permille = warmed(&targets, &warm, memory.effective_of(targets.len()), demand.most_lead);

    let mut decision = explain(input, &demand, step, &memory, &targets, &permille, &warm, insufficient);
    for (share, trouble) in decision.shares.iter_mut().skip(1).zip(troubles) {
        share.trouble = trouble;
    }
    memory.effective = Some(permille);
    (decision, memory)
}

/// Turns a step into target shares, lead first, and tells whether nobody had room. `held` is what each may hold on to.
fn place(
    input: &Input<'_>,
    demand: &DemandOnLead,
    step: Step,
    present: &[u16],
    held: &[u16],
) -> (Vec<u16>, bool) {
    let lead = match step {
        Step::Hold(Suppression::NoPersonas) if input.policy.failure == FailurePolicy::LeadOnly => {
            return (lead_only(input), false);
        }
        Step::Hold(_) => return (present.to_vec(), false),
        Step::Place { lead, .. } => lead,
    };
    let fill_beside = |lead: u16| {
        let ask = Ask {
            shed: 1.0 - f64::from(lead) / 1000.0,
            demand: demand.movable * input.lead.capacity,
            present: &held[1..],
            unseen: input.unseen.get(1..).unwrap_or_default(),
            work: &demand.work,
        };
        fill(input.alternates, ask, input.policy)
    };
    let filled = fill_beside(lead);
    let lead_room = (demand.wanted_lead - f64::from(lead) / 1000.0).max(0.0);
    if filled.unplaced <= lead_room + 1e-9 && (input.lead.endpoints > 0 || filled.unplaced <= 1e-9) {
        let mut shares = vec![f64::from(lead) / 1000.0 + filled.unplaced];
        shares.extend(filled.shares);
        return (permille(&shares), false);
    }
    let parts = parts_of_excess(input, demand, present, held);
    let excess_beside = |lead: u16, filled: Allocation| -> Vec<f64> {
        let placed = std::iter::once(f64::from(lead) / 1000.0).chain(filled.shares);
        placed.zip(&parts).map(|(share, part)| share + filled.unplaced * part).collect()
    };
    // Straight to where it ends, if that is within this step: a way there in ever smaller steps is only churn.
    let wanted = lead.min((demand.wanted_lead * 1000.0) as u16);
    let end = excess_beside(wanted, fill_beside(wanted));
    let within = end[0] * 1000.0 >= f64::from(lead);
    (permille(&if within { end } else { excess_beside(lead, filled) }), true)
}

/// How what found no room is spread, lead first: over everybody who passes the gates and speaks, by headroom; over
/// whoever is there, if nobody does. Sums to 1.
fn parts_of_excess(input: &Input<'_>, demand: &DemandOnLead, present: &[u16], held: &[u16]) -> Vec<f64> {
    let everybody: Vec<&Resource> = std::iter::once(input.lead).chain(input.alternates).collect();
    let all = allocate::spread(&everybody, input.policy);
    let gated = |i: usize| i == 0 || (held[i] == present[i] && may_take(everybody[i], held[i]));
    let work = |i: usize| if i == 0 { 1.0 } else { demand.work[i - 1] };
    let open: Vec<f64> =
        all.iter().enumerate().map(|(i, &part)| if gated(i) { part / work(i) } else { 0.0 }).collect();
    let sum: f64 = open.iter().sum();
    if sum > 0.0 { open.into_iter().map(|part| part / sum).collect() } else { all }
}

fn lead_only(input: &Input<'_>) -> Vec<u16> {
    let mut shares = vec![0; input.alternates.len() + 1];
    shares[0] = 1000;
    shares
}

/// Shares for this tick: what an alternate is not yet warm for stays where it was, with other alternates as far as
/// they had it, else with the lead, up to `most_lead`. A saturated lead is worse than a cold alternate.
fn warmed(targets: &[u16], warm: &[f64], before: Option<&[u16]>, most_lead: f64) -> Vec<u16> {
    let target = |i: usize| f64::from(targets[i]) / 1000.0;
    let mut shares: Vec<f64> = (0..targets.len()).map(|i| target(i) * warm[i]).collect();
    let mut waiting = 1.0 - shares.iter().sum::<f64>();
    let held =
        targets.iter().zip(before.unwrap_or_default()).map(|(&target, &had)| had * u16::from(target > 0));
    for (share, had) in shares.iter_mut().zip(held).skip(1) {
        let kept = (f64::from(had) / 1000.0 - *share).clamp(0.0, waiting.max(0.0));
        *share += kept;
        waiting -= kept;
    }
    let lead = waiting.min((most_lead - shares[0]).max(0.0));
    shares[0] += lead;
    waiting -= lead;
    let lacking: Vec<f64> = (0..targets.len()).map(|i| (target(i) - shares[i]).max(0.0)).collect();
    let all: f64 = lacking.iter().sum();
    if all > 0.0 {
        shares.iter_mut().zip(lacking).for_each(|(share, lacking)| *share += waiting * lacking / all);
    } else {
        shares[0] += waiting;
    }
    permille(&shares)
}

#[allow(clippy::too_many_arguments, reason = "everything that a decision tells people comes together here")]
fn explain(
    input: &Input<'_>,
    demand: &DemandOnLead,
    step: Step,
    memory: &Memory,
    targets: &[u16],
    permille: &[u16],
    warm: &[f64],
    insufficient: bool,
) -> Decision {
    let before = memory.effective.as_deref().unwrap_or(permille);
    let moved = before != permille;
    let trigger = match step {
        Step::Place { trigger, .. } if moved => Some(trigger),
        Step::Hold(Suppression::NoPersonas) if moved => Some(Trigger::Membership),
        Step::Hold(_) if moved => Some(Trigger::WarmUp),
        _ => None,
    };
    let warming = targets.iter().zip(warm).any(|(&t, &w)| t > 0 && w < 1.0);
    let shares = std::iter::once(input.lead)
        .chain(input.alternates)
        .enumerate()
        .map(|(i, resource)| Share {
            resource: resource.name.clone(),
            permille: permille[i],
            target: targets[i],
            warm: (i > 0 && targets[i] > 0).then_some(warm[i]),
            score: calculate_score(&resource.scores, &input.policy.weights),
            parts: resource.scores,
            load: resource.load,
            predicted: demand.predicted(input, i, f64::from(permille[i]) / 1000.0),
            freshness: resource.freshness,
            readiness: resource.readiness,
            work: demand.work_on(i),
            trouble: None,
        })
        .collect();
    Decision {
        at: input.now,
        phase: phase(input, memory, permille[0], warming),
        trigger,
        horizon: input.policy.objective.horizon,
        offered: demand.offered,
        observed: demand.observed,
        objective: input.policy.objective.lead_load,
        rung: input.outlook.fine.rung,
        before: before.first().copied().unwrap_or(1000),
        need: 1000 - (demand.wanted_lead * 1000.0) as u16,
        shares,
        suppressed_by: match step {
            Step::Hold(why) if why != Suppression::Hits || demand.over > 0.0 => Some(why),
            _ => None,
        },
        insufficient,
    }
}

fn phase(input: &Input<'_>, memory: &Memory, lead: u16, warming: bool) -> Phase {
    const RECENT: Duration = Duration::from_secs(10);
    let recently = |at: Option<Duration>| at.is_some_and(|at| input.now.saturating_sub(at) < RECENT);
    if input.lead.freshness != Freshness::Fresh {
        Phase::Degraded
    } else if warming {
        Phase::WarmingUp
    } else if lead == 1000 {
        Phase::Steady
    } else if recently(memory.last_shed) && memory.last_shed >= memory.last_return {
        Phase::Shifting
    } else if recently(memory.last_return) {
        Phase::Returning
    } else {
        Phase::Shifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cold_alternate_cannot_take_yet_stays_where_it_was() {
        let cases = [
            (1.0, 1.0, Some([500, 500, 0]), [400, 400, 200]),
            (0.1, 1.0, Some([500, 500, 0]), [480, 500, 20]),
            (0.1, 1.0, Some([600, 400, 0]), [580, 400, 20]),
            (0.1, 1.0, None, [580, 400, 20]),
            (0.1, 0.5, None, [500, 400, 100]),
            (0.1, 0.3, None, [400, 400, 200]),
        ];
        for (warm, most_lead, before, expected) in cases {
            let before: Option<&[u16]> = before.as_ref().map(<[u16; 3]>::as_slice);
            let shares = warmed(&[400, 400, 200], &[1.0, 1.0, warm], before, most_lead);
            assert_eq!(shares, expected, "{warm:?} after {before:?} with {most_lead} for the lead");
        }
    }
}
