//! What a route is called everywhere.

use std::fmt;

use foreshift_api::JournalRoute;

/// Namespace and name of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// Its namespace; all that it names is in there, too.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl RouteKey {
    /// The key of a route.
    #[must_use]
    pub fn of(route: &JournalRoute) -> Self {
        Self {
            namespace: route.metadata.namespace.clone().unwrap_or_default(),
            name: route.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Name of a Service of the route's namespace, as no other namespace's Service is called.
    #[must_use]
    pub fn service(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
