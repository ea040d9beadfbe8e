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

use crate::elapsed;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, later, node};

    #[test]
    fn a_busy_persona_ages_within_seconds_and_a_quiet_one_within_minutes() {
        let sightings = Sightings::default();
        let busy = node("n1").running("a", 0.4).at_load(0.5).persona(NOW);
        let quiet = node("n2").at_load(0.1).persona(NOW);
        let seen = |persona, seconds| sightings.freshness(persona, later(seconds));
        assert_eq!((seen(&busy, 6), seen(&quiet, 6)), (Freshness::Fresh, Freshness::Fresh));
        assert_eq!((seen(&busy, 7), seen(&quiet, 170)), (Freshness::Aged, Freshness::Fresh));
        assert_eq!((seen(&busy, 181), seen(&quiet, 181)), (Freshness::Absent, Freshness::Absent));
    }

    #[test]
    fn a_node_whose_clock_is_behind_is_as_fresh_as_its_reports() {
        let mut sightings = Sightings::default();
        let behind = |seconds: i64| node("n1").running("a", 0.4).at_load(0.5).persona(later(seconds - 60));
        sightings.note(&behind(0), NOW);
        assert_eq!(sightings.freshness(&behind(0), NOW), Freshness::Aged, "nothing has moved yet");
        sightings.note(&behind(2), later(2));
        assert_eq!(sightings.freshness(&behind(2), later(3)), Freshness::Fresh);
        assert_eq!(sightings.freshness(&behind(2), later(9)), Freshness::Aged);
    }

    #[test]
    fn a_node_whose_clock_is_ahead_ages_by_its_reports_too() {
        let mut sightings = Sightings::default();
        let ahead = |seconds: i64| node("n1").running("a", 0.4).at_load(0.5).persona(later(seconds + 3600));
        sightings.note(&ahead(0), NOW);
        sightings.note(&ahead(2), later(2));
        assert_eq!(sightings.freshness(&ahead(2), later(3)), Freshness::Fresh);
    }

    #[test]
    fn a_persona_without_an_observation_is_absent() {
        assert_eq!(Sightings::default().freshness(&ResourcePersona::default(), NOW), Freshness::Absent);
    }
}
