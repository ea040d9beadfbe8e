//! What the API server says. Every replica watches; a standby is warm.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreshift_api::{JournalRoute, ResourcePersona};
use foreshift_engine::resource::Freshness;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice},
    jiff::Timestamp,
};
use kube::{
    ResourceExt,
    runtime::reflector::{self, ObjectRef, Store},
};

use crate::{
    freshness::Sightings,
    index::{Index, IndexedWriter},
    labels::SERVICE_NAME,
};

/// Read side; cheap to clone.
#[derive(Clone)]
pub struct Caches {
    /// What people want.
    pub routes: Store<JournalRoute>,
    /// What the nodes measured.
    pub personas: Store<ResourcePersona>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    slices_by_service: Index,
    routes_by_target: Index,
    sightings: Arc<Mutex<Sightings>>,
    /// A store wakes one waiter only, so all wait for one wait.
    synced: Shared<BoxFuture<'static, bool>>,
}

/// Write side.
pub struct Writers {
    /// Routes.
    pub routes: IndexedWriter<JournalRoute>,
    /// Personas.
    pub personas: IndexedWriter<ResourcePersona>,
    /// Services.
    pub services: IndexedWriter<Service>,
    /// EndpointSlices, ours and everybody's.
    pub slices: IndexedWriter<EndpointSlice>,
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
    let writers = Writers {
        routes: IndexedWriter::new(to_routes, target_of),
        personas: IndexedWriter::new(to_personas, |_| None),
        services: IndexedWriter::new(to_services, |_| None),
        slices: IndexedWriter::new(to_slices, service_of),
    };
    let (slices_by_service, routes_by_target) = (writers.slices.index(), writers.routes.index());
    let sightings = Arc::default();
    let caches =
        Caches { routes, personas, services, slices, slices_by_service, routes_by_target, sightings, synced };
    (caches, writers)
}

fn target_of(route: &JournalRoute) -> Option<&str> {
    route.spec.target.service.as_deref()
}

fn service_of(slice: &EndpointSlice) -> Option<&str> {
    slice.labels().get(SERVICE_NAME).map(String::as_str)
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
        let names = self.slices_by_service.names(namespace, service);
        let slices = names.iter().filter_map(|name| self.slices.get(&ObjectRef::new(name).within(namespace)));
        slices.filter(|slice| service_of(slice) == Some(service)).collect()
    }

    /// The routes of a namespace with this target, by name.
    #[must_use]
    pub fn routes_to(&self, namespace: &str, target: &str) -> Vec<Arc<JournalRoute>> {
        let names = self.routes_by_target.names(namespace, target);
        let routes = names.iter().filter_map(|name| self.routes.get(&ObjectRef::new(name).within(namespace)));
        routes.filter(|route| target_of(route) == Some(target)).collect()
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

    fn sightings(&self) -> MutexGuard<'_, Sightings> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
