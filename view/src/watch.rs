//! One watch a kind, which keeps the caches current.

use std::{fmt::Debug, pin::pin};

use foreshift_api::{JournalRoute, ResourcePersona};
use foreshift_daemon::shutdown::Stop;
use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::warn;

use crate::{
    RouteKey,
    caches::{Caches, Writers},
    index::IndexedWriter,
};

/// Seconds after which a watch is taken up anew. A connection that died without a word (a NAT that forgot it, a cut
/// cable) looks like a quiet cluster; it is noticed five seconds after this.
const RENEW_WATCH_AFTER: u32 = 20;

impl Writers {
    /// Starts one watch a kind. `changed` hears of routes whose spec is new; a full queue drops the hint, the next
    /// tick comes anyway.
    pub fn watch(
        self,
        client: &Client,
        caches: &Caches,
        changed: mpsc::Sender<RouteKey>,
        stop: &Stop,
        tasks: &mut JoinSet<&'static str>,
    ) {
        let told = move |new: &JournalRoute, old: Option<&JournalRoute>| {
            if old.is_none_or(|old| old.metadata.generation != new.metadata.generation) {
                let _ = changed.try_send(RouteKey::of(new));
            }
        };
        let seen = caches.clone();
        let sighted =
            move |new: &ResourcePersona, _: Option<&ResourcePersona>| seen.sighted(new, Timestamp::now());
        let routes = watch(Api::all(client.clone()), self.routes, told, stop.clone());
        let personas = watch(Api::all(client.clone()), self.personas, sighted, stop.clone());
        let services = watch(Api::all(client.clone()), self.services, |_, _| (), stop.clone());
        let slices = watch(Api::all(client.clone()), self.slices, |_, _| (), stop.clone());
        tasks.spawn(routes.map(|()| "the watch of routes"));
        tasks.spawn(personas.map(|()| "the watch of personas"));
        tasks.spawn(services.map(|()| "the watch of Services"));
        tasks.spawn(slices.map(|()| "the watch of EndpointSlices"));
    }
}

/// Follows one kind until asked to stop. An object that does not fit its type is reported and the last one that did is kept.
async fn watch<K>(
    api: Api<DeserializeGuard<K>>,
    mut writer: IndexedWriter<K>,
    mut noted: impl FnMut(&K, Option<&K>) + Send,
    mut stop: Stop,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let known = writer.as_reader();
    let config = watcher::Config::default().timeout(RENEW_WATCH_AFTER);
    let mut events = pin!(watcher(api, config).default_backoff());
    loop {
        let event = tokio::select! {
            () = stop.requested() => return,
            Some(event) = events.next() => event,
            else => return,
        };
        match event {
            Ok(event) => {
                let Some(event) = sound(event, &known) else { continue };
                if let Event::Apply(object) | Event::InitApply(object) = &event {
                    noted(object, known.get(&ObjectRef::from_obj(object)).as_deref());
                }
                writer.apply_watcher_event(&event);
            }
            Err(error) => {
                warn!(kind = %K::kind(&()), %error, "a watch was interrupted and is taken up again");
            }
        }
    }
}

/// The event, with a sound object in it: the slimmed new one, or the last one that was sound.
fn sound<K>(event: Event<DeserializeGuard<K>>, known: &Store<K>) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let last = |guard: &DeserializeGuard<K>| {
        let mut key = ObjectRef::new(&guard.name_any());
        key.namespace = guard.namespace();
        known.get(&key).map(|object| (*object).clone())
    };
    let slim = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            object.meta_mut().annotations = None;
            Some(object)
        }
        Err(invalid) => {
            let kind = K::kind(&());
            warn!(%kind, name = ?invalid.metadata.name, error = invalid.error, "an object does not fit its type");
            last(&DeserializeGuard(Err(invalid)))
        }
    };
    Some(match event {
        Event::Apply(guard) => Event::Apply(slim(guard)?),
        Event::InitApply(guard) => Event::InitApply(slim(guard)?),
        Event::Delete(guard) => Event::Delete(last(&guard)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

#[cfg(test)]
mod tests {
    use kube::core::error_boundary::InvalidObject;

    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::caches::new;

    fn service(name: &str, version: &str) -> Service {
        let mut service = Service::default();
        service.metadata.name = Some(name.into());
        service.metadata.namespace = Some("shop".into());
        service.metadata.resource_version = Some(version.into());
        service
    }

    fn broken(name: &str) -> DeserializeGuard<Service> {
        let metadata = service(name, "2").metadata;
        DeserializeGuard(Err(InvalidObject { error: "ports: not a list".into(), metadata }))
    }

    #[test]
    fn an_object_that_does_not_fit_leaves_the_last_sound_one_and_the_watch_alive() {
        let (caches, mut writers) = new();
        writers.services.apply_watcher_event(&Event::Apply(service("a", "1")));
        let store = writers.services.as_reader();
        let kept = sound(Event::Apply(broken("a")), &store).unwrap();
        assert!(matches!(kept, Event::Apply(s) if s.metadata.resource_version.as_deref() == Some("1")));
        assert!(sound(Event::Apply(broken("new")), &store).is_none());
        let gone = sound(Event::Delete(broken("a")), &store).unwrap();
        writers.services.apply_watcher_event(&gone);
        assert!(caches.service("shop", "a").is_none());
    }
}
