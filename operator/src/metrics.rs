//! Metrics in the Prometheus sense; those of a route go when the route goes.

use foreshift_view::RouteKey;
use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

type Ratio = Gauge<f64, AtomicU64>;

/// All metrics of the operator; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<Outcome, Counter>,
    duration: Histogram,
    writes: Family<Write, Counter>,
    hook_calls: Family<Outcome, Counter>,
    leading: Gauge,
    model: Family<ModelInfo, Gauge>,
    model_skill: Family<OfModel, Ratio>,
    model_events: Family<ModelEvent, Counter>,
    share_desired: Family<OfResource, Ratio>,
    share_programmed: Family<OfResource, Ratio>,
    load: Family<OfResource, Ratio>,
    p90: Family<OfRoute, Ratio>,
    skill: Family<OfRoute, Ratio>,
    history_samples: Family<Outcome, Counter>,
    history_size: Gauge,
    known: Arc<std::sync::Mutex<std::collections::BTreeMap<OfRoute, Vec<String>>>>,
}

/// Figures of one resource of a route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures<'a> {
    /// Name of the Service.
    pub resource: &'a str,
    /// Share that the plan wants, 0 to 1.
    pub desired: f64,
    /// Share that the listed endpoints come to, 0 to 1.
    pub programmed: f64,
    /// Load, 1.0 is full.
    pub load: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    object: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelInfo {
    name: String,
    digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelEvent {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfRoute {
    namespace: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResource {
    namespace: String,
    route: String,
    resource: String,
}

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            duration: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            writes: Family::default(),
            hook_calls: Family::default(),
            leading: Gauge::default(),
            model: Family::default(),
            model_skill: Family::default(),
            model_events: Family::default(),
            share_desired: Family::default(),
            share_programmed: Family::default(),
            load: Family::default(),
            p90: Family::default(),
            skill: Family::default(),
            history_samples: Family::default(),
            history_size: Gauge::default(),
            known: Arc::default(),
        };
        let m = &metrics;
        registry.register("reconciles", "Reconciles of routes by outcome", m.reconciles.clone());
        let unit = Unit::Seconds;
        registry.register_with_unit("reconcile_duration", "Time of a reconcile", unit, m.duration.clone());
        registry.register("writes", "Writes to the API server by kind and outcome", m.writes.clone());
        registry.register("hook_calls", "Calls of warm-up hooks by outcome", m.hook_calls.clone());
        registry.register("leading", "1 while this replica holds the lease", m.leading.clone());
        registry.register("model_info", "The model that forecasts", m.model.clone());
        registry.register("model_skill", "Skill of every LoadModel; 0 is no better", m.model_skill.clone());
        registry.register("model_events", "Promotions, rejections, refusals", m.model_events.clone());
        registry.register("share_desired", "Share that the plan wants", m.share_desired.clone());
        registry.register("share_programmed", "Share of the listed endpoints", m.share_programmed.clone());
        registry.register("resource_load", "Load of a resource, 1 is full", m.load.clone());
        registry.register("lead_p90_60s", "p90 of the lead's load in 60 s, all on it", m.p90.clone());
        registry.register("forecast_skill", "Skill of the forecast; 0 is no better", m.skill.clone());
        registry.register("history_samples", "Loads recorded, by outcome", m.history_samples.clone());
        let unit = Unit::Bytes;
        registry.register_with_unit(
            "history_size",
            "Size of the recorded loads",
            unit,
            m.history_size.clone(),
        );
        metrics
    }

    /// A reconcile ended: `ok`, or the kind of its error.
    pub fn reconciled(&self, result: &'static str, seconds: f64) {
        self.reconciles.get_or_create(&Outcome { result }).inc();
        self.duration.observe(seconds);
    }

    /// A call of a warm-up hook ended: `ok`, or what went wrong.
    pub fn called(&self, result: &'static str) {
        self.hook_calls.get_or_create(&Outcome { result }).inc();
    }

    /// A write ended.
    pub fn wrote(&self, object: &'static str, result: &'static str) {
        self.writes.get_or_create(&Write { object, result }).inc();
    }

    /// Loads were recorded; the file now holds so many bytes.
    pub fn history_stored(&self, samples: usize, bytes: u64) {
        self.history_samples.get_or_create(&Outcome { result: "stored" }).inc_by(samples as u64);
        self.history_size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Loads could not be recorded.
    pub fn history_dropped(&self, samples: usize) {
        self.history_samples.get_or_create(&Outcome { result: "dropped" }).inc_by(samples as u64);
    }

    /// Whether this replica leads.
    pub fn leading(&self, leading: bool) {
        self.leading.set(i64::from(leading));
    }

    /// Another model forecasts.
    pub fn model(&self, name: &str, digest: &str) {
        self.model.clear();
        self.model.get_or_create(&ModelInfo { name: name.into(), digest: digest.into() }).set(1);
    }

    /// The skill of every LoadModel by name; those that are no longer named go.
    pub fn models<'a>(&self, skills: impl Iterator<Item = (&'a str, f64)>) {
        self.model_skill.clear();
        for (model, skill) in skills {
            self.model_skill.get_or_create(&OfModel { model: model.into() }).set(skill);
        }
    }

    /// A model was promoted, rejected or refused: the reason of the event.
    pub fn model_event(&self, reason: &str) {
        self.model_events.get_or_create(&ModelEvent { reason: reason.into() }).inc();
    }

    /// Shares and loads of a route's resources; those that are no longer named go.
    pub fn resources(&self, key: &RouteKey, figures: &[Figures<'_>]) {
        let route = OfRoute::from(key);
        let names: Vec<String> = figures.iter().map(|f| f.resource.to_owned()).collect();
        let before = self.lock().insert(route.clone(), names.clone()).unwrap_or_default();
        for gone in before.iter().filter(|name| !names.contains(name)) {
            self.remove(&route.of(gone));
        }
        for f in figures {
            let labels = route.of(f.resource);
            self.share_desired.get_or_create(&labels).set(f.desired);
            self.share_programmed.get_or_create(&labels).set(f.programmed);
            if let Some(load) = f.load {
                self.load.get_or_create(&labels).set(load);
            }
        }
    }

    /// The forecast of a route's lead.
    pub fn forecast(&self, key: &RouteKey, p90: f64, skill: Option<f64>) {
        let route = OfRoute::from(key);
        self.p90.get_or_create(&route).set(p90);
        match skill {
            Some(skill) => drop(self.skill.get_or_create(&route).set(skill)),
            None => drop(self.skill.remove(&route)),
        }
    }

    /// A route is gone.
    pub fn forget(&self, key: &RouteKey) {
        let route = OfRoute::from(key);
        for resource in self.lock().remove(&route).unwrap_or_default() {
            self.remove(&route.of(&resource));
        }
        self.p90.remove(&route);
        self.skill.remove(&route);
    }

    fn remove(&self, labels: &OfResource) {
        for family in [&self.share_desired, &self.share_programmed, &self.load] {
            family.remove(labels);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<OfRoute, Vec<String>>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl OfRoute {
    fn of(&self, resource: &str) -> OfResource {
        OfResource { namespace: self.namespace.clone(), route: self.route.clone(), resource: resource.into() }
    }
}

impl From<&RouteKey> for OfRoute {
    fn from(key: &RouteKey) -> Self {
        Self { namespace: key.namespace.clone(), route: key.name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn the_figures_of_a_route_go_with_it() {
        let mut registry = Registry::with_prefix("foreshift");
        let metrics = Metrics::register(&mut registry);
        let key = RouteKey { namespace: "shop".into(), name: "journal".into() };
        let figures =
            ["a", "b"].map(|resource| Figures { resource, desired: 0.5, programmed: 0.5, load: Some(0.4) });
        let shown = |needle: &str| {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text.contains(needle)
        };
        metrics.resources(&key, &figures);
        metrics.forecast(&key, 0.7, Some(0.1));
        assert!(shown(r#"foreshift_share_desired{namespace="shop",route="journal",resource="b"} 0.5"#));
        metrics.resources(&key, &figures[..1]);
        assert!(shown(r#"resource="a""#) && !shown(r#"resource="b""#));
        metrics.forget(&key);
        assert!(!shown("journal"));
    }
}
