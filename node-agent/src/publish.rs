//! Publishes the persona by server-side apply, when the engine's rule says that it is due.
//!
//! A call that fails or hangs delays the next one, with exponential back-off and jitter on top of what the server asks
//! for, and never the samples; then the newest persona is published, not those that were missed.

use std::{sync::Arc, time::Duration};

use foreshift_api::{AGENT_FIELD_MANAGER, ResourcePersona, ResourcePersonaStatus, apply};
use foreshift_engine::persona::publish::{self as rule, Due, Snapshot};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::{debug, info};

use crate::{
    backpressure::Backpressure,
    metrics::{Metrics, Which},
    outage::Outage,
    persona::Report,
    watch::Known,
};

/// No call to the API server takes longer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Why a persona could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The persona is owned by the Node, and that is not known.
    #[error("the Node is not there or was not seen yet: a persona is made only for a node of the cluster")]
    NoNode,
    /// The API server did not answer.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    /// The ResourcePersona kind is not installed, or the object was deleted in between.
    #[error("not found: install the CRDs of the chart (crds/), unless the persona was just deleted")]
    NotFound,
    /// The API server refused.
    #[error(transparent)]
    Api(Box<kube::Error>),
}

/// How publishing went so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempts {
    /// Whether there was any, however it went.
    pub any: bool,
    /// When the last one that succeeded was made.
    pub published: Option<Instant>,
    /// Why those since then failed; `None` while none did.
    pub failure: Option<String>,
}

/// Publishes one node's persona.
pub struct Publisher {
    personas: Api<ResourcePersona>,
    name: String,
    backpressure: Backpressure,
    metrics: Metrics,
    /// Draws a number between 0 and 1.
    jitter: Box<dyn FnMut() -> f64 + Send + Sync>,
    owner: Option<OwnerReference>,
    sequence: i64,
    last: Option<Published>,
    failures: u32,
    not_before: Instant,
    outage: Outage,
}

/// What is not a number: a condition and its status, or a Service and its pods.
type Fact = (String, String);

/// What the next publish is compared with.
struct Published {
    at: Instant,
    snapshot: Snapshot,
    facts: Vec<Fact>,
    jitter: f64,
}

impl PublishError {
    /// Short name for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoNode => "no_node",
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::Api(error) => match error.as_ref() {
                kube::Error::Api(status) if status.is_conflict() => "conflict",
                kube::Error::Api(status) if status.is_forbidden() => "forbidden",
                kube::Error::Api(status) if status.is_invalid() => "invalid",
                kube::Error::Api(status) if status.code == 429 => "throttled",
                kube::Error::Api(_) => "server",
                _ => "transport",
            },
        }
    }
}

impl From<kube::Error> for PublishError {
    fn from(error: kube::Error) -> Self {
        match &error {
            // By its code: where the kind is not installed, the answer is plain text and names no reason.
            kube::Error::Api(status) if status.code == 404 => Self::NotFound,
            _ => Self::Api(Box::new(error)),
        }
    }
}

