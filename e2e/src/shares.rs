//! What share each resource is programmed to get: how many of its endpoints stand behind the target Service,
//! followed by a watch so that no change is missed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use tokio::task::JoinSet;

use crate::stage::{NAMESPACE, RESOURCES, TARGET};

/// Ready endpoints of each resource behind the target, in the order of [`RESOURCES`].
pub type Endpoints = [u32; 3];

/// A set of endpoints and since when it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programmed {
    /// When it was seen.
    pub at: Instant,
    /// The endpoints.
    pub endpoints: Endpoints,
}

/// Follows the target's EndpointSlices. Dropping it ends the watch.
#[derive(Debug)]
pub struct ShareWatch {
    log: Arc<Mutex<Vec<Programmed>>>,
    _task: JoinSet<()>,
}

/// States that stand for less than this are steps of one change, which may take several writes.
const SETTLED: Duration = Duration::from_millis(400);

impl ShareWatch {
    /// Starts following.
    #[must_use]
    pub fn start(client: &Client) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
        let ours = watcher::Config::default().labels(&format!("kubernetes.io/service-name={TARGET}"));
        let events = watcher(slices, ours).default_backoff();
        let mut task = JoinSet::new();
        task.spawn(follow(events, Arc::clone(&log)));
        Self { log, _task: task }
    }

    /// Every state seen so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Programmed> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The endpoints now.
    #[must_use]
    pub fn now(&self) -> Endpoints {
        self.seen().last().map_or([0; 3], |programmed| programmed.endpoints)
    }
}

/// Shares that an even spread over endpoints comes to; zeros without endpoints.
#[must_use]
pub fn shares(endpoints: Endpoints) -> [f64; 3] {
    let all = f64::from(endpoints.iter().sum::<u32>());
    endpoints.map(|n| if all > 0.0 { f64::from(n) / all } else { 0.0 })
}

/// Whether both come to the same shares; compared without division.
fn same_shares(a: Endpoints, b: Endpoints) -> bool {
    let (all_a, all_b) = (a.iter().sum::<u32>(), b.iter().sum::<u32>());
    a.iter().zip(b).all(|(a, b)| a * all_b == b * all_a)
}

/// The changes of shares in a log; steps of one change are one, and equal shares of more endpoints are none.
#[must_use]
pub fn changes(log: &[Programmed]) -> Vec<Programmed> {
    let settled = log
        .iter()
        .enumerate()
        .filter(|(i, state)| log.get(i + 1).is_none_or(|next| next.at - state.at >= SETTLED))
        .map(|(_, state)| *state);
    let mut changes: Vec<Programmed> = Vec::new();
    let mut last = None;
    for state in settled {
        if last.is_some_and(|last| !same_shares(last, state.endpoints)) {
            changes.push(state);
        }
        last = Some(state.endpoints);
    }
    changes
}

async fn follow(
    events: impl futures::Stream<Item = Result<Event<EndpointSlice>, watcher::Error>>,
    log: Arc<Mutex<Vec<Programmed>>>,
) {
    let mut events = std::pin::pin!(events);
    let mut slices = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => slices.clear(),
            Ok(Event::InitApply(slice) | Event::Apply(slice)) => {
                slices.insert(slice.name_any(), ready_endpoints(&slice));
            }
            Ok(Event::Delete(slice)) => {
                slices.remove(&slice.name_any());
            }
            Ok(Event::InitDone) => {}
            Err(error) => {
                tracing::warn!(%error, "the watch of EndpointSlices was interrupted");
                continue;
            }
        }
        let endpoints = slices
            .values()
            .fold([0; 3], |sum: Endpoints, n: &Endpoints| [sum[0] + n[0], sum[1] + n[1], sum[2] + n[2]]);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.last().is_none_or(|last| last.endpoints != endpoints) {
            log.push(Programmed { at: Instant::now(), endpoints });
        }
    }
}

fn ready_endpoints(slice: &EndpointSlice) -> Endpoints {
    let mut counts = [0; 3];
    for endpoint in &slice.endpoints {
        let ready = endpoint.conditions.as_ref().and_then(|c| c.ready) != Some(false);
        let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        if let Some(resource) = RESOURCES.iter().position(|name| ready && is_pod_of(pod, name)) {
            counts[resource] += 1;
        }
    }
    counts
}

/// Pods of a Deployment are named `NAME-HASH-HASH`.
fn is_pod_of(pod: &str, deployment: &str) -> bool {
    pod.strip_prefix(deployment).is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(states: &[(u64, Endpoints)]) -> Vec<Programmed> {
        let start = Instant::now();
        states
            .iter()
            .map(|&(ms, endpoints)| Programmed { at: start + Duration::from_millis(ms), endpoints })
            .collect()
    }

    #[test]
    fn writes_of_one_change_count_as_one() {
        let log = log(&[(0, [4, 0, 0]), (9000, [3, 0, 0]), (9010, [3, 1, 0]), (20_000, [4, 0, 0])]);
        let endpoints: Vec<_> = changes(&log).iter().map(|change| change.endpoints).collect();
        assert_eq!(endpoints, [[3, 1, 0], [4, 0, 0]]);
    }

    #[test]
    fn twice_the_endpoints_in_the_same_parts_are_no_change() {
        assert!(changes(&log(&[(0, [2, 1, 0]), (5000, [4, 2, 0])])).is_empty());
        assert!(changes(&[]).is_empty());
    }

    #[test]
    fn a_pod_belongs_to_the_deployment_that_its_name_begins_with() {
        assert!(is_pod_of("journal-a-6d4b-x2x", "journal-a"));
        assert!(!is_pod_of("journal-ab-6d4b-x2x", "journal-a"));
    }
}
