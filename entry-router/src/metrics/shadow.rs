//! Metrics of shadow copies and of what is written to the status of routes.

use std::{fmt, sync::atomic::Ordering};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{each, ended};
use crate::{
    assigner::Tally,
    observed::Writes,
    shadow::{Dropped, Figures},
    snapshot::RouteKey,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: &'static str,
}

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    tallies: &[(RouteKey, Tally)],
    figures: &Figures,
    writes: &Writes,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "shadow_copies",
        "Copies sent to alternates by what became of them",
        None,
        MetricType::Counter,
    )?;
    for (key, counts) in each(tallies) {
        ended(&mut family, key, counts, counts.copies)?;
    }
    let mut family = encoder.encode_descriptor(
        "shadow_dropped",
        "Copies that were not sent by the reason",
        None,
        MetricType::Counter,
    )?;
    let without_room: u64 = tallies.iter().map(|(_, tally)| tally.copies_without_room).sum();
    for (why, dropped) in Dropped::ALL.iter().zip(&figures.dropped) {
        let count = dropped.load(Ordering::Relaxed) + if *why == Dropped::Room { without_room } else { 0 };
        ConstCounter::new(count).encode(family.encode_family(&OfReason { reason: why.name() })?)?;
    }
    let gauge = ConstGauge::new(figures.bytes.load(Ordering::Relaxed) as u64);
    gauge.encode(encoder.encode_descriptor(
        "shadow_size",
        "Bodies of copies that wait or are under way",
        Some(&Unit::Bytes),
        MetricType::Gauge,
    )?)?;
    let mut family = encoder.encode_descriptor(
        "status_writes",
        "Writes to the status of routes by their result",
        None,
        MetricType::Counter,
    )?;
    for (result, count) in
        [("ok", &writes.done), ("conflict", &writes.conflicts), ("failed", &writes.failures)]
    {
        let count = count.load(Ordering::Relaxed);
        ConstCounter::new(count).encode(family.encode_family(&OfResult { result })?)?;
    }
    Ok(())
}
