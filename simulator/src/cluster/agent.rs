//! One node's agent: samples the simulated node every second and publishes when the engine's rule says so.

use std::time::Duration;

use foreshift_api::{
    Decimal, ResourcePersona, ResourcePersonaSpec,
    resource_persona::{CostSpec, WorkloadSpec, WorkloadStatus},
};
use foreshift_engine::persona::{
    decay::{Decayed, DecayedCount},
    load::Usage,
    publish::{Due, Snapshot, due, early_by},
};
use foreshift_node_agent::{
    persona::{Costing, HALF_LIFE, Identity, Persona, Surroundings},
    sample::{Sample, WorkloadSample},
};

use super::objects::NAMESPACE;
use crate::fleet::{self, Layout, NodePlan};

/// What pods tell of their entries is averaged over this: rates as the agent's own figures, errors as the API says.
const RATE_HALF_LIFE: Duration = Duration::from_secs(1);
const ERROR_HALF_LIFE: Duration = Duration::from_secs(5);

/// As many entries without errors are believed in beforehand.
const ERROR_PRIOR: f64 = 40.0;

/// Spreads the quiet publishes of nodes: the most that agents draw.
const JITTER: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Agent {
    persona: Persona,
    surroundings: Surroundings,
    service: String,
    answers: Answers,
    /// When the newest publish counts as made, and what it said.
    published: Option<(Duration, Snapshot)>,
    seconds: u64,
}

/// What the pods' own metrics come to: what they answered, and how much of it was errors.
#[derive(Debug, Default)]
struct Answers {
    rate: Decayed,
    entries: DecayedCount,
    errors: DecayedCount,
}

impl Answers {
    fn observe(&mut self, node: &fleet::Sample) {
        let second = Duration::from_secs(1);
        self.rate.observe(f64::from(node.answered), second, RATE_HALF_LIFE);
        self.entries.observe(f64::from(node.answered), second, ERROR_HALF_LIFE);
        self.errors.observe(f64::from(node.errors), second, ERROR_HALF_LIFE);
    }

    fn tell(&self, row: &mut WorkloadStatus) {
        row.entries_per_second = Some(Decimal::rounded(self.rate.mean(0.0), 1));
        let ratio = self.errors.get() / (self.entries.get() + ERROR_PRIOR);
        row.error_ratio = Some(Decimal::rounded(ratio, 3));
    }
}

impl Agent {
    pub(super) fn new(plan: &NodePlan, layout: &Layout, reference: Option<f64>, unix: f64) -> Self {
        let service = layout.resources[usize::from(plan.resource)].name.clone();
        let cost = CostSpec { hourly_price: Some(Decimal::new(plan.price)), ..CostSpec::default() };
        let workload =
            WorkloadSpec { namespace: NAMESPACE.into(), service: service.clone(), ..WorkloadSpec::default() };
        // Without any price cost is not known, which is neutral.
        let reference = reference.filter(|&price| price > 0.0);
        let costing = Costing { reference, ..Costing::default() };
        Self {
            persona: Persona::new(Identity::default(), costing, HALF_LIFE, None, unix),
            surroundings: Surroundings {
                ready: Some(true),
                cost: Some(cost),
                workloads: vec![workload],
                ..Surroundings::default()
            },
            service,
            answers: Answers::default(),
            published: None,
            seconds: 0,
        }
    }

    /// Takes a sample in; the persona to publish, when one is due.
    pub(super) fn sample(
        &mut self,
        node: &fleet::Sample,
        plan: &NodePlan,
        unix: f64,
        period: u64,
    ) -> Option<ResourcePersona> {
        self.seconds += 1;
        let own = Usage { used: node.own, ..Usage::default() };
        let workload = WorkloadSample {
            namespace: NAMESPACE.into(),
            service: self.service.clone(),
            pods: 1,
            cpu: own,
            ..WorkloadSample::default()
        };
        let sample = Sample {
            unix,
            elapsed: Duration::from_secs(1),
            uptime: Duration::from_secs(self.seconds),
            cpu: Usage {
                capacity: plan.cores,
                used: node.used,
                pressure: Some(node.waiting),
                throttled: None,
            },
            workloads: vec![workload],
            ..Sample::default()
        };
        self.persona.observe(sample, &self.surroundings);
        self.answers.observe(node);
        let report = self.persona.report(&self.surroundings)?;
        let now = Duration::from_secs(self.seconds);
        let elapsed = self.published.map_or(Duration::MAX, |(at, _)| now.saturating_sub(at));
        let before = self.published.as_ref().map(|(_, snapshot)| snapshot);
        let reason = due(before, &report.snapshot, elapsed, JITTER)?;
        if elapsed < Duration::from_secs(period) && !matches!(reason, Due::First | Due::Saturated) {
            return None;
        }
        self.published = Some((now + early_by(elapsed), report.snapshot));
        let mut persona = ResourcePersona::new(&plan.name, ResourcePersonaSpec::default());
        let mut status = report.status;
        for row in &mut status.workloads {
            self.answers.tell(row);
        }
        persona.status = Some(status);
        Some(persona)
    }
}
