//! The objects of Kubernetes that the operator reads and writes, made from a layout.

use std::{collections::BTreeMap, sync::Arc};

use foreshift_api::{
    JournalRoute, JournalRouteSpec,
    journal_route::{ResourceRef, Strategy},
};
use foreshift_view::{Observed, endpoints, labels::SERVICE_NAME, observe::Backend};
use k8s_openapi::api::{
    core::v1::{ObjectReference, Service, ServicePort, ServiceSpec},
    discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
};

use super::Output;
use crate::fleet::{Fleet, Layout};

/// Namespace of everything.
pub(super) const NAMESPACE: &str = "default";

/// Name of every port.
const PORT: &str = "entries";

/// A route as the API server would show it.
pub(super) fn route(number: usize, spec: &JournalRouteSpec, output: Output) -> JournalRoute {
    let mut spec = spec.clone();
    if output == Output::Reactive {
        spec.forecast.strategy = Strategy::Reactive;
    }
    let name = format!("{}-{number}", spec.lead.service);
    let mut route = JournalRoute::new(&name, spec);
    route.metadata.namespace = Some(NAMESPACE.into());
    route.metadata.uid = Some(name);
    route.metadata.generation = Some(1);
    route
}

/// The Services that a route names.
pub(super) fn services(spec: &JournalRouteSpec) -> BTreeMap<String, Backend> {
    let resources = std::iter::once(&spec.lead).chain(&spec.alternates);
    let target = spec.target.service.iter().map(|name| (name.as_str(), spec.lead.port));
    let backends = resources.map(|ResourceRef { service, port }| (service.as_str(), *port));
    backends.chain(target).map(|(name, port)| (name.to_owned(), backend(name, port))).collect()
}

fn backend(name: &str, port: i32) -> Backend {
    let port = ServicePort { name: Some(PORT.into()), port, ..ServicePort::default() };
    let mut service = Service::default();
    service.metadata.name = Some(name.into());
    service.metadata.namespace = Some(NAMESPACE.into());
    service.metadata.uid = Some(name.into());
    service.spec = Some(ServiceSpec { ports: Some(vec![port]), ..ServiceSpec::default() });
    Backend { service: Some(Arc::new(service)), slices: Vec::new() }
}

/// Lists the endpoints of a route's resources anew, as Kubernetes' own controller does.
pub(super) fn list(observed: &mut Observed, fleet: &Fleet, route: usize) {
    let layout = fleet.layout();
    for &member in &layout.pools[route].members {
        let name = &layout.resources[usize::from(member)].name;
        let Some(backend) = observed.services.get_mut(name) else { continue };
        let port = backend
            .service
            .as_ref()
            .and_then(|service| service.spec.as_ref()?.ports.as_ref()?.first())
            .map(|p| p.port);
        let mut slice = EndpointSlice {
            address_type: "IPv4".into(),
            endpoints: fleet.ready_of(member).iter().map(|&e| endpoint(e, layout)).collect(),
            ports: Some(vec![EndpointPort { name: Some(PORT.into()), port, ..EndpointPort::default() }]),
            ..EndpointSlice::default()
        };
        slice.metadata.name = Some(format!("{name}-ipv4"));
        slice.metadata.namespace = Some(NAMESPACE.into());
        slice.metadata.labels = Some([(SERVICE_NAME.to_owned(), name.clone())].into());
        backend.slices = vec![Arc::new(slice)];
    }
}

fn endpoint(index: u16, layout: &Layout) -> Endpoint {
    let node = usize::from(layout.endpoints[usize::from(index)].node);
    let pod = ObjectReference {
        kind: Some("Pod".into()),
        uid: Some(index.to_string()),
        ..ObjectReference::default()
    };
    Endpoint {
        addresses: vec![format!("10.0.{}.{}", index / 256, index % 256)],
        node_name: Some(layout.nodes[node].name.clone()),
        target_ref: Some(pod),
        ..Endpoint::default()
    }
}

/// The endpoints that slices of ours list.
pub(super) fn listed(slices: &[EndpointSlice], layout: &Layout) -> Vec<u16> {
    let all = slices.iter().flat_map(|slice| &slice.endpoints);
    let indices = all.filter_map(|endpoint| endpoints::identity(endpoint).parse::<u16>().ok());
    indices.filter(|&index| usize::from(index) < layout.endpoints.len()).collect()
}
