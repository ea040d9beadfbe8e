//! What the agent counts about itself and its node, for Prometheus.

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
use std::sync::atomic::AtomicU64;

use crate::persona::Report;

/// One label that says which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Which {
    /// The kind of thing counted.
    pub kind: &'static str,
}

/// All of them; clones share the counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Looks at pods' metrics by outcome: `read`, or what went wrong.
    pub scrapes: Family<Which, Counter>,
    /// Samples by outcome: `taken`, `failed`.
    pub samples: Family<Which, Counter>,
    /// Time that one sample took.
    pub sample_duration: Histogram,
    /// Publishes by reason.
    pub publishes: Family<Which, Counter>,
    /// Failed publishes by kind of error.
    pub publish_errors: Family<Which, Counter>,
    /// Bytes of the newest published status.
    pub status_bytes: Gauge,
    /// Bytes of all published statuses.
    pub published_bytes: Counter,
    /// When the newest published persona was sampled, in seconds since 1970: its age is how old the cluster's knowledge is.
    pub published_sample: Gauge,
    /// Load of the limiting dimension.
    pub load: Gauge<f64, AtomicU64>,
    /// The four scores.
    pub scores: Family<Which, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            scrapes: Family::default(),
            samples: Family::default(),
            sample_duration: Histogram::new(exponential_buckets(0.0001, 2.0, 12)),
            publishes: Family::default(),
            publish_errors: Family::default(),
            status_bytes: Gauge::default(),
            published_bytes: Counter::default(),
            published_sample: Gauge::default(),
            load: Gauge::default(),
            scores: Family::default(),
        };
        let Self { scrapes, samples, sample_duration, publishes, publish_errors, status_bytes, .. } =
            metrics.clone();
        let Self { published_bytes, published_sample, load, scores, .. } = metrics.clone();
        registry.register("scrapes", "Looks at the metrics of observed pods by outcome", scrapes);
        registry.register("samples", "Samples of the node by outcome", samples);
        registry.register_with_unit(
            "sample_duration",
            "Time that a sample took",
            Unit::Seconds,
            sample_duration,
        );
        registry.register("publishes", "Published personas by reason", publishes);
        registry.register("publish_errors", "Failed publishes by kind of error", publish_errors);
        registry.register_with_unit(
            "status",
            "Size of the newest published status",
            Unit::Bytes,
            status_bytes,
        );
        registry.register_with_unit(
            "published",
            "Bytes of all published statuses",
            Unit::Bytes,
            published_bytes,
        );
        registry.register_with_unit(
            "published_sample_timestamp",
            "When the newest published persona was sampled, since 1970",
            Unit::Seconds,
            published_sample,
        );
        registry.register("load", "Load of the limiting dimension", load);
        registry.register("score", "Scores of the node, 0 to 100", scores);
        metrics
    }

    /// Shows the persona.
    pub fn show(&self, report: &Report) {
        let scores = &report.snapshot.scores;
        self.load.set(report.snapshot.load);
        for (kind, score) in [
            ("capacity", scores.capacity),
            ("stability", scores.stability),
            ("affinity", scores.affinity),
            ("cost", scores.cost),
        ] {
            self.scores.get_or_create(&Which { kind }).set(score);
        }
    }
}
