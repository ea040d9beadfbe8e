//! What personas and plan say of each resource, in the numbers that a choice needs.

use super::Tick;
use crate::{
    allocate::{LEAST_CAPACITY, MOST_CAPACITY, headroom, may_take, room, within},
    policy::Objective,
    resource::{Freshness, Readiness, Resource},
};

/// So many standard deviations more than its part may a router have in flight.
const CHANCE: f64 = 2.0;

/// Cores of a resource when nothing is known of any.
const UNKNOWN_CAPACITY: f64 = 1.0;

/// Which gates a resource passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// No endpoints.
    #[default]
    Gone,
    /// Drained or shown to be unfit.
    Barred,
    /// Too little is known of it, or it is unsteady.
    Doubtful,
    /// All.
    Open,
}

/// What the plan and the personas say of a resource; holds until the next tick.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) access: Access,
    /// Predicted work a second at the objective.
    pub(super) rate: f64,
    /// Entries in flight at the objective.
    pub(super) limit: f64,
    /// Cores that its background leaves.
    pub(super) cores: f64,
    /// Part of all that which it may have while it is cold, 0 to 1.
    pub(super) warm: f64,
}

/// What a tick says of each resource, lead first, where entries keep `intensity` cores busy for each second that they are
/// predicted to take.
pub(super) fn limits(tick: &Tick<'_>, intensity: f64) -> Vec<Limits> {
    let Objective { lead_load, alternate_load, .. } = tick.policy.objective;
    let part = tick.part();
    let neutral = neutral_capacity(tick);
    let limits_of = |resource: &Resource, access: Access, place: usize, objective: f64, most: f64| {
        let (background, capacity) = (resource.background, capacity(resource).unwrap_or(neutral));
        let unseen = tick.unseen.get(place).copied().unwrap_or(0.0);
        let rate = room(background, capacity, unseen, objective).min(most.max(0.0)).min(MOST_CAPACITY) * part;
        let in_flight = in_flight_at(objective, background, capacity, intensity);
        let limit = if rate > 0.0 { here(in_flight, part) } else { 0.0 };
        Limits {
            access,
            rate: rate / intensity,
            limit,
            cores: headroom(background, capacity, 1.0),
            warm: 1.0,
        }
    };
    let mut all = vec![limits_of(tick.lead, lead_access(tick.lead), 0, lead_load, MOST_CAPACITY)];
    for (i, alternate) in tick.alternates.iter().enumerate() {
        // What is not known any more holds what it has and gets no more.
        let most = if alternate.freshness == Freshness::Fresh { MOST_CAPACITY } else { alternate.own_cores };
        let access = access(alternate, tick.present.get(i).copied().unwrap_or(0));
        let warm = tick.warm.get(i).copied().unwrap_or(1.0);
        let warm = if warm.is_nan() { 1.0 } else { warm.clamp(0.0, 1.0) };
        all.push(Limits { warm, ..limits_of(alternate, access, i + 1, alternate_load, most) });
    }
    all
}

/// Capacity in cores, if anything is known of it.
fn capacity(resource: &Resource) -> Option<f64> {
    let known = resource.freshness != Freshness::Absent || resource.capacity > LEAST_CAPACITY;
    (known && resource.capacity >= 0.0).then(|| resource.capacity.clamp(LEAST_CAPACITY, MOST_CAPACITY))
}

/// What an unknown resource counts for: the mean of the others, as unknown endpoints weigh in gRPC's client-side
/// weighted round robin (proposal A58).
fn neutral_capacity(tick: &Tick<'_>) -> f64 {
    let known = std::iter::once(tick.lead).chain(tick.alternates).filter_map(capacity);
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), cores| (sum + cores, count + 1.0));
    if count > 0.0 { sum / count } else { UNKNOWN_CAPACITY }
}

/// Entries that a resource has in flight on average when it stands at its objective: Little's law over the queue of
/// Sakasegawa, "An approximation formula Lq = a rho^b / (1 - rho)" (1977), for the cores that its background leaves. Entries
/// that need a core for only a part of their time are under way for the rest of it without making anybody wait.
fn in_flight_at(objective: f64, background: f64, capacity: f64, intensity: f64) -> f64 {
    let background = within(background, 0.0, 0.99);
    let cores = capacity * (1.0 - background);
    let load = within((objective - background) / (1.0 - background), 0.0, 0.95);
    cores * load / intensity + load.powf((2.0 * (cores + 1.0)).sqrt()) / (1.0 - load)
}

/// What one of several routers may have of `all` in flight. Each entry comes to one of them at random, so a router has its
/// part on average, and by chance (binomially) more: held to the mean, two routers would turn away half of what the
/// resource has room for.
fn here(all: f64, part: f64) -> f64 {
    all * part + CHANCE * (all * part * (1.0 - part)).sqrt()
}

fn lead_access(lead: &Resource) -> Access {
    match lead {
        Resource { endpoints: 0, .. } => Access::Gone,
        Resource { drained: true, .. } => Access::Barred,
        _ => Access::Open,
    }
}

fn access(alternate: &Resource, present: u16) -> Access {
    match alternate {
        Resource { endpoints: 0, .. } => Access::Gone,
        Resource { drained: true, .. } | Resource { readiness: Readiness::NotReady, .. } => Access::Barred,
        alternate if may_take(alternate, present) => Access::Open,
        _ => Access::Doubtful,
    }
}
