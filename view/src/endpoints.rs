//! Single endpoints: which of them take entries, and how to tell them apart.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// Address types that carry traffic; `FQDN` slices do not.
pub const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// Whether an endpoint takes entries: ready (or not said otherwise) and not on its way out.
#[must_use]
pub fn is_ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
    ready && !terminating && !endpoint.addresses.is_empty()
}

/// What stays the same for one endpoint in the slices of both address families: its pod, else its address.
#[must_use]
pub fn identity(endpoint: &Endpoint) -> &str {
    pod(endpoint).or(endpoint.addresses.first().map(String::as_str)).unwrap_or_default()
}

/// UID of the pod behind it.
#[must_use]
pub fn pod(endpoint: &Endpoint) -> Option<&str> {
    let target = endpoint.target_ref.as_ref()?;
    (target.kind.as_deref() == Some("Pod")).then_some(target.uid.as_deref()).flatten()
}

/// One address of each endpoint that takes entries.
pub fn addresses<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    ready(slices)
        .filter(|(_, endpoint)| seen.insert(identity(endpoint)))
        .filter_map(|(_, endpoint)| endpoint.addresses.first().map(String::as_str))
        .collect()
}

/// The endpoints that take entries, each with its slice.
pub fn ready<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
) -> impl Iterator<Item = (&'a EndpointSlice, &'a Endpoint)> {
    slices
        .into_iter()
        .filter(|slice| FAMILIES.contains(&slice.address_type.as_str()))
        .flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (slice, endpoint)))
        .filter(|(_, endpoint)| is_ready(endpoint))
}
