//! The persona as the API shows it: rounded so that noise is no news, conditions with the time they turned.

use foreshift_api::{
    Decimal, Span,
    condition::{PersonaCondition, PersonaReason, is_true, set_condition},
    resource_persona::{
        self as api, Affinity, AffinityObserver, Capacity, CostStatus, ResourcePersonaStatus, Stability,
        WattsSource, WorkloadStatus,
    },
};
use foreshift_engine::persona::{
    load::{self, Dimension, Limit, Usage},
    publish::{Snapshot, THRESHOLDS},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{Observed, Persona, Surroundings, budget};
use crate::sample::Sample;

/// Load at which the node saturates: the default of a route.
const SATURATING: f64 = THRESHOLDS[1];

/// A node that saturates does so until it falls below this, so that the condition does not flap.
const RELIEVED: f64 = SATURATING - 0.05;

/// A pod's answer may be in it, so it is cut.
const MESSAGE_CHARS: usize = 200;

/// Units that figures are rounded to.
const MEBIBYTE: f64 = 1_048_576.0;
const KILOBYTE: f64 = 1000.0;

impl Persona {
    pub(super) fn status(
        &self,
        sample: &Sample,
        snapshot: &Snapshot,
        surroundings: &Surroundings,
    ) -> ResourcePersonaStatus {
        let at = timestamp(sample.unix);
        let limit = surroundings.limit(self.shown.limit());
        let mut status = ResourcePersonaStatus {
            observed_at: Some(Time(at)),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.identity.boot_id.clone(),
            scores: Some(api::Scores {
                capacity: snapshot.scores.capacity.round() as i32,
                stability: snapshot.scores.stability.round() as i32,
                affinity: snapshot.scores.affinity.round() as i32,
                cost: snapshot.scores.cost.round() as i32,
            }),
            capacity: Some(self.capacity(limit)),
            stability: Some(self.stability(sample)),
            cost: self.cost(surroundings),
            history: Some(self.load.history()),
            affinity: budget::affinity(self.affinity_rows(surroundings)),
            conditions: self.conditions_at(limit, surroundings, &Time(at)),
            ..ResourcePersonaStatus::default()
        };
        let rows = self.workloads.iter().map(|((namespace, service), observed)| WorkloadStatus {
            namespace: namespace.clone(),
            service: service.clone(),
            ..row(observed)
        });
        budget::fill(&mut status, &rows.collect::<Vec<_>>(), budget::STATUS_BYTES);
        status
    }

    fn capacity(&self, limit: Limit) -> Capacity {
        Capacity {
            limiting: match limit.dimension {
                Dimension::Cpu => api::Dimension::Cpu,
                Dimension::Memory => api::Dimension::Memory,
                Dimension::Network => api::Dimension::Network,
            },
            load: Decimal::rounded(limit.load, 3),
            cpu: cores(&self.shown.cpu.usage()),
            memory: to_unit(&self.shown.memory.usage(), MEBIBYTE),
            network: to_unit(&self.shown.network.usage(), KILOBYTE),
            disk_pressure: self.shown.disk().map(|part| Decimal::rounded(part, 2)),
            source: self.identity.source.clone(),
        }
    }

    fn stability(&self, sample: &Sample) -> Stability {
        let steadiness = self.steadiness();
        Stability {
            uptime_seconds: i64::try_from(sample.uptime.as_secs()).unwrap_or(i64::MAX),
            ready_ratio: Decimal::rounded(steadiness.ready_ratio, 4),
            error_ratio: Decimal::rounded(steadiness.error_ratio, 4),
            contention: Decimal::rounded(steadiness.contention, 3),
            restarts: Decimal::rounded(steadiness.restarts, 2),
            half_life: Span::from_secs(self.half_life.as_secs()),
        }
    }

    fn cost(&self, surroundings: &Surroundings) -> Option<CostStatus> {
        let watts = self.watts();
        let hourly = self.prices(surroundings).hourly(watts);
        (watts.is_some() || hourly.is_some()).then(|| CostStatus {
            hourly: Decimal::rounded(hourly.unwrap_or(0.0), 4),
            watts: Decimal::rounded(watts.unwrap_or(0.0), 0),
            watts_source: match (watts, self.newest.as_ref().and_then(|sample| sample.watts)) {
                (None, _) => WattsSource::None,
                (Some(_), Some(_)) => WattsSource::Rapl,
                (Some(_), None) => WattsSource::Model,
            },
            per_million_entries: hourly
                .zip(self.entries_an_hour())
                .map(|(hourly, entries)| Decimal::rounded(hourly / entries * 1e6, 4)),
        })
    }

    /// The classes with the most entries first.
    fn affinity_rows(&self, surroundings: &Surroundings) -> Vec<Affinity> {
        let rows = self.affinities(surroundings).map(|(class, tally, score)| Affinity {
            class: class.to_owned(),
            score: score.round() as i32,
            samples: tally.entries().round() as i64,
            error_ratio: (tally.error_ratio() > 0.0).then(|| Decimal::rounded(tally.error_ratio(), 4)),
            mean_service_time: tally.mean().map(|mean| Decimal::rounded(mean, 6)),
            observer: AffinityObserver::Agent,
        });
        let mut rows: Vec<_> = rows.filter(|row| row.samples > 0).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.samples));
        rows
    }

    fn conditions_at(&self, limit: Limit, surroundings: &Surroundings, at: &Time) -> Vec<Condition> {
        let mut conditions = self.conditions.clone();
        let observed = self.observed_condition(surroundings);
        if observed.is_none() {
            conditions.retain(|condition| condition.type_ != PersonaCondition::Observed.name());
        }
        let judged =
            [Some(self.ready_condition(surroundings)), Some(self.saturating_condition(limit)), observed];
        for (reason, message) in judged.into_iter().flatten() {
            set_condition(&mut conditions, reason, message, None, at);
        }
        conditions
    }

    /// Whether the metrics of the observed pods are read; `None` if no route asks for it.
    fn observed_condition(&self, surroundings: &Surroundings) -> Option<(PersonaReason, String)> {
        let asked = surroundings.workloads.iter().filter(|workload| workload.metrics.is_some());
        let asked: Vec<_> = asked.map(|it| (it.namespace.clone(), it.service.clone())).collect();
        if asked.is_empty() {
            return None;
        }
        let failed =
            asked.iter().find_map(|key| Some((key, self.workloads.get(key)?.answers.failure.as_ref()?)));
        let (reason, message) = match failed {
            Some(((namespace, service), failure)) => {
                (PersonaReason::NotRead, format!("{namespace}/{service}: {failure}"))
            }
            None => (PersonaReason::Read, "the metrics of all observed pods are read".to_owned()),
        };
        Some((reason, message.chars().take(MESSAGE_CHARS).collect()))
    }

    /// Entries that all observed pods answer, an hour; `None` while there are none.
    fn entries_an_hour(&self) -> Option<f64> {
        let rates = self.workloads.values().filter_map(|observed| observed.answers.rate());
        Some(rates.sum::<f64>() * 3600.0).filter(|entries| *entries > 0.0)
    }

    fn ready_condition(&self, surroundings: &Surroundings) -> (PersonaReason, String) {
        match (&self.failure, surroundings.ready) {
            (Some(error), _) => (PersonaReason::NotSampled, error.clone()),
            (None, Some(false)) => (PersonaReason::NodeNotReady, "the Node is not Ready".to_owned()),
            (None, _) => (PersonaReason::Sampled, "the node is sampled every second".to_owned()),
        }
    }

    fn saturating_condition(&self, limit: Limit) -> (PersonaReason, String) {
        let was = is_true(&self.conditions, PersonaCondition::Saturating);
        let (reason, side) = if limit.load >= if was { RELIEVED } else { SATURATING } {
            (PersonaReason::Full, "at or over")
        } else {
            (PersonaReason::Headroom, "under")
        };
        (reason, format!("load of the limiting dimension is {side} {SATURATING}"))
    }
}

