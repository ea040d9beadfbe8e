//! How old a persona is, whatever the node's clock says.

use std::{collections::HashMap, time::Duration};

use foreshift_api::ResourcePersona;
use foreshift_engine::{
    persona::{
        publish::{LONGEST, SHORTEST, Snapshot},
        score::Scores,
    },
    resource::Freshness,
};
use k8s_openapi::jiff::Timestamp;

use crate::time::elapsed;

/// Published figures are rounded: what an agent took for just below its threshold may read as just above.
const ROUNDING: f64 = 0.001;

/// When each persona was last seen to change.
#[derive(Debug, Default)]
pub struct Sightings(HashMap<String, Sighting>);

#[derive(Debug)]
struct Sighting {
    observed_at: Option<Timestamp>,
    /// When a change arrived; `None` until the first one after a start.
    arrived: Option<Timestamp>,
}

impl Sightings {
    /// Takes note of a persona that arrived `now`.
    pub fn note(&mut self, persona: &ResourcePersona, now: Timestamp) {
        let Some(name) = &persona.metadata.name else { return };
        let observed_at = observed_at(persona);
        match self.0.get_mut(name) {
            Some(sighting) if sighting.observed_at != observed_at => {
                *sighting = Sighting { observed_at, arrived: Some(now) };
            }
            Some(_) => {}
            None => drop(self.0.insert(name.clone(), Sighting { observed_at, arrived: None })),
        }
    }

    /// Fresh, aged or absent, by the period at which the agent publishes a persona like this one.
    #[must_use]
    pub fn freshness(&self, persona: &ResourcePersona, now: Timestamp) -> Freshness {
        let period = if leads(persona) { SHORTEST } else { LONGEST };
        Freshness::of(self.age(persona, now), period)
    }

    /// The smaller of the age by the node's clock and the time since the last change arrived here: a node whose clock
    /// is behind is as fresh as its reports, and one that fell silent before we started is as old as it says.
    fn age(&self, persona: &ResourcePersona, now: Timestamp) -> Option<Duration> {
        let by_clock = elapsed(observed_at(persona)?, now);
        let sighting = persona.metadata.name.as_ref().and_then(|name| self.0.get(name));
        match sighting.and_then(|sighting| sighting.arrived) {
            Some(arrived) => Some(by_clock.min(elapsed(arrived, now))),
            None => Some(by_clock),
        }
    }
}

/// Whether its agent publishes this persona every two seconds.
fn leads(persona: &ResourcePersona) -> bool {
    let Some(status) = &persona.status else { return false };
    let Some(capacity) = &status.capacity else { return false };
    let cores = capacity.cpu.capacity.get();
    let observed = (!status.workloads.is_empty() && cores > 0.0)
        .then(|| status.workloads.iter().map(|w| w.cpu.used.get()).sum::<f64>() / cores - ROUNDING);
    let scores = Scores { capacity: 0.0, stability: 0.0, affinity: 0.0, cost: 0.0 };
    Snapshot { scores, load: capacity.load.get() - ROUNDING, observed }.leads()
}

fn observed_at(persona: &ResourcePersona) -> Option<Timestamp> {
    Some(persona.status.as_ref()?.observed_at.as_ref()?.0)
}
