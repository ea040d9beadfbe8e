//! How a resource tells a copy from an entry.

use foreshift_api::journal_route::Shadow;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::headers::ENTRY_ID;

/// Marks copies of a route that names no header for it.
const HEADER: HeaderName = HeaderName::from_static("x-foreshift-shadow");
const VALUE: HeaderValue = HeaderValue::from_static("true");

/// Precedes the id of the entry that a copy was made of.
const ID_PREFIX: &[u8] = b"shadow-";

/// The header that marks copies, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    name: HeaderName,
    value: HeaderValue,
}

impl Mark {
    /// What the route asks for; `None` if that is no header, and then nothing can be copied.
    #[must_use]
    pub fn of(spec: &Shadow) -> Option<Self> {
        let Some(named) = &spec.header else { return Some(Self { name: HEADER, value: VALUE }) };
        Some(Self { name: named.name.parse().ok()?, value: named.value.parse().ok()? })
    }

    /// Makes the head of an entry that of a copy. A copy has an id of its own: a resource that knows entries by their
    /// ids must not take the entry itself, should it come later, for one that it already has.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
        let id = headers.get(ENTRY_ID).map_or(&b""[..], HeaderValue::as_bytes);
        if let Ok(id) = HeaderValue::from_bytes(&[ID_PREFIX, id].concat()) {
            headers.insert(ENTRY_ID, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use foreshift_api::journal_route::HeaderMatch;

    use super::*;

    fn marked(header: Option<(&str, &str)>) -> Option<Mark> {
        let header = header.map(|(name, value)| HeaderMatch { name: name.into(), value: value.into() });
        Mark::of(&Shadow { header, ..Shadow::default() })
    }

    #[test]
    fn a_copy_has_the_mark_of_its_route_and_an_id_of_its_own() {
        let mut headers = HeaderMap::new();
        headers.insert(ENTRY_ID, HeaderValue::from_static("e1"));
        marked(Some(("X-Dry-Run", "1"))).unwrap().put(&mut headers);
        assert_eq!(
            (&headers["x-dry-run"], &headers["x-entry-id"]),
            (&"1".parse().unwrap(), &"shadow-e1".parse().unwrap())
        );
        marked(None).unwrap().put(&mut headers);
        assert_eq!(headers["x-foreshift-shadow"], "true");
    }

    #[test]
    fn what_is_no_header_marks_nothing() {
        assert_eq!((marked(Some(("not a name", "1"))), marked(Some(("x", "\n")))), (None, None));
    }
}
