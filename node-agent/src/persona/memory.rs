//! What outlives a restart of the agent: the newest status, and the exact averages behind its rounded figures.

use std::time::Duration;

use foreshift_api::{Decimal, resource_persona::ResourcePersonaStatus};
use foreshift_engine::persona::{
    affinity::Tally,
    decay::{Decayed, DecayedCount},
};
use serde::{Deserialize, Serialize};

use super::{Observed, Persona, series::Series};

/// A published error ratio counts as that of so many entries.
const PUBLISHED_ENTRIES: f64 = 1000.0;

/// A persona at rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// As it was published, or would have been.
    pub status: ResourcePersonaStatus,
    /// The slow signals.
    pub averages: Averages,
}

/// Sums and weights of the decayed averages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Part of the time in which the node was Ready.
    pub ready: (f64, f64),
    /// Contention.
    pub contention: (f64, f64),
    /// Restarts and OOM kills.
    pub restarts: f64,
    /// Entries that the observed workloads answered, and the errors among them.
    #[serde(default)]
    pub answered: (f64, f64),
}

impl Memory {
    /// When the newest sample in it was taken, in seconds since 1970; zero where it does not say.
    #[must_use]
    pub fn unix(&self) -> f64 {
        self.status.observed_at.as_ref().map_or(0.0, |at| at.0.as_millisecond() as f64 / 1000.0)
    }

    /// The one that saw more; the first where both end at the same time.
    #[must_use]
    pub fn newer(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) if second.unix() > first.unix() => Some(second),
            (first, second) => first.or(second),
        }
    }
}

impl From<ResourcePersonaStatus> for Memory {
    /// The published means count as if they had been seen for long.
    fn from(status: ResourcePersonaStatus) -> Self {
        let averages = status.stability.as_ref().map_or_else(Averages::default, |stability| Averages {
            ready: (stability.ready_ratio.get(), 1.0),
            contention: (stability.contention.get(), 1.0),
            restarts: stability.restarts.get(),
            answered: (PUBLISHED_ENTRIES, PUBLISHED_ENTRIES * stability.error_ratio.get()),
        });
        Self { status, averages }
    }
}

impl Persona {
    /// Goes on from `memory`; the time up to `unix` counts as not seen.
    pub(super) fn remember(&mut self, memory: Memory, unix: f64) {
        let away = Duration::try_from_secs_f64(unix - memory.unix()).unwrap_or_default();
        let Memory { status, averages } = memory;
        self.ready = Decayed::from_parts(averages.ready.0, averages.ready.1);
        self.ready.fade(away, self.half_life);
        self.contention = Decayed::from_parts(averages.contention.0, averages.contention.1);
        self.contention.fade(away, self.half_life);
        self.restarts = DecayedCount::new(averages.restarts);
        self.restarts.observe(0.0, away, self.half_life);
        self.answered = DecayedCount::new(averages.answered.0);
        self.errors = DecayedCount::new(averages.answered.1);
        self.answered.observe(0.0, away, self.half_life);
        self.errors.observe(0.0, away, self.half_life);
        let (then, now) = (&status.boot_id, &self.identity.boot_id);
        if then != now && !then.is_empty() && !now.is_empty() {
            self.boot();
        }
        for class in &status.affinity {
            let ratio = class.error_ratio.map_or(0.0, Decimal::get);
            let mean = class.mean_service_time.map(Decimal::get);
            self.outcomes.resume(&class.class, Tally::resumed(class.samples as f64, ratio, mean));
        }
        self.outcomes.fade(away);
        if let Some(history) = &status.history {
            self.load = Series::resumed(&history.fine.load, &history.coarse.load, history);
            for workload in &status.workloads {
                let series = Series::resumed(&workload.fine, &workload.coarse, history);
                let key = (workload.namespace.clone(), workload.service.clone());
                self.workloads.insert(key, Observed { series, ..Observed::default() });
            }
        }
        self.conditions = status.conditions;
    }

    /// The node was started anew: what it suffered from before may be gone with that boot, that it ended is a restart.
    fn boot(&mut self) {
        (self.ready, self.contention) = Default::default();
        (self.answered, self.errors) = Default::default();
        self.restarts.observe(1.0, Duration::ZERO, self.half_life);
    }

    pub(super) fn averages(&self) -> Averages {
        Averages {
            ready: self.ready.parts(),
            contention: self.contention.parts(),
            restarts: self.restarts.get(),
            answered: (self.answered.get(), self.errors.get()),
        }
    }
}
