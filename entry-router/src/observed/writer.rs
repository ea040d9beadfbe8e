//! Writes what this replica saw into the status of routes: when a verdict is new, else seldom.
//!
//! All replicas write under one field manager, so each sends the rows of the others along, as far as they still hold,
//! and names the version that it read them in. A write that came too late is refused, and tried again on what is then
//! there. Whatever fails here, entries go on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use foreshift_api::{JournalRoute, ROUTER_FIELD_MANAGER, apply};
use foreshift_daemon::shutdown::Stop;
use foreshift_view::Caches;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::rows::{Rows, merged};
use crate::{routes::Routes, snapshot::RouteKey};

/// How often is looked for news.
const LOOK: Duration = Duration::from_secs(5);

/// A request to an API server that has silently died would otherwise hang for minutes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After a failed write nothing is written for a while, longer each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// How writes ended.
#[derive(Debug, Default)]
pub struct Writes {
    /// Written.
    pub done: AtomicU64,
    /// Refused since somebody else wrote first; tried again.
    pub conflicts: AtomicU64,
    /// Refused or not answered.
    pub failures: AtomicU64,
}

/// Writes the status of every route that this process serves.
pub struct Writer {
    client: Client,
    caches: Caches,
    routes: Routes,
    /// Name of this replica.
    observer: String,
    writes: Arc<Writes>,
    written: BTreeMap<RouteKey, Rows>,
    failures: u32,
    /// Looks to leave out after failures.
    pause: u32,
}

impl Writer {
    /// Has written nothing yet.
    #[must_use]
    pub fn new(
        client: Client,
        caches: Caches,
        routes: Routes,
        observer: String,
        writes: Arc<Writes>,
    ) -> Self {
        Self { client, caches, routes, observer, writes, written: BTreeMap::new(), failures: 0, pause: 0 }
    }

    /// Writes what is due until asked to stop.
    pub async fn run(mut self, mut stop: Stop) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return,
                _ = looks.tick() => {}
            }
            tokio::select! {
                () = stop.requested() => return,
                () = self.look() => {}
            }
        }
    }

    /// Writes what is due now.
    pub async fn look(&mut self) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let served = self.routes.all();
        self.written.retain(|key, _| served.iter().any(|(served, _)| served == key));
        for (key, assigner) in served {
            let rows = Rows::of(&assigner.seen(), &self.observer);
            if !self.written.get(&key).map_or(!rows.is_empty(), |before| rows.is_due(before)) {
                continue;
            }
            let reference = ObjectRef::new(&key.name).within(&key.namespace);
            let Some(route) = self.caches.routes.get(&reference) else { continue };
            match self.write(&key, &body(&route, &rows, &self.observer)).await {
                Ok(()) => {
                    self.failures = 0;
                    self.written.insert(key, rows);
                    self.writes.done.fetch_add(1, Ordering::Relaxed);
                }
                Err(Error::Api(error)) if is_conflict(&error) => {
                    self.writes.conflicts.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.writes.failures.fetch_add(1, Ordering::Relaxed);
                    self.back_off();
                    debug!(route = %key, %error, "the status was not written");
                    return;
                }
            }
        }
    }

    async fn write(&self, key: &RouteKey, body: &Value) -> Result<(), Error> {
        let routes: Api<JournalRoute> = Api::namespaced(self.client.clone(), &key.namespace);
        let params = PatchParams::apply(ROUTER_FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        let call = routes.patch_status(&key.name, &params, &patch);
        tokio::time::timeout(TIMEOUT, call).await.map_err(|_| Error::Timeout)??;
        Ok(())
    }

    fn back_off(&mut self) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.pause = pause.as_secs().div_ceil(LOOK.as_secs()) as u32;
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the API server did not answer within {TIMEOUT:?}")]
    Timeout,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

/// The rows of all replicas, for the version of the route that they were read in.
fn body(route: &JournalRoute, own: &Rows, observer: &str) -> Value {
    let (shadow, outcomes) = merged(route, own, observer);
    let mut body = apply::frame_of(route);
    body["metadata"]["resourceVersion"] = json!(route.metadata.resource_version);
    body["status"] = json!({"shadow": shadow, "outcomes": outcomes});
    body
}

#[cfg(test)]
mod tests;
