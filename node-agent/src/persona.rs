//! The persona as a fold over samples: pure, with the time in the samples.
//!
//! [`Persona::observe`] takes a sample in, [`Persona::report`] gives the status to publish and what the publish
//! rule compares. Loads and scores are the engine's; what outlives a restart is a [`Memory`].

mod answers;
mod budget;
mod memory;
mod series;
mod status;

use std::{collections::BTreeMap, time::Duration};

use foreshift_api::{
    Span,
    resource_persona::{CostSpec, ResourcePersonaStatus, WorkloadSpec},
};
use foreshift_engine::persona::{
    affinity::{self, Outcomes, Tally},
    decay::{Decayed, DecayedCount},
    load::{self, Dimension, Limit, Usage},
    publish::Snapshot,
    score::{self, PowerModel, Prices, Scores, Steadiness},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use self::{answers::Answers, series::Series};
use crate::{
    entries::Answered,
    sample::{Sample, WorkloadSample},
};

pub use self::{
    budget::STATUS_BYTES,
    memory::{Averages, Memory},
};

/// Time after which an event counts half, unless told otherwise.
pub const HALF_LIFE: Span = Span::from_secs(6 * 3600);

/// What is shown of CPU, memory and network is a mean that forgets half in this time: calmer than one sample,
/// and no older than a publish.
const SHOWN_HALF_LIFE: Duration = Duration::from_secs(1);

/// Power is a mean that forgets half in this time.
const POWER_HALF_LIFE: Duration = Duration::from_secs(10);

/// As many entries without errors are believed in beforehand: one error is no unsteady node.
const ERRORS_PRIOR: f64 = 100.0;

/// What the node costs, as far as the command line knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costing {
    /// Prices; those in the Node's labels win, and those in a persona's `spec.cost` over both.
    pub prices: Prices,
    /// Power between idle and busy.
    pub power: Option<PowerModel>,
    /// Hourly cost that scores 50.
    pub reference: Option<f64>,
}

/// What does not change while the agent runs.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Where the CPU figures come from.
    pub source: String,
    /// The kernel's boot id.
    pub boot_id: String,
}

/// What the API server says of the node while it is sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// Whether the Node is Ready; `None` while that is not known.
    pub ready: Option<bool>,
    /// The persona's `spec.cost`.
    pub cost: Option<CostSpec>,
    /// Prices in the Node's labels.
    pub labels: Prices,
    /// The persona's `spec.workloads`.
    pub workloads: Vec<WorkloadSpec>,
    /// Bytes of memory that the Node lets its pods have: what is reserved for the system and what the kubelet evicts at
    /// are taken off already.
    pub allocatable: Option<f64>,
    /// Whether the kubelet says that memory is short and evicts (the Node's condition `MemoryPressure`).
    pub evicts: bool,
}

/// What is published, and what the publish rule compares.
#[derive(Clone, Debug)]
pub struct Report {
    /// The agent's part of the status; `sequence` is the publisher's.
    pub status: ResourcePersonaStatus,
    /// Scores and load.
    pub snapshot: Snapshot,
}

/// The state of the fold.
#[derive(Debug)]
pub struct Persona {
    identity: Identity,
    costing: Costing,
    half_life: Duration,
    newest: Option<Sample>,
    failure: Option<String>,
    shown: Shown,
    power: Decayed,
    load: Series,
    workloads: BTreeMap<(String, String), Observed>,
    ready: Decayed,
    contention: Decayed,
    restarts: DecayedCount,
    answered: DecayedCount,
    errors: DecayedCount,
    outcomes: Outcomes,
    conditions: Vec<Condition>,
}

/// What is kept of one observed Service.
#[derive(Debug, Default)]
struct Observed {
    series: Series,
    cpu: Calmed,
    memory: Usage,
    pods: usize,
    answers: Answers,
}

/// The three dimensions as they are shown.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    cpu: Calmed,
    memory: Calmed,
    network: Calmed,
    disk: Option<Decayed>,
}

/// Short means of one dimension, and the newest figures beside them.
#[derive(Clone, Copy, Debug, Default)]
struct Calmed {
    newest: Usage,
    used: Decayed,
    pressure: Decayed,
    throttled: Decayed,
}

