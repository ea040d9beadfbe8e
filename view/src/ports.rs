//! Which port of a backend a port of the target leads to.

use k8s_openapi::api::{
    core::v1::{Service, ServicePort},
    discovery::v1::{EndpointPort, EndpointSlice},
};

/// A port of the target with the port of the backend that answers it.
pub type Pair<'a> = (&'a ServicePort, &'a ServicePort);

/// Pairs the target's ports with the backend's. A target with one port leads to `entries`, the port that the route
/// names; with several, each leads to the backend's port of the same name, else of the same number.
#[must_use]
pub fn pairs<'a>(target: &'a Service, backend: &'a Service, entries: i32) -> Vec<Pair<'a>> {
    let backends = of(backend);
    match of(target) {
        [only] => {
            backends.iter().find(|port| port.port == entries).map(|port| (only, port)).into_iter().collect()
        }
        several => several
            .iter()
            .filter_map(|port| {
                let same_name = backends.iter().find(|b| port.name.is_some() && b.name == port.name);
                same_name.or_else(|| backends.iter().find(|b| b.port == port.port)).map(|b| (port, b))
            })
            .collect(),
    }
}

/// The ports of a slice of ours, for endpoints that come from `slice` of the backend.
#[must_use]
pub fn resolve(pairs: &[Pair<'_>], slice: &EndpointSlice) -> Vec<EndpointPort> {
    let ports = slice.ports.as_deref().unwrap_or_default();
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    pairs
        .iter()
        .filter_map(|(target, backend)| {
            let port = ports.iter().find(|port| name(&port.name) == name(&backend.name))?;
            Some(EndpointPort {
                name: Some(name(&target.name)),
                port: Some(port.port?),
                protocol: Some(target.protocol.clone().unwrap_or_else(|| "TCP".into())),
                app_protocol: target.app_protocol.clone().or_else(|| port.app_protocol.clone()),
            })
        })
        .collect()
}

/// The ports of a Service.
#[must_use]
pub fn of(service: &Service) -> &[ServicePort] {
    service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default()
}

/// The ports of a Service, for people: `9428 (http), 9429`.
#[must_use]
pub fn listed(service: &Service) -> String {
    let one = |port: &ServicePort| match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    };
    let all: Vec<String> = of(service).iter().map(one).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}
