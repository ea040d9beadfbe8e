//! Routes of a cluster: what the API server says, read from the operator's caches and by the operator's rules.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use foreshift_api::{
    JournalRoute, JournalRouteSpec,
    journal_route::{self, Mode, ResourceRef},
};
use foreshift_engine::{
    decision::Phase,
    resource::{Readiness, Resource},
};
use foreshift_view::{
    Caches, Observed, RouteKey,
    convert::ToEngine,
    endpoints, observe,
    policy::policy,
    ports,
    resources::{Attribution, measure},
};
use k8s_openapi::{
    api::{
        core::v1::Service,
        discovery::v1::{EndpointPort, EndpointSlice},
    },
    jiff::Timestamp,
};

use super::{Member, Protocol, RouteSnapshot};

/// All that the pods of a resource do counts as the route's: what more there is, is not told apart per entry.
const ALL: Attribution = Attribution { part: 1.0, idle: 0.0 };

/// The name that Kubernetes has for HTTP/2 by prior knowledge (KEP-3726).
const H2C: &str = "kubernetes.io/h2c";

/// What stands in the caches of every route. `service` is that of the router's replicas, which share the entries.
#[must_use]
pub fn snapshots(caches: &Caches, service: Option<&RouteKey>, now: Timestamp) -> Vec<RouteSnapshot> {
    let part = service.map_or(1.0, |service| 1.0 / replicas(caches, service).max(1) as f64);
    caches.routes.state().iter().map(|route| snapshot(caches, route, part, now)).collect()
}

fn snapshot(caches: &Caches, route: &JournalRoute, part: f64, now: Timestamp) -> RouteSnapshot {
    let observed = observe(caches, route, &[], now);
    let key = RouteKey::of(route);
    let spec = &route.spec;
    let told = route.status.as_ref().map_or_else(Vec::new, |status| status.shares.clone());
    let share = |name: &str| told.iter().find(|share| share.resource == name);
    // Observing changes nothing: everything to the lead. What is suspended gives nobody anything new.
    let may_take = |reference: &&ResourceRef| match spec.mode {
        Mode::Observe => false,
        Mode::Active => {
            !spec.suspend || share(&reference.service).is_some_and(|share| share.desired.permille() > 0)
        }
    };
    let members = std::iter::once(&spec.lead)
        .chain(spec.alternates.iter().filter(may_take))
        .map(|reference| member(&key, reference, spec, &observed, share(&reference.service)))
        .collect();
    let phase = route.status.as_ref().map_or(Phase::Steady, |status| status.phase.to_engine());
    let at = now.as_duration().unsigned_abs();
    RouteSnapshot { policy: policy(spec), spec: spec.clone(), route: key, at, phase, members, part }
}

fn member(
    route: &RouteKey,
    reference: &ResourceRef,
    spec: &JournalRouteSpec,
    observed: &Observed,
    share: Option<&journal_route::ResourceShare>,
) -> Member {
    let name = &reference.service;
    let measured = measure(&route.namespace, name, observed, ALL).resource;
    let (endpoints, protocol) = addresses(observed, reference);
    let shadow_port = spec.shadow.as_ref().and_then(|shadow| shadow.port);
    let (shadow_endpoints, shadow_protocol) = shadow_port.map_or_else(
        || (endpoints.clone(), protocol),
        |port| addresses(observed, &ResourceRef { service: name.clone(), port }),
    );
    let readiness = share.map_or(Readiness::Inconclusive, |share| share.readiness.to_engine());
    Member {
        resource: Resource { endpoints: endpoints.len() as u32, readiness, ..measured },
        endpoints,
        shadow_endpoints,
        protocol,
        shadow_protocol,
        share: share.map_or(0, |share| share.desired.permille()),
        warm: share.and_then(|share| share.warm_up).map(foreshift_api::Percent::fraction),
    }
}

/// The ready endpoints of a Service at one of its ports, and what they speak there; of a pod with two addresses the first,
/// IPv4 before IPv6.
fn addresses(observed: &Observed, reference: &ResourceRef) -> (Vec<SocketAddr>, Protocol) {
    let service = observed.service(&reference.service);
    let mut slices: Vec<&EndpointSlice> = observed.slices(&reference.service).collect();
    slices.sort_by(|a, b| a.address_type.cmp(&b.address_type));
    let is_h2c = |slice: &&EndpointSlice| {
        behind(service, reference.port, slice).is_some_and(|port| port.app_protocol.as_deref() == Some(H2C))
    };
    let protocol = if slices.iter().any(is_h2c) { Protocol::Http2 } else { Protocol::Http1 };
    let mut seen = BTreeSet::new();
    let addresses = endpoints::ready(slices)
        .filter(|(_, endpoint)| seen.insert(endpoints::identity(endpoint)))
        .filter_map(|(slice, endpoint)| {
            let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
            let port = behind(service, reference.port, slice).and_then(|port| port.port);
            // A port that the Service does not have is one of the pods themselves.
            Some(SocketAddr::new(address, u16::try_from(port.unwrap_or(reference.port)).unwrap_or(0)))
        })
        .collect();
    (addresses, protocol)
}

/// The pods' port behind a port of their Service: slices know it by the name of the Service's.
fn behind<'a>(service: Option<&Service>, number: i32, slice: &'a EndpointSlice) -> Option<&'a EndpointPort> {
    let named = ports::of(service?).iter().find(|port| port.port == number)?;
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    slice.ports.iter().flatten().find(|port| name(&port.name) == name(&named.name))
}

