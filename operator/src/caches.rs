//! What the API server says, kept current by one watch a kind. Every replica watches; a standby is warm.

use std::{
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use foreshift_api::{JournalRoute, ResourcePersona};
use foreshift_daemon::shutdown::Stop;
use foreshift_engine::resource::Freshness;
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
};
use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::warn;

use crate::{key::Key, persona::freshness::Sightings};

/// Label that ties an EndpointSlice to its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Seconds after which a watch is taken up anew. A connection that died without a word (a NAT that forgot it, a cut
/// cable) looks like a quiet cluster; it is noticed five seconds after this.
const RENEW_WATCH_AFTER: u32 = 20;

/// Read side; cheap to clone.
#[derive(Clone)]
pub struct Caches {
    /// What people want.
    pub routes: Store<JournalRoute>,
    /// What the nodes measured.
    pub personas: Store<ResourcePersona>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    sightings: Arc<Mutex<Sightings>>,
    /// A store wakes one waiter only, so all wait for one wait.
    synced: Shared<BoxFuture<'static, bool>>,
}

/// Write side.
pub struct Writers {
    /// Routes.
    pub routes: Writer<JournalRoute>,
    /// Personas.
    pub personas: Writer<ResourcePersona>,
    /// Services.
    pub services: Writer<Service>,
    /// EndpointSlices, ours and everybody's.
    pub slices: Writer<EndpointSlice>,
}

/// Empty caches.
#[must_use]
pub fn new() -> (Caches, Writers) {
    let (routes, to_routes) = reflector::store();
    let (personas, to_personas) = reflector::store();
    let (services, to_services) = reflector::store();
    let (slices, to_slices) = reflector::store();
    let synced =
        first_lists(routes.clone(), personas.clone(), services.clone(), slices.clone()).boxed().shared();
    let caches = Caches { routes, personas, services, slices, sightings: Arc::default(), synced };
    let writers =
        Writers { routes: to_routes, personas: to_personas, services: to_services, slices: to_slices };
    (caches, writers)
}

async fn first_lists(
    routes: Store<JournalRoute>,
    personas: Store<ResourcePersona>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
) -> bool {
    let lists = tokio::join!(
        routes.wait_until_ready(),
        personas.wait_until_ready(),
        services.wait_until_ready(),
        slices.wait_until_ready(),
    );
    lists.0.is_ok() && lists.1.is_ok() && lists.2.is_ok() && lists.3.is_ok()
}

impl Caches {
    /// Waits for the first complete list of every kind; false if a watch ended before.
    pub async fn synced(&self) -> bool {
        self.synced.clone().await
    }

    /// A Service.
    #[must_use]
    pub fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(&ObjectRef::new(name).within(namespace))
    }

    /// The slices of a Service, by name.
    #[must_use]
    pub fn slices_of(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        let of = |slice: &EndpointSlice| slice.labels().get(SERVICE_NAME).is_some_and(|name| name == service);
        let here = |slice: &EndpointSlice| slice.metadata.namespace.as_deref() == Some(namespace);
        let mut slices = self.slices.state_filter(|slice| here(slice) && of(slice));
        slices.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        slices
    }

    /// A node's persona.
    #[must_use]
    pub fn persona(&self, node: &str) -> Option<Arc<ResourcePersona>> {
        self.personas.get(&ObjectRef::new(node))
    }

    /// How old what a persona says is.
    #[must_use]
    pub fn freshness(&self, persona: &ResourcePersona, now: Timestamp) -> Freshness {
        self.sightings().freshness(persona, now)
    }

    /// Takes note of when a persona arrived; see [`Sightings`].
    pub fn sighted(&self, persona: &ResourcePersona, now: Timestamp) {
        self.sightings().note(persona, now);
    }

    fn sightings(&self) -> std::sync::MutexGuard<'_, Sightings> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writers {
    /// Starts one watch a kind. `changed` hears of routes whose spec is new; a full queue drops the hint, the next
    /// tick comes anyway.
    pub fn watch(
        self,
        client: &Client,
        caches: &Caches,
        changed: mpsc::Sender<Key>,
        stop: &Stop,
        tasks: &mut JoinSet<&'static str>,
    ) {
        let told = move |new: &JournalRoute, old: Option<&JournalRoute>| {
            if old.is_none_or(|old| old.metadata.generation != new.metadata.generation) {
                let _ = changed.try_send(Key::of(new));
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
    mut writer: Writer<K>,
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

    use super::*;

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
