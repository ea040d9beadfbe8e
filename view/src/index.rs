//! Names of objects by what they refer to: slices by their Service, routes by their target. A look-up costs what it
//! finds, not what the cluster holds.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use kube::{
    Resource, ResourceExt,
    runtime::{
        reflector::{Store, store::Writer},
        watcher::Event,
    },
};

/// What an object refers to, `None` if it refers to nothing.
pub type Reference<K> = fn(&K) -> Option<&str>;

/// Read side of an index; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Index(Arc<RwLock<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// Namespace, reference, names.
    of: HashMap<String, HashMap<String, BTreeSet<String>>>,
    /// Namespace and name, reference: what to take out when an object refers to something else.
    referred: HashMap<(String, String), String>,
}

/// Write side of a store and of its index.
pub struct IndexedWriter<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store: Writer<K>,
    index: Index,
    reference: Reference<K>,
    /// What a list that is under way has brought so far.
    listed: Names,
}

impl Index {
    /// Names of the objects of a namespace that refer to `reference`, in order.
    #[must_use]
    pub fn names(&self, namespace: &str, reference: &str) -> Vec<String> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = names.of.get(namespace).and_then(|of| of.get(reference));
        found.into_iter().flatten().cloned().collect()
    }
}

impl<K> IndexedWriter<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// A writer that also keeps an index by `reference`.
    #[must_use]
    pub fn new(store: Writer<K>, reference: Reference<K>) -> Self {
        Self { store, index: Index::default(), reference, listed: Names::default() }
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index.clone()
    }

    /// The store.
    #[must_use]
    pub fn as_reader(&self) -> Store<K> {
        self.store.as_reader()
    }

    /// Applies an event to the store, then to the index: what a reader finds in between, it checks in the store.
    pub fn apply_watcher_event(&mut self, event: &Event<K>) {
        self.store.apply_watcher_event(event);
        let mut names = self.index.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) => names.put(object, self.reference),
            Event::Delete(object) => names.remove(object),
            Event::Init => self.listed = Names::default(),
            Event::InitApply(object) => self.listed.put(object, self.reference),
            Event::InitDone => *names = std::mem::take(&mut self.listed),
        }
    }
}

impl Names {
    fn put<K: ResourceExt>(&mut self, object: &K, reference: Reference<K>) {
        self.remove(object);
        let Some(reference) = reference(object) else { return };
        let (namespace, name) = key(object);
        let of = self.of.entry(namespace.clone()).or_default();
        of.entry(reference.to_owned()).or_default().insert(name.clone());
        self.referred.insert((namespace, name), reference.to_owned());
    }

    /// Empty entries go too, so that an index is bounded by what is there.
    fn remove<K: ResourceExt>(&mut self, object: &K) {
        let (namespace, name) = key(object);
        let key = (namespace, name);
        let Some(reference) = self.referred.remove(&key) else { return };
        let Some(of) = self.of.get_mut(&key.0) else { return };
        if let Some(names) = of.get_mut(&reference) {
            names.remove(&key.1);
            if names.is_empty() {
                of.remove(&reference);
            }
        }
        if of.is_empty() {
            self.of.remove(&key.0);
        }
    }
}

fn key<K: ResourceExt>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use kube::runtime::reflector;

    use super::*;
    use crate::labels::SERVICE_NAME;

    fn slice(name: &str, service: Option<&str>) -> EndpointSlice {
        let mut slice = EndpointSlice::default();
        slice.metadata.namespace = Some("shop".into());
        slice.metadata.name = Some(name.into());
        slice.metadata.labels = service.map(|service| [(SERVICE_NAME.to_owned(), service.to_owned())].into());
        slice
    }

    fn service(slice: &EndpointSlice) -> Option<&str> {
        slice.metadata.labels.as_ref()?.get(SERVICE_NAME).map(String::as_str)
    }

    fn writer() -> IndexedWriter<EndpointSlice> {
        IndexedWriter::new(reflector::store().1, service)
    }

    #[test]
    fn an_object_is_found_by_what_it_refers_to_now_and_by_nothing_once_it_is_gone() {
        let mut writer = writer();
        let index = writer.index();
        writer.apply_watcher_event(&Event::Apply(slice("b", Some("journal"))));
        writer.apply_watcher_event(&Event::Apply(slice("a", Some("journal"))));
        assert_eq!(index.names("shop", "journal"), ["a", "b"]);
        assert!(index.names("other", "journal").is_empty());
        writer.apply_watcher_event(&Event::Apply(slice("a", Some("spare"))));
        writer.apply_watcher_event(&Event::Apply(slice("b", None)));
        assert!(index.names("shop", "journal").is_empty());
        assert_eq!(index.names("shop", "spare"), ["a"]);
        writer.apply_watcher_event(&Event::Delete(slice("a", None)));
        let names = index.0.read().unwrap();
        assert!(names.of.is_empty() && names.referred.is_empty(), "nothing is left: {names:?}");
    }

    #[test]
    fn a_new_list_takes_the_place_of_everything_at_once() {
        let mut writer = writer();
        let index = writer.index();
        writer.apply_watcher_event(&Event::Apply(slice("old", Some("journal"))));
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitApply(slice("new", Some("journal"))));
        assert_eq!(index.names("shop", "journal"), ["old"], "until the list is complete");
        writer.apply_watcher_event(&Event::InitDone);
        assert_eq!(index.names("shop", "journal"), ["new"]);
    }
}
