//! The routes of this process and their assigners.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    assigner::{Assigner, Settings},
    snapshot::{RouteKey, RouteSnapshot},
};

/// Assigners by route; cheap to clone, shared by all frontends.
#[derive(Clone, Debug, Default)]
pub struct Routes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    settings: Settings,
    routes: RwLock<BTreeMap<RouteKey, Assigner>>,
}

impl Routes {
    /// No routes yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared { settings, routes: RwLock::default() }))
    }

    /// Takes over what a tick brought: new routes get an assigner, those that are gone lose theirs. Entries under
    /// way end on the assigner that sent them.
    pub fn update(&self, snapshots: Vec<RouteSnapshot>) {
        let mut known = self.0.routes.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|key, _| snapshots.iter().any(|snapshot| &snapshot.route == key));
        for snapshot in snapshots {
            let key = snapshot.route.clone();
            known.entry(key).or_insert_with(|| Assigner::new(self.0.settings)).prepare(snapshot);
        }
    }

    /// The assigner of a route.
    #[must_use]
    pub fn get(&self, key: &RouteKey) -> Option<Assigner> {
        self.read().get(key).cloned()
    }

    /// The assigner of the only route; none where there are several or none.
    #[must_use]
    pub fn only(&self) -> Option<Assigner> {
        let routes = self.read();
        let mut all = routes.values();
        all.next().filter(|_| all.next().is_none()).cloned()
    }

    /// The assigner of the route whose target has this host name: the Service's, alone or followed by its namespace.
    #[must_use]
    pub fn at_host(&self, host: &str) -> Option<Assigner> {
        let mut labels = host.split('.');
        let (service, namespace) = (labels.next()?, labels.next());
        let routes = self.read();
        let named = |key: &RouteKey| namespace.is_none_or(|namespace| key.namespace == namespace);
        let targets = |assigner: &Assigner| {
            assigner.with_snapshot(|snapshot| snapshot.spec.target.service.as_deref() == Some(service))
        };
        let mut found = routes.iter().filter(|(key, assigner)| named(key) && targets(assigner) == Some(true));
        let first = found.next()?;
        // A name that two namespaces have says nothing.
        found.next().is_none().then(|| first.1.clone())
    }

    /// All routes.
    #[must_use]
    pub fn all(&self) -> Vec<(RouteKey, Assigner)> {
        self.read().iter().map(|(key, assigner)| (key.clone(), assigner.clone())).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<RouteKey, Assigner>> {
        self.0.routes.read().unwrap_or_else(PoisonError::into_inner)
    }
}
