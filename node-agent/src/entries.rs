//! Sees what the observed workloads' pods on this node answer: reads their metrics every [`EVERY`], as long as a
//! route asks for it, and tells how much the counters rose.
//!
//! A pod is outside input. Its page is read in bounded memory and time, without redirects or compression, over a
//! connection of its own; addresses that are no pod's (loopback, link-local) are refused.

mod counters;
#[cfg(test)]
mod fuzz;
mod scrape;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use foreshift_api::resource_persona::WorkloadSpec;
use foreshift_engine::persona::affinity::Batch;
use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use self::counters::Counters;
pub use self::scrape::{ScrapeError, TIMEOUT, scrape};
use crate::{
    exposition::{Page, Query},
    metrics::{Metrics, Which},
    watch::Known,
};

/// Time between two looks at a pod's metrics.
pub const EVERY: Duration = Duration::from_secs(2);

/// Pods asked at once.
const CONCURRENCY: usize = 8;

/// Looks that may wait to be folded in; later ones are lost.
pub const WAITING_MAX: usize = 64;

/// What the pods of one Service on this node answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Since the look before.
    pub elapsed: Duration,
    /// By class.
    pub classes: BTreeMap<String, Batch>,
    /// Pods that were read, and before too: one look tells no difference.
    pub pods: usize,
    /// Why one of the others could not be read.
    pub failure: Option<String>,
}

/// Looks at pods and remembers their counters.
#[derive(Debug)]
pub struct Observer {
    metrics: Metrics,
    allowed: fn(IpAddr) -> bool,
    counters: BTreeMap<(SocketAddr, String), Counters>,
    looked: Option<Instant>,
}

impl Observer {
    /// Asks only pods at addresses that are `allowed`; [`may_be_a_pod`] is the rule.
    #[must_use]
    pub fn new(metrics: Metrics, allowed: fn(IpAddr) -> bool) -> Self {
        Self { metrics, allowed, counters: BTreeMap::new(), looked: None }
    }

    /// Looks for ever at what `known` asks for. Without any such workload it sleeps.
    pub async fn run(mut self, mut known: watch::Receiver<Known>, answered: mpsc::Sender<Answered>) {
        let asked =
            |known: &Known| known.surroundings.workloads.iter().any(|workload| workload.metrics.is_some());
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while known.wait_for(asked).await.is_ok() {
            ticks.tick().await;
            let workloads = known.borrow().surroundings.workloads.clone();
            for look in self.look(&workloads).await {
                // Full only while the node cannot be sampled; then nobody asks for it either.
                answered.try_send(look).ok();
            }
        }
    }

    /// One look at all pods of all `workloads` with metrics.
    pub async fn look(&mut self, workloads: &[WorkloadSpec]) -> Vec<Answered> {
        let now = Instant::now();
        let elapsed = self.looked.replace(now).map_or(EVERY, |before| now - before);
        let mut looks = Vec::new();
        let mut seen = BTreeSet::new();
        for workload in workloads {
            let Some(observation) = &workload.metrics else { continue };
            let query = Query::from(observation);
            let port = u16::try_from(observation.port).unwrap_or_default();
            let mut asked = Vec::new();
            for address in workload.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()) {
                asked.push(ask(SocketAddr::new(address, port), &observation.path, &query, self.allowed));
            }
            let pages: Vec<_> = stream::iter(asked).buffer_unordered(CONCURRENCY).collect().await;
            let mut look = Answered {
                namespace: workload.namespace.clone(),
                service: workload.service.clone(),
                elapsed,
                ..Answered::default()
            };
            for (pod, page) in pages {
                let kind = page.as_ref().map_or_else(ScrapeError::kind, |_| "read");
                self.metrics.scrapes.get_or_create(&Which { kind }).inc();
                match page {
                    Ok(page) => {
                        // Another histogram of the same pod has counters of its own.
                        let key = (pod, observation.duration_metric.clone());
                        let counters = self.counters.entry(key.clone()).or_default();
                        look.pods += usize::from(counters.rise(page, &mut look.classes));
                        seen.insert(key);
                    }
                    Err(error) => look.failure = Some(format!("{pod}: {error}")),
                }
            }
            looks.push(look);
        }
        self.counters.retain(|pod, counters| seen.contains(pod) || counters.miss());
        looks
    }
}

async fn ask(
    pod: SocketAddr,
    path: &str,
    query: &Query,
    allowed: fn(IpAddr) -> bool,
) -> (SocketAddr, Result<Page, ScrapeError>) {
    if allowed(pod.ip()) {
        (pod, scrape(pod, path, query).await)
    } else {
        (pod, Err(ScrapeError::NoPod(pod.ip())))
    }
}

/// Whether pods can have this address: not that of a host's own services, nor of a cloud's metadata.
#[must_use]
pub fn may_be_a_pod(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_no_pods_are_refused() {
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::",
        ] {
            assert!(!may_be_a_pod(address.parse().unwrap()), "{address}");
        }
        for address in ["10.244.0.7", "192.168.1.9", "2001:db8::7", "fd00::7"] {
            assert!(may_be_a_pod(address.parse().unwrap()), "{address}");
        }
    }
}
