//! Metrics in the Prometheus sense, read from the assigners when somebody asks. Labels are resources, reasons and
//! outcomes, so there are as many series as a route has resources, whatever clients send.

mod shadow;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::{
    assigner::{Counts, Outcome, Reason, Tally},
    observed::Writes,
    proxy::Figures,
    routes::Routes,
    snapshot::RouteKey,
};

/// Bounds of the histogram of decision times, in microseconds.
const BOUNDS: [u64; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

/// Parts of the decisions whose time is told.
const QUANTILES: [(&str, f64); 2] = [("0.5", 0.5), ("0.99", 0.99)];

/// A registry that reads routes, proxy and what was written to the status of routes.
#[must_use]
pub fn registry(routes: &Routes, figures: &Arc<Figures>, writes: &Arc<Writes>) -> Registry {
    let mut registry = Registry::with_prefix("foreshift_router");
    let (routes, figures, writes) = (routes.clone(), Arc::clone(figures), Arc::clone(writes));
    registry.register_collector(Box::new(Collected { routes, figures, writes }));
    registry
}

#[derive(Debug)]
struct Collected {
    routes: Routes,
    figures: Arc<Figures>,
    writes: Arc<Writes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    namespace: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQuantile {
    namespace: String,
    route: String,
    quantile: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Assigned {
    namespace: String,
    route: String,
    resource: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    namespace: String,
    route: String,
    resource: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    status: String,
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tallies: Vec<(RouteKey, Tally)> =
            self.routes.all().into_iter().map(|(key, assigner)| (key, assigner.tally())).collect();
        self.assignments(&mut encoder, &tallies)?;
        routes(&mut encoder, &tallies)?;
        quantiles(&mut encoder, &tallies)?;
        shadow::encode(&mut encoder, &tallies, &self.figures.shadow, &self.writes)?;
        self.proxy(&mut encoder)
    }
}

impl Collected {
    #[allow(clippy::unused_self, reason = "one of the three parts of a collection")]
    fn assignments(&self, encoder: &mut DescriptorEncoder<'_>, tallies: &[(RouteKey, Tally)]) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "assignments",
            "Requests by what decided on their resource",
            None,
            MetricType::Counter,
        )?;
        for (key, counts) in each(tallies) {
            for (reason, count) in Reason::ALL.iter().zip(counts.reasons).filter(|(_, count)| *count > 0) {
                let labels = Assigned {
                    namespace: key.namespace.clone(),
                    route: key.name.clone(),
                    resource: counts.resource.to_string(),
                    reason: reason.to_string(),
                };
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "entries",
            "Entries by what became of them, those of batches included",
            None,
            MetricType::Counter,
        )?;
        for (key, counts) in each(tallies) {
            ended(&mut family, key, counts, counts.entries)?;
        }
        let mut family = encoder.encode_descriptor(
            "requests",
            "Requests by what became of them: each brings an entry or a batch",
            None,
            MetricType::Counter,
        )?;
        for (key, counts) in each(tallies) {
            ended(&mut family, key, counts, counts.outcomes)?;
        }
        Ok(())
    }

    fn proxy(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let connections = self.figures.connections.load(Ordering::Relaxed) as u64;
        let gauge = ConstGauge::new(connections);
        gauge.encode(encoder.encode_descriptor(
            "connections",
            "Connections of clients",
            None,
            MetricType::Gauge,
        )?)?;
        let retries = ConstCounter::new(self.figures.retries.load(Ordering::Relaxed));
        retries.encode(encoder.encode_descriptor(
            "retries",
            "Requests sent once more",
            None,
            MetricType::Counter,
        )?)?;
        let mut family =
            encoder.encode_descriptor("answers", "Answers by status", None, MetricType::Counter)?;
        for (i, answers) in self.figures.answers.iter().enumerate() {
            let labels = Answered { status: format!("{}xx", i + 1) };
            ConstCounter::new(answers.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn ended(
    family: &mut MetricEncoder<'_>,
    key: &RouteKey,
    counts: &Counts,
    by_outcome: [u64; Outcome::ALL.len()],
) -> fmt::Result {
    for (outcome, count) in Outcome::ALL.iter().zip(by_outcome).filter(|(_, count)| *count > 0) {
        let labels = Ended {
            namespace: key.namespace.clone(),
            route: key.name.clone(),
            resource: counts.resource.to_string(),
            outcome: outcome.name(),
        };
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn routes(encoder: &mut DescriptorEncoder<'_>, tallies: &[(RouteKey, Tally)]) -> fmt::Result {
    let of = |key: &RouteKey| OfRoute { namespace: key.namespace.clone(), route: key.name.clone() };
    let mut family = encoder.encode_descriptor("in_flight", "Requests under way", None, MetricType::Gauge)?;
    for (key, tally) in tallies {
        ConstGauge::new(tally.in_flight as u64).encode(family.encode_family(&of(key))?)?;
    }
    let mut family = encoder.encode_descriptor(
        "refusals",
        "Requests that nobody could take",
        None,
        MetricType::Counter,
    )?;
    for (key, tally) in tallies {
        ConstCounter::new(tally.refusals).encode(family.encode_family(&of(key))?)?;
    }
    let unit = Unit::Seconds;
    let mut family = encoder.encode_descriptor(
        "decision",
        "Time that a decision took",
        Some(&unit),
        MetricType::Histogram,
    )?;
    for (key, tally) in tallies {
        let mut below = 0;
        let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(BOUNDS.len() + 1);
        for micros in BOUNDS {
            let bound = Duration::from_micros(micros);
            let until = tally.times.below(bound);
            buckets.push((bound.as_secs_f64(), until.saturating_sub(below)));
            below = until;
        }
        let count = tally.times.count();
        buckets.push((f64::MAX, count.saturating_sub(below)));
        let sum = tally.times.sum().as_secs_f64();
        family.encode_family(&of(key))?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

/// To within an eighth, which the buckets of a histogram are too wide for.
fn quantiles(encoder: &mut DescriptorEncoder<'_>, tallies: &[(RouteKey, Tally)]) -> fmt::Result {
    let unit = Unit::Seconds;
    let mut family = encoder.encode_descriptor(
        "decision_quantile",
        "Time that a part of the decisions took no longer than",
        Some(&unit),
        MetricType::Gauge,
    )?;
    for (key, tally) in tallies {
        for (quantile, part) in QUANTILES {
            let labels = OfQuantile { namespace: key.namespace.clone(), route: key.name.clone(), quantile };
            let seconds = tally.times.quantile(part).as_secs_f64();
            ConstGauge::new(seconds).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn each(tallies: &[(RouteKey, Tally)]) -> impl Iterator<Item = (&RouteKey, &Counts)> {
    tallies.iter().flat_map(|(key, tally)| tally.resources.iter().map(move |counts| (key, counts)))
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::{
        assigner::{Entry, Settings, tests::snapshot_of},
        routes::Routes,
    };

    #[test]
    fn series_are_bounded_by_resources_whatever_clients_send() {
        let routes = Routes::new(Settings { explore: 0.0, ..Settings::default() });
        routes.update(vec![snapshot_of(&["a", "b"])]);
        let assigner = routes.only().unwrap();
        let text = |n: u32| {
            for i in 0..n {
                let class = format!("class-{i}");
                let entry = Entry { id: &class, class: &class, bytes: Some(i.into()), ..Entry::default() };
                assigner.assign(&entry, &[], None).unwrap().1.finish(Outcome::Acknowledged);
            }
            let mut text = String::new();
            encode(&mut text, &registry(&routes, &Arc::default(), &Arc::default())).unwrap();
            text
        };
        let few = text(10);
        assert!(few.contains(
            "foreshift_router_entries_total{namespace=\"shop\",route=\"journal\",resource=\"a\",outcome=\"acknowledged\"} 10"
        ), "{few}");
        assert!(
            few.contains("foreshift_router_decision_seconds_count{namespace=\"shop\",route=\"journal\"} 10"),
            "{few}"
        );
        assert_eq!(few.lines().count(), text(1000).lines().count());
    }
}