impl Persona {
    /// A persona that knows only its `memory`, from before `unix` (seconds since 1970).
    #[must_use]
    pub fn new(
        identity: Identity,
        costing: Costing,
        half_life: Span,
        memory: Option<Memory>,
        unix: f64,
    ) -> Self {
        let mut persona = Self {
            identity,
            costing,
            half_life: half_life.get(),
            newest: None,
            failure: None,
            shown: Shown::default(),
            power: Decayed::default(),
            load: Series::default(),
            workloads: BTreeMap::new(),
            ready: Decayed::default(),
            contention: Decayed::default(),
            restarts: DecayedCount::default(),
            answered: DecayedCount::default(),
            errors: DecayedCount::default(),
            outcomes: Outcomes::default(),
            conditions: Vec::new(),
        };
        if let Some(memory) = memory {
            persona.remember(memory, unix);
        }
        persona
    }

    /// The node was like this since the sample before.
    pub fn observe(&mut self, sample: Sample, surroundings: &Surroundings) {
        let elapsed = sample.elapsed;
        self.shown.observe(&sample);
        self.power.observe(sample.watts.unwrap_or(f64::NAN), elapsed, POWER_HALF_LIFE);
        let limit = load::limiting(&sample.cpu, &sample.memory, &sample.network);
        let limit = surroundings.limit(limit);
        self.load.push(sample.unix, limit.load);
        match surroundings.ready {
            Some(ready) => self.ready.observe(f64::from(ready), elapsed, self.half_life),
            None => self.ready.fade(elapsed, self.half_life),
        }
        let contention = score::contention(&sample.cpu, &sample.memory);
        self.contention.observe(contention, elapsed, self.half_life);
        let restarts = sample.workloads.iter().map(|workload| workload.restarts).sum();
        self.restarts.observe(restarts, elapsed, self.half_life);
        self.answered.observe(0.0, elapsed, self.half_life);
        self.errors.observe(0.0, elapsed, self.half_life);
        self.outcomes.fade(elapsed);
        self.observe_workloads(&sample);
        self.failure = None;
        self.newest = Some(sample);
    }

    /// The observed pods of a Service answered entries.
    pub fn answered(&mut self, look: &Answered) {
        let key = (look.namespace.clone(), look.service.clone());
        let Some(observed) = self.workloads.get_mut(&key) else { return };
        observed.answers.observe(look);
        for (class, batch) in &look.classes {
            self.outcomes.observe(class, *batch);
            self.answered.observe(batch.entries, Duration::ZERO, self.half_life);
            self.errors.observe(batch.errors.min(batch.entries), Duration::ZERO, self.half_life);
        }
    }

    /// The node could not be sampled; the persona says so until it can be.
    pub fn failed(&mut self, error: String) {
        self.failure = Some(error);
    }

    /// The persona now; `None` before the first sample.
    #[must_use]
    pub fn report(&mut self, surroundings: &Surroundings) -> Option<Report> {
        let sample = self.newest.as_ref()?;
        let snapshot = self.snapshot(sample, surroundings);
        let status = self.status(sample, &snapshot, surroundings);
        self.conditions.clone_from(&status.conditions);
        Some(Report { status, snapshot })
    }

    /// What a restarted agent goes on with; `None` before the first sample.
    #[must_use]
    pub fn memory(&mut self, surroundings: &Surroundings) -> Option<Memory> {
        let status = self.report(surroundings)?.status;
        Some(Memory { status, averages: self.averages() })
    }

    fn observe_workloads(&mut self, sample: &Sample) {
        let key = |workload: &WorkloadSample| (workload.namespace.clone(), workload.service.clone());
        let asked: Vec<_> = sample.workloads.iter().map(key).collect();
        self.workloads.retain(|workload, _| asked.contains(workload));
        for (key, workload) in asked.into_iter().zip(&sample.workloads) {
            let observed = self.workloads.entry(key).or_default();
            observed.series.push(sample.unix, workload.cpu.used);
            observed.cpu.observe(workload.cpu, sample.elapsed);
            (observed.memory, observed.pods) = (workload.memory, workload.pods);
            observed.answers.pass(sample.elapsed);
        }
    }

    fn snapshot(&self, sample: &Sample, surroundings: &Surroundings) -> Snapshot {
        let (cpu, capacity) = (self.shown.cpu.usage(), sample.cpu.capacity);
        let limit = surroundings.limit(self.shown.limit());
        let hourly = self.prices(surroundings).hourly(self.watts());
        let used: f64 = self.workloads.values().map(|observed| observed.cpu.usage().used).sum();
        let observed = (!self.workloads.is_empty()).then_some(used / capacity);
        Snapshot {
            scores: Scores {
                capacity: score::capacity(limit, &cpu, self.shown.disk()),
                stability: score::stability(&self.steadiness()),
                affinity: affinity::mean(
                    self.affinities(surroundings).map(|(_, tally, score)| (score, tally.entries())),
                ),
                cost: score::cost(hourly, self.costing.reference),
            },
            load: limit.load,
            observed: observed.filter(|part| part.is_finite()),
        }
    }

