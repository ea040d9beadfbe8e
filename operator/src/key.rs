//! What a route is called everywhere.

use std::fmt;

use foreshift_api::JournalRoute;

/// Namespace and name of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace; all that it names is in there, too.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of a route.
    #[must_use]
    pub fn of(route: &JournalRoute) -> Self {
        Self {
            namespace: route.metadata.namespace.clone().unwrap_or_default(),
            name: route.metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
