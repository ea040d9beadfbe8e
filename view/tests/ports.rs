//! Which port of a backend a port of the target leads to.

use foreshift_view::ports::{pairs, resolve};
use foreshift_view_fixtures::{ServiceWith, service};
use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{EndpointPort, EndpointSlice},
};

fn paired(target: &Service, backend: &Service, entries: i32) -> Vec<(i32, i32)> {
    pairs(target, backend, entries).iter().map(|(t, b)| (t.port, b.port)).collect()
}

#[test]
fn a_single_port_leads_to_the_port_of_the_route_whatever_its_number_and_name() {
    let backend = service("a").port("ingest", 9428).port("query", 9429);
    assert_eq!(paired(&service("t").port("in", 80), &backend, 9428), [(80, 9428)]);
    assert_eq!(paired(&service("t").port("in", 80), &backend, 1), []);
}

#[test]
fn several_ports_lead_to_the_same_name_else_to_the_same_number() {
    let target = service("t").port("ingest", 80).port("other", 9429).port("nowhere", 1);
    let backend = service("a").port("ingest", 9428).port("query", 9429);
    assert_eq!(paired(&target, &backend, 9428), [(80, 9428), (9429, 9429)]);
}

#[test]
fn numbers_come_from_the_backend_slice_and_names_from_the_target() {
    let target = service("t").port("in", 80);
    let backend = service("a").port("ingest", 9428);
    let slice = EndpointSlice {
        ports: Some(vec![EndpointPort {
            name: Some("ingest".into()),
            port: Some(31000),
            ..EndpointPort::default()
        }]),
        ..EndpointSlice::default()
    };
    let ports = resolve(&pairs(&target, &backend, 9428), &slice);
    assert_eq!((ports[0].name.as_deref(), ports[0].port), (Some("in"), Some(31000)));
    assert_eq!(ports[0].protocol.as_deref(), Some("TCP"));
}