    fn steadiness(&self) -> Steadiness {
        Steadiness {
            ready_ratio: self.ready.mean(1.0),
            error_ratio: self.errors.get() / (self.answered.get() + ERRORS_PRIOR),
            contention: self.contention.mean(0.0),
            restarts: self.restarts.get(),
        }
    }

    /// Every class with its affinity, against what the other resources' nodes take.
    fn affinities<'a>(
        &'a self,
        surroundings: &'a Surroundings,
    ) -> impl Iterator<Item = (&'a str, &'a Tally, f64)> {
        self.outcomes.iter().map(|(class, tally)| {
            let mut references = surroundings.workloads.iter().flat_map(|workload| &workload.reference);
            let reference = references.find(|reference| reference.class == class);
            let reference = reference.map(|reference| reference.time_to_success.get());
            (class, tally, tally.affinity(reference))
        })
    }

    /// Measured where it is, else by the model.
    fn watts(&self) -> Option<f64> {
        let measured = self.newest.as_ref().and_then(|sample| sample.watts);
        if let Some(newest) = measured {
            let (sum, weight) = self.power.parts();
            return Some(if weight > 0.0 { sum / weight } else { newest });
        }
        self.costing.power.map(|power| power.watts(self.shown.cpu.usage().utilisation()))
    }

    fn prices(&self, surroundings: &Surroundings) -> Prices {
        let (labels, flags) = (surroundings.labels, self.costing.prices);
        let flags = Prices {
            node: labels.node.or(flags.node),
            licences: labels.licences.or(flags.licences),
            kilowatt_hour: labels.kilowatt_hour.or(flags.kilowatt_hour),
        };
        let Some(own) = &surroundings.cost else { return flags };
        let number = |amount: Option<foreshift_api::Decimal>| amount.map(foreshift_api::Decimal::get);
        Prices {
            node: number(own.hourly_price).or(flags.node),
            licences: number(own.license_per_hour).or(flags.licences),
            kilowatt_hour: number(own.price_per_kilowatt_hour).or(flags.kilowatt_hour),
        }
    }
}

impl Surroundings {
    /// A node whose kubelet evicts has no memory left, whatever the agent counts.
    fn limit(&self, counted: Limit) -> Limit {
        if self.evicts { counted.or(Dimension::Memory, 1.0) } else { counted }
    }
}

impl Shown {
    fn observe(&mut self, sample: &Sample) {
        self.cpu.observe(sample.cpu, sample.elapsed);
        self.memory.observe(sample.memory, sample.elapsed);
        self.network.observe(sample.network, sample.elapsed);
        match sample.disk {
            Some(part) => {
                self.disk.get_or_insert_default().observe(part, sample.elapsed, SHOWN_HALF_LIFE);
            }
            None => self.disk = None,
        }
    }

    fn disk(&self) -> Option<f64> {
        let (sum, weight) = self.disk?.parts();
        (weight > 0.0).then(|| sum / weight)
    }

    fn limit(&self) -> Limit {
        load::limiting(&self.cpu.usage(), &self.memory.usage(), &self.network.usage())
    }
}

impl Calmed {
    fn observe(&mut self, usage: Usage, elapsed: Duration) {
        let known = if usage.used.is_finite() { usage.used } else { self.newest.used };
        self.newest = Usage { used: known, ..usage };
        self.used.observe(usage.used, elapsed, SHOWN_HALF_LIFE);
        for (mean, part) in [(&mut self.pressure, usage.pressure), (&mut self.throttled, usage.throttled)] {
            mean.observe(part.unwrap_or(f64::NAN), elapsed, SHOWN_HALF_LIFE);
        }
    }

    fn usage(&self) -> Usage {
        let Usage { capacity, used, pressure, throttled } = self.newest;
        Usage {
            capacity,
            used: self.used.mean(used),
            pressure: pressure.map(|part| self.pressure.mean(part)),
            throttled: throttled.map(|part| self.throttled.mean(part)),
        }
    }
}