fn replicas(caches: &Caches, service: &RouteKey) -> usize {
    let slices = caches.slices_of(&service.namespace, &service.name);
    let ready: BTreeSet<String> = endpoints::ready(slices.iter().map(AsRef::as_ref))
        .map(|(_, endpoint)| endpoints::identity(endpoint).to_owned())
        .collect();
    ready.len()
}

#[cfg(test)]
mod tests {
    use foreshift_view::{caches, index::IndexedWriter};
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    fn put<K>(writer: &mut IndexedWriter<K>, object: Value)
    where
        K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + 'static,
    {
        writer.apply_watcher_event(&Event::Apply(serde_json::from_value(object).unwrap()));
    }

    fn slice(service: &str, family: &str, address: &str, ready: bool) -> Value {
        json!({
            "metadata": {"name": format!("{service}-{family}-{address}"), "namespace": "shop",
                "labels": {"kubernetes.io/service-name": service}},
            "addressType": family,
            "ports": [{"name": "ingest", "port": 19532}],
            "endpoints": [{"addresses": [address], "nodeName": "n1", "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "uid": format!("{service}-0")}}],
        })
    }

    fn world(spec: &Value) -> Caches {
        let (caches, mut writers) = caches::new();
        for service in ["a", "b"] {
            put(
                &mut writers.services,
                json!({"metadata": {"name": service, "namespace": "shop"},
                "spec": {"ports": [{"name": "ingest", "port": 80}]}}),
            );
            put(&mut writers.slices, slice(service, "IPv6", "fd00::1", true));
        }
        put(&mut writers.slices, slice("a", "IPv4", "10.0.0.1", true));
        put(&mut writers.slices, slice("router", "IPv4", "10.0.0.8", true));
        put(&mut writers.routes, route(spec));
        caches
    }

    fn route(spec: &Value) -> Value {
        let mut route = json!({"apiVersion": "foreshift.dev/v1alpha1", "kind": "JournalRoute",
            "metadata": {"name": "journal", "namespace": "shop"},
            "spec": {"lead": {"service": "a", "port": 80}, "alternates": [{"service": "b", "port": 80}],
                "target": {"service": "journal"}}});
        route["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        route
    }

    fn only(caches: &Caches) -> RouteSnapshot {
        let router = RouteKey { namespace: "shop".into(), name: "router".into() };
        snapshots(caches, Some(&router), Timestamp::UNIX_EPOCH).remove(0)
    }

    #[test]
    fn endpoints_are_pods_at_the_port_behind_the_service_each_once() {
        let snapshot = only(&world(&json!({"shadow": {"port": 9429}})));
        let [a, b] = &snapshot.members[..] else { panic!("two resources") };
        assert_eq!(a.endpoints, ["10.0.0.1:19532".parse().unwrap()]);
        assert_eq!(b.endpoints, ["[fd00::1]:19532".parse().unwrap()]);
        assert_eq!(b.shadow_endpoints, ["[fd00::1]:9429".parse().unwrap()]);
        assert_eq!((a.resource.endpoints, snapshot.part, snapshot.phase), (1, 1.0, Phase::Steady));
        let plain = only(&world(&json!({})));
        assert_eq!(plain.members[1].shadow_endpoints, plain.members[1].endpoints);
    }

    #[test]
    fn a_port_says_that_it_speaks_http_2() {
        let (caches, mut writers) = caches::new();
        for (service, protocol) in [("a", json!("kubernetes.io/h2c")), ("b", json!(null))] {
            let ports = json!([{"name": "ingest", "port": 80}]);
            let named = json!({"name": service, "namespace": "shop"});
            put(&mut writers.services, json!({"metadata": named, "spec": {"ports": ports}}));
            let mut slice = slice(service, "IPv4", "10.0.0.1", true);
            slice["ports"][0]["appProtocol"] = protocol;
            put(&mut writers.slices, slice);
        }
        put(&mut writers.routes, route(&json!({})));
        let protocols: Vec<Protocol> = only(&caches).members.iter().map(|member| member.protocol).collect();
        assert_eq!(protocols, [Protocol::Http2, Protocol::Http1]);
    }

    #[test]
    fn copies_go_by_what_their_own_port_speaks() {
        let (caches, mut writers) = caches::new();
        let named = json!({"name": "b", "namespace": "shop"});
        let ports = json!([{"name": "ingest", "port": 80}, {"name": "dry", "port": 81}]);
        put(&mut writers.services, json!({"metadata": named, "spec": {"ports": ports}}));
        let mut slice = slice("b", "IPv4", "10.0.0.1", true);
        slice["ports"] = json!([{"name": "ingest", "port": 19532},
            {"name": "dry", "port": 19533, "appProtocol": "kubernetes.io/h2c"}]);
        put(&mut writers.slices, slice);
        for (port, address, expected) in [
            (json!(null), "10.0.0.1:19532", Protocol::Http1),
            (json!(81), "10.0.0.1:19533", Protocol::Http2),
            // Nobody says what a port speaks that the Service does not have.
            (json!(9429), "10.0.0.1:9429", Protocol::Http1),
        ] {
            put(&mut writers.routes, route(&json!({"shadow": {"port": port}})));
            let b = &only(&caches).members[1];
            assert_eq!(b.shadow_endpoints, [address.parse().unwrap()]);
            assert_eq!((b.protocol, b.shadow_protocol), (Protocol::Http1, expected), "{port}");
        }
    }

    #[test]
    fn observing_leaves_everything_with_the_lead_and_a_suspended_route_gives_nothing_new() {
        for spec in [json!({"mode": "Observe"}), json!({"suspend": true})] {
            let snapshot = only(&world(&spec));
            assert_eq!(snapshot.members.len(), 1, "{spec}");
        }
    }
}
