//! What one reconcile reads, all of it from the caches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use foreshift_api::{JournalRoute, ResourcePersona};
use foreshift_engine::resource::Freshness;
use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice},
    jiff::Timestamp,
};

use crate::{Caches, RouteKey};

/// What is known of everything that a route names.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The Services that the route names, lead, alternates and target, by name.
    pub services: BTreeMap<String, Backend>,
    /// The personas of the nodes behind them, by node.
    pub personas: BTreeMap<String, Persona>,
    /// An older route with the same target.
    pub rival: Option<String>,
}

/// A Service with its slices; one that does not exist may still have some.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// Its slices, by name.
    pub slices: Vec<Arc<EndpointSlice>>,
}

/// A persona and how old it is.
#[derive(Clone, Debug)]
pub struct Persona {
    /// As the agent published it.
    pub object: Arc<ResourcePersona>,
    /// Whether to act on it.
    pub freshness: Freshness,
}

/// Reads what the route names, and the Services in `also`, such as those of the version of it that is in force.
#[must_use]
pub fn observe(caches: &Caches, route: &JournalRoute, also: &[&str], now: Timestamp) -> Observed {
    let RouteKey { namespace, .. } = RouteKey::of(route);
    let services: BTreeMap<String, Backend> = names(route, also)
        .into_iter()
        .map(|name| {
            let service = caches.service(&namespace, name);
            (name.to_owned(), Backend { service, slices: caches.slices_of(&namespace, name) })
        })
        .collect();
    let nodes: BTreeSet<&String> = services
        .values()
        .flat_map(|backend| &backend.slices)
        .flat_map(|slice| &slice.endpoints)
        .filter_map(|endpoint| endpoint.node_name.as_ref())
        .collect();
    let personas = nodes
        .into_iter()
        .filter_map(|node| {
            let object = caches.persona(node)?;
            let freshness = caches.freshness(&object, now);
            Some((node.clone(), Persona { object, freshness }))
        })
        .collect();
    Observed { services, personas, rival: rival(caches, route) }
}

impl Observed {
    /// The slices of a Service.
    pub fn slices(&self, service: &str) -> impl Iterator<Item = &EndpointSlice> {
        self.services.get(service).into_iter().flat_map(|backend| backend.slices.iter().map(Arc::as_ref))
    }

    /// A Service, if it exists.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)?.service.as_deref()
    }
}

fn names<'a>(route: &'a JournalRoute, also: &[&'a str]) -> BTreeSet<&'a str> {
    let spec = &route.spec;
    let mut names: BTreeSet<&str> = spec.alternates.iter().map(|a| a.service.as_str()).collect();
    names.insert(&spec.lead.service);
    names.extend(spec.target.service.as_deref());
    names.extend(also);
    names
}

/// The older of two routes keeps a target; the name decides between twins.
fn rival(caches: &Caches, route: &JournalRoute) -> Option<String> {
    let target = route.spec.target.service.as_ref()?;
    let namespace = route.metadata.namespace.as_deref().unwrap_or_default();
    let age = |route: &JournalRoute| {
        let created = route.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, route.metadata.name.clone())
    };
    let others = caches.routes_to(namespace, target).into_iter();
    let older = others.filter(|other| other.metadata.name != route.metadata.name && age(other) < age(route));
    older.min_by_key(|other| age(other)).and_then(|other| other.metadata.name.clone())
}