impl Publisher {
    /// For the node `name`. `backpressure` is that of the `client`; `jitter` draws numbers between 0 and 1.
    pub fn new(
        client: Client,
        name: &str,
        backpressure: Backpressure,
        metrics: Metrics,
        jitter: impl FnMut() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            personas: Api::all(client),
            name: name.to_owned(),
            backpressure,
            metrics,
            jitter: Box::new(jitter),
            owner: None,
            sequence: 0,
            last: None,
            failures: 0,
            not_before: Instant::now(),
            outage: Outage::new("publishing the persona"),
        }
    }

    /// Publishes of `reports` what is due, until their sender is gone; tells `attempts` after every try.
    pub async fn run(
        mut self,
        mut reports: watch::Receiver<Option<Arc<Report>>>,
        known: watch::Receiver<Known>,
        attempts: watch::Sender<Attempts>,
    ) {
        while reports.changed().await.is_ok() {
            let Some(report) = reports.borrow_and_update().clone() else { continue };
            let Some(reason) = self.due(&report, Instant::now()) else { continue };
            let owner = known.borrow().owner.clone();
            match self.publish(&report, owner).await {
                Ok(bytes) => {
                    self.published(&report, reason, bytes);
                    let published = Some(Instant::now());
                    attempts.send_replace(Attempts { any: true, published, failure: None });
                }
                Err(error) => {
                    self.failed(&error);
                    attempts.send_modify(|attempts| {
                        (attempts.any, attempts.failure) = (true, Some(error.to_string()));
                    });
                }
            }
        }
    }

    fn due(&self, report: &Report, now: Instant) -> Option<&'static str> {
        if now < self.not_before || self.backpressure.until().is_some() {
            return None;
        }
        let Some(last) = &self.last else { return Some("first") };
        let elapsed = now - last.at;
        if elapsed >= rule::SHORTEST && facts(&report.status) != last.facts {
            return Some("turned");
        }
        rule::due(Some(&last.snapshot), &report.snapshot, elapsed, last.jitter).map(name)
    }

    /// Bytes of the status as it was sent.
    async fn publish(
        &mut self,
        report: &Report,
        owner: Option<OwnerReference>,
    ) -> Result<usize, PublishError> {
        let owner = owner.ok_or(PublishError::NoNode)?;
        if self.owner.as_ref() != Some(&owner) {
            self.ensure(&owner).await?;
            self.owner = Some(owner);
        }
        // The forecast is the operator's.
        let status =
            ResourcePersonaStatus { sequence: self.sequence + 1, forecast: None, ..report.status.clone() };
        let bytes = serde_json::to_vec(&status).map_or(0, |json| json.len());
        let mut body = self.frame();
        body["status"] = json!(status);
        let patch = Patch::Apply(body);
        let params = PatchParams::apply(AGENT_FIELD_MANAGER).force();
        let call = self.personas.patch_status(&self.name, &params, &patch);
        timeout(CALL_TIMEOUT, call).await.map_err(|_| PublishError::Timeout)??;
        Ok(bytes)
    }

    /// Makes the object, or makes the Node its owner. The `spec` is others'; the empty one is only because the
    /// schema wants it there.
    async fn ensure(&self, owner: &OwnerReference) -> Result<(), PublishError> {
        let mut body = self.frame();
        body["metadata"]["ownerReferences"] = json!([owner]);
        body["spec"] = json!({});
        let patch = Patch::Apply(body);
        let params = PatchParams::apply(AGENT_FIELD_MANAGER).force();
        let call = self.personas.patch(&self.name, &params, &patch);
        timeout(CALL_TIMEOUT, call).await.map_err(|_| PublishError::Timeout)??;
        Ok(())
    }

    fn frame(&self) -> serde_json::Value {
        let mut frame = apply::frame::<ResourcePersona>();
        frame["metadata"]["name"] = self.name.as_str().into();
        frame
    }

    fn published(&mut self, report: &Report, reason: &'static str, bytes: usize) {
        self.sequence += 1;
        self.failures = 0;
        self.outage.over();
        if self.last.is_none() {
            info!(bytes, "first persona published");
        }
        debug!(reason, bytes, sequence = self.sequence, "persona published");
        self.metrics.publishes.get_or_create(&Which { kind: reason }).inc();
        self.metrics.status_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.published_bytes.inc_by(bytes as u64);
        let sampled = report.status.observed_at.as_ref();
        self.metrics.published_sample.set(sampled.map_or(0, |at| at.0.as_second()));
        let now = Instant::now();
        let early = self.last.as_ref().map_or(Duration::ZERO, |last| rule::early_by(now - last.at));
        self.last = Some(Published {
            at: now + early,
            snapshot: report.snapshot,
            facts: facts(&report.status),
            jitter: (self.jitter)(),
        });
    }

    fn failed(&mut self, error: &PublishError) {
        self.outage.failed(error);
        self.metrics.publish_errors.get_or_create(&Which { kind: error.kind() }).inc();
        match error {
            // The watch tells when the Node is there: nothing is asked of the server until then.
            PublishError::NoNode => return,
            // Deleted, perhaps: make it anew.
            PublishError::NotFound => self.owner = None,
            PublishError::Timeout | PublishError::Api(_) => {}
        }
        let earliest = self.backpressure.until().unwrap_or_else(Instant::now);
        self.not_before = earliest + backoff(self.failures, (self.jitter)());
        self.failures = self.failures.saturating_add(1);
    }
}

/// Doubles with every failure; `jitter` takes up to half of it.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(failures)).min(BACKOFF_MAX);
    doubled.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
}

fn facts(status: &ResourcePersonaStatus) -> Vec<Fact> {
    let conditions = status.conditions.iter().map(|it| (it.type_.clone(), it.status.clone()));
    let workloads =
        status.workloads.iter().map(|it| (format!("{}/{}", it.namespace, it.service), it.pods.to_string()));
    conditions.chain(workloads).collect()
}

fn name(due: Due) -> &'static str {
    match due {
        Due::First => "first",
        Due::Saturated => "saturated",
        Due::Crossed => "crossed",
        Due::Moved => "moved",
        Due::Leading => "leading",
        Due::Quiet => "quiet",
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kind_that_is_not_installed_is_told_with_what_to_do() {
        let answer = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        let error = PublishError::from(kube::Error::Api(Box::new(answer)));
        assert_eq!(error.kind(), "not_found");
        assert!(error.to_string().contains("CRDs"), "{error}");
    }

    proptest! {
        #[test]
        fn back_off_grows_to_a_bound_and_is_never_short(failures: u32, jitter: f64) {
            let wait = backoff(failures, if jitter.is_nan() { 0.5 } else { jitter });
            prop_assert!((BACKOFF_MIN / 2..=BACKOFF_MAX).contains(&wait));
            prop_assert!(backoff(failures.saturating_add(1), 0.0) >= backoff(failures, 0.0));
        }
    }
}