fn row(observed: &Observed) -> WorkloadStatus {
    let cpu = observed.cpu.usage();
    let mut row = WorkloadStatus {
        pods: i32::try_from(observed.pods).unwrap_or(i32::MAX),
        cpu: cores(&cpu),
        memory: to_unit(&observed.memory, MEBIBYTE),
        load: Decimal::rounded(load::cpu(&cpu).max(observed.memory.utilisation()), 3),
        fine: observed.series.fine(),
        coarse: observed.series.coarse(),
        ..WorkloadStatus::default()
    };
    observed.answers.tell(&mut row);
    row
}

fn cores(usage: &Usage) -> api::Usage {
    api::Usage {
        capacity: Decimal::rounded(usage.capacity, 3),
        used: Decimal::rounded(usage.used, 3),
        ..parts(usage)
    }
}

fn to_unit(usage: &Usage, unit: f64) -> api::Usage {
    let rounded = |value: f64| Decimal::new((value / unit).round() * unit);
    api::Usage { capacity: Decimal::new(usage.capacity.round()), used: rounded(usage.used), ..parts(usage) }
}

fn parts(usage: &Usage) -> api::Usage {
    let hundredths = |part: Option<f64>| part.map(|part| Decimal::rounded(part, 2));
    api::Usage {
        pressure: hundredths(usage.pressure),
        throttled: hundredths(usage.throttled),
        ..api::Usage::default()
    }
}

/// Whole seconds: what the API keeps of a time.
fn timestamp(unix: f64) -> Timestamp {
    Timestamp::from_second(unix as i64).unwrap_or(Timestamp::UNIX_EPOCH)
}
