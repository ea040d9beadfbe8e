//! How many requests a second load the lead fully: measured on this cluster, right before the demo.
//!
//! CPU cost per request is measured at the load that the objective allows and extrapolated. A saturated journal
//! service needs less a request (it finds more work at every wake-up), so the true ceiling lies higher than this
//! capacity; but load reaches 1 here, and load is what everything is planned by.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    entries::Pool,
    error::{Error, Result},
    gauge::Gauge,
    sender::{Load, Sender},
    shape::Curve,
};

/// What the lead carries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests a second at which the lead's node has a load of 1.
    pub requests_per_second: f64,
    /// Load of the node without any request: agents, operator, probes.
    pub idle_load: f64,
    /// CPU quota of the node in cores, where it is known.
    pub quota_cores: Option<f64>,
}

/// First probe, in requests a second: harmless on every machine.
const GENTLE: f64 = 20.0;
const IDLE_SECONDS: u32 = 5;
/// The gentle probe only says where the next one starts, and is not counted.
const GENTLE_SECONDS: u32 = 4;
const PROBE_SECONDS: u32 = 7;
/// Left out at the start of a probe: connections, caches and page faults settle.
const SETTLING_SECONDS: u32 = 2;
/// How long it takes when the first two probes that count agree.
pub const LEAST_SECONDS: u32 = IDLE_SECONDS + GENTLE_SECONDS + 2 * PROBE_SECONDS + 3 * SETTLING_SECONDS;
/// Load at which the last probe measures.
const OBJECTIVE: f64 = 0.75;
/// Two probes that differ by less agree.
const TOLERANCE: f64 = 0.12;
const ATTEMPTS: u32 = 5;

impl Capacity {
    /// The part of the capacity that loads the node as far as `load`.
    #[must_use]
    pub fn level_at(&self, load: f64) -> f64 {
        (load - self.idle_load) / (1.0 - self.idle_load)
    }
}

/// Probes the service that `load` goes to until two probes in a row agree; `gauge` is that of its node.
pub async fn calibrate(load: &Load, pool: &Arc<Pool>, gauge: &mut Gauge) -> Result<Capacity> {
    let idle_load = mean_load(gauge, IDLE_SECONDS).await;
    if idle_load > 0.5 {
        return Err(Error::Unfit(format!(
            "the lead's node is busy without the demo (load {idle_load:.2}); give it a quiet node or a larger quota"
        )));
    }
    let mut found = Vec::new();
    let mut rate = GENTLE;
    for attempt in 0..ATTEMPTS {
        let run = format!("probe{attempt}");
        let seconds = if attempt == 0 { GENTLE_SECONDS } else { PROBE_SECONDS };
        let load = probe(Load { run, ..load.clone() }, pool, gauge, rate, seconds).await?;
        let capacity = rate * (1.0 - idle_load) / (load - idle_load).max(0.005);
        tracing::info!(rate, load, capacity, "probed");
        if load < 0.95 && attempt > 0 {
            found.push(capacity);
        }
        if let [.., before, last] = found[..]
            && (last / before - 1.0).abs() < TOLERANCE
        {
            let requests_per_second = f64::midpoint(before, last);
            return Ok(Capacity { requests_per_second, idle_load, quota_cores: gauge.quota() });
        }
        rate = if load < 0.95 { capacity * (OBJECTIVE - idle_load) / (1.0 - idle_load) } else { rate / 2.0 };
    }
    Err(Error::Unfit(format!(
        "the lead's capacity could not be measured: {ATTEMPTS} probes gave {found:.0?} requests a second; \
         the machine may be too busy, try again, or give the capacity with --capacity"
    )))
}

/// The mean load over so many seconds at so many requests a second, which go on until all is measured.
async fn probe(load: Load, pool: &Arc<Pool>, gauge: &mut Gauge, rate: f64, seconds: u32) -> Result<f64> {
    let target = load.target;
    let curve = Curve::flat(f64::from(SETTLING_SECONDS + seconds + 1), 1.0);
    let sender = Sender::start(load, Arc::clone(pool), curve.arrivals(rate), Instant::now())?;
    mean_load(gauge, SETTLING_SECONDS).await;
    let measured = mean_load(gauge, seconds).await;
    let total = sender.stop().await?;
    if total.counts.acknowledged * 2 < total.counts.sent {
        return Err(Error::Unfit(format!(
            "{target} acknowledged {} of {} requests of a gentle probe; can it be reached from here?",
            total.counts.acknowledged, total.counts.sent
        )));
    }
    Ok(measured)
}

/// The mean of a value a second.
async fn mean_load(gauge: &mut Gauge, seconds: u32) -> f64 {
    let none = std::collections::BTreeMap::new();
    gauge.read(&none);
    let mut sum = 0.0;
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sum += gauge.read(&none).load;
    }
    sum / f64::from(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_does_anyway_takes_from_the_objective() {
        let capacity = Capacity { requests_per_second: 100.0, idle_load: 0.1, quota_cores: None };
        assert!((capacity.level_at(1.0) - 1.0).abs() < 1e-9);
        assert!((capacity.level_at(0.55) - 0.5).abs() < 1e-9);
    }
}
