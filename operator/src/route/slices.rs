//! Shares as EndpointSlices: how many endpoints of each resource are listed under the target, and which.
//!
//! The slices belong to the target Service, not to the route: when a route is deleted its slices stay and traffic
//! goes on with the endpoints that were listed; they go with the Service.

use std::collections::{BTreeMap, BTreeSet};

use foreshift_engine::subset;
use foreshift_view::{Observed, RouteKey, endpoints, labels::SERVICE_NAME, ports};
use k8s_openapi::{
    api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{ResourceExt, api::ObjectMeta};

use super::validate::ValidRoute;

/// Label that tells other controllers to leave a slice alone.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Its value on our slices.
pub const MANAGER: &str = "operator.foreshift.dev";
/// Label with the resource whose endpoints a slice lists.
pub const RESOURCE: &str = "foreshift.dev/resource";
/// Annotation with the route that a slice was made for.
pub const ROUTE: &str = "foreshift.dev/route";

/// Kubernetes' own controller fills slices as far.
const MOST_ENDPOINTS: usize = 100;

/// Endpoints of one resource that fit into the same slices: one address family, one set of port numbers.
struct Group<'a> {
    family: &'a str,
    ports: Vec<EndpointPort>,
    endpoints: BTreeMap<&'a str, &'a Endpoint>,
}

/// The slices that realise `shares` (permille, lead first) as closely as whole endpoints can, when `before` was
/// listed until now. None if the target does not exist.
#[must_use]
pub fn build(
    key: &RouteKey,
    route: &ValidRoute,
    observed: &Observed,
    shares: &[u16],
    before: &[&EndpointSlice],
) -> Vec<EndpointSlice> {
    let Some(target) = observed.service(&route.target) else { return Vec::new() };
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Service".into(),
        name: route.target.clone(),
        uid: target.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let groups: Vec<Vec<Group<'_>>> = route
        .resources()
        .map(|resource| {
            let pairs = observed
                .service(&resource.service)
                .map_or_else(Vec::new, |backend| ports::pairs(target, backend, resource.port));
            group(&resource.service, observed, &pairs)
        })
        .collect();
    let candidates: Vec<BTreeSet<&str>> = groups
        .iter()
        .map(|groups| groups.iter().flat_map(|group| group.endpoints.keys().copied()).collect())
        .collect();
    let available: Vec<u32> = candidates.iter().map(|ids| ids.len() as u32).collect();
    let counts = subset::counts(shares, &available, &listed(route, before, &candidates));
    route
        .resources()
        .zip(groups)
        .zip(candidates.iter().zip(counts))
        .flat_map(|((resource, groups), (ids, count))| {
            let ids: Vec<&str> = ids.iter().copied().collect();
            let picked: BTreeSet<&str> =
                subset::pick(&route.target, &ids, count as usize).into_iter().collect();
            list(key, &route.target, &resource.service, &owner, groups, &picked)
        })
        .collect()
}

/// The shares, in permille and in the order of `resources`, that the endpoints of these slices come to.
#[must_use]
pub fn realised<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    resources: &[&str],
) -> Option<Vec<u16>> {
    let mut listed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for slice in slices {
        let resource = slice.labels().get(RESOURCE).map_or("", String::as_str);
        listed.entry(resource).or_default().extend(slice.endpoints.iter().map(endpoints::identity));
    }
    let counts: Vec<u32> =
        resources.iter().map(|name| listed.get(name).map_or(0, BTreeSet::len) as u32).collect();
    counts.iter().any(|&count| count > 0).then(|| subset::realised(&counts))
}

/// Whether a slice is ours.
#[must_use]
pub fn is_ours(slice: &EndpointSlice) -> bool {
    slice.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
}

/// Whether a slice in the cluster lists what ours shall list.
#[must_use]
pub fn same(desired: &EndpointSlice, found: &EndpointSlice) -> bool {
    let labelled = desired.labels().iter().all(|(key, value)| found.labels().get(key) == Some(value));
    labelled
        && desired.address_type == found.address_type
        && desired.endpoints == found.endpoints
        && desired.ports.as_deref().unwrap_or_default() == found.ports.as_deref().unwrap_or_default()
        && desired.owner_references() == found.owner_references()
}

/// How many of the candidates were listed of each resource; nothing if nothing was listed at all.
fn listed(route: &ValidRoute, before: &[&EndpointSlice], candidates: &[BTreeSet<&str>]) -> Vec<u32> {
    if before.is_empty() {
        return Vec::new();
    }
    let of = |resource: &str, ids: &BTreeSet<&str>| {
        let slices =
            before.iter().filter(|slice| slice.labels().get(RESOURCE).is_some_and(|r| r == resource));
        let listed: BTreeSet<&str> =
            slices.flat_map(|slice| slice.endpoints.iter().map(endpoints::identity)).collect();
        listed.intersection(ids).count() as u32
    };
    route.resources().zip(candidates).map(|(resource, ids)| of(&resource.service, ids)).collect()
}

fn group<'a>(service: &str, observed: &'a Observed, pairs: &[ports::Pair<'_>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (slice, endpoint) in endpoints::ready(observed.slices(service)) {
        let ports = ports::resolve(pairs, slice);
        if ports.is_empty() {
            continue;
        }
        let fits = |group: &Group<'_>| group.family == slice.address_type && group.ports == ports;
        let at = groups.iter().position(fits).unwrap_or_else(|| {
            groups.push(Group { family: &slice.address_type, ports, endpoints: BTreeMap::new() });
            groups.len() - 1
        });
        groups[at].endpoints.insert(endpoints::identity(endpoint), endpoint);
    }
    groups
}

/// Slices of one resource; a group without a picked endpoint keeps an empty one, so that a share that comes and
/// goes makes and deletes no objects.
fn list(
    key: &RouteKey,
    target: &str,
    resource: &str,
    owner: &OwnerReference,
    groups: Vec<Group<'_>>,
    picked: &BTreeSet<&str>,
) -> Vec<EndpointSlice> {
    let mut slices = Vec::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for group in groups {
        let listed: Vec<Endpoint> = group
            .endpoints
            .iter()
            .filter(|(id, _)| picked.contains(*id))
            .map(|(_, endpoint)| Endpoint { deprecated_topology: None, ..(*endpoint).clone() })
            .collect();
        let pages: Vec<&[Endpoint]> =
            if listed.is_empty() { vec![&[]] } else { listed.chunks(MOST_ENDPOINTS).collect() };
        for page in pages {
            let name = format!("{target}-{resource}-{}", group.family.to_lowercase());
            let number = numbers.entry(name.clone()).or_default();
            *number += 1;
            slices.push(EndpointSlice {
                metadata: ObjectMeta {
                    name: Some(if *number == 1 { name } else { format!("{name}-{number}") }),
                    namespace: Some(key.namespace.clone()),
                    labels: Some(labels(target, resource)),
                    annotations: Some([(ROUTE.to_owned(), key.name.clone())].into()),
                    owner_references: Some(vec![owner.clone()]),
                    ..ObjectMeta::default()
                },
                address_type: group.family.into(),
                endpoints: page.to_vec(),
                ports: Some(group.ports.clone()),
            });
        }
    }
    slices
}

fn labels(target: &str, resource: &str) -> BTreeMap<String, String> {
    [(SERVICE_NAME, target), (MANAGED_BY, MANAGER), (RESOURCE, resource)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use foreshift_view::observe;

    use super::*;
    use crate::fixtures::{EndpointWith, NOW, World, endpoint, slice};

    fn built(world: &World, shares: &[u16]) -> Vec<EndpointSlice> {
        let route = world.route("journal");
        let observed = observe(&world.caches, &route, &[], NOW);
        let valid = super::super::validate::validate(&route, &observed).unwrap();
        build(&RouteKey::of(&route), &valid, &observed, shares, &[])
    }

    fn world() -> World {
        World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 4)
    }

    fn listed(slices: &[EndpointSlice]) -> Vec<(String, usize)> {
        slices.iter().map(|s| (s.name_any(), s.endpoints.len())).collect()
    }

    #[test]
    fn a_share_is_how_many_endpoints_are_listed() {
        let cases: [(&[u16], [usize; 2]); 4] =
            [(&[1000, 0], [4, 0]), (&[800, 200], [4, 1]), (&[500, 500], [4, 4]), (&[0, 1000], [0, 4])];
        for (shares, counts) in cases {
            let slices = built(&world(), shares);
            assert_eq!(
                listed(&slices),
                [("journal-a-ipv4".into(), counts[0]), ("journal-b-ipv4".into(), counts[1])],
                "{shares:?}"
            );
            let realised = realised(&slices, &["a", "b"]).unwrap();
            assert_eq!(realised.iter().sum::<u16>(), 1000);
        }
    }

    #[test]
    fn what_is_known_of_an_endpoint_is_carried_through_and_the_port_is_the_targets() {
        let world = world();
        let slices = built(&world, &[1000, 0]);
        let one = &slices[0].endpoints[0];
        assert_eq!(one.node_name.as_deref(), Some("n1"));
        assert_eq!(one.zone.as_deref(), Some("zone-1"));
        assert!(one.hints.is_some() && one.target_ref.is_some() && one.conditions.is_some());
        let port = &slices[0].ports.as_ref().unwrap()[0];
        assert_eq!((port.name.as_deref(), port.port), (Some("in"), Some(19532)));
        assert_eq!(slices[0].labels()[SERVICE_NAME], "journal");
        assert_eq!(slices[0].owner_references()[0].kind, "Service");
    }

    #[test]
    fn endpoints_that_are_not_ready_or_terminating_are_not_listed() {
        let world = world();
        let endpoints = vec![
            endpoint("a-0", "n1"),
            endpoint("a-1", "n1").not_ready(),
            endpoint("a-2", "n1").terminating(),
        ];
        world.put_slice(slice("a", "IPv4", endpoints));
        assert_eq!(built(&world, &[1000, 0])[0].endpoints.len(), 1);
    }

    #[test]
    fn both_address_families_list_the_same_pods() {
        let world = world();
        let six: Vec<Endpoint> =
            (0..4).map(|i| endpoint(&format!("b-{i}"), "n2").at(&format!("fd00::{i}"))).collect();
        world.put_slice(slice("b", "IPv6", six));
        let slices = built(&world, &[800, 200]);
        let pods = |name: &str| -> Vec<String> {
            let slice = slices.iter().find(|s| s.name_any() == name).unwrap();
            slice.endpoints.iter().map(|e| endpoints::identity(e).to_owned()).collect()
        };
        assert_eq!(pods("journal-b-ipv4"), pods("journal-b-ipv6"));
        assert_eq!(pods("journal-b-ipv4").len(), 1);
    }

    #[test]
    fn more_than_a_hundred_endpoints_take_several_slices() {
        let world = world();
        let many = (0..250).map(|i| endpoint(&format!("a-{i}"), "n1")).collect();
        world.put_slice(slice("a", "IPv4", many));
        let of_a: Vec<_> =
            listed(&built(&world, &[1000, 0])).into_iter().filter(|s| s.0.contains("-a-")).collect();
        assert_eq!(
            of_a,
            [
                ("journal-a-ipv4".into(), 100),
                ("journal-a-ipv4-2".into(), 100),
                ("journal-a-ipv4-3".into(), 50)
            ]
        );
    }

    #[test]
    fn a_target_that_is_gone_gets_no_slices() {
        let world = world();
        let route = world.route("journal");
        let observed = observe(&world.caches, &route, &[], NOW);
        let valid = super::super::validate::validate(&route, &observed).unwrap();
        let world = world.without_service("journal");
        let observed = observe(&world.caches, &route, &valid.services(), NOW);
        assert!(build(&RouteKey::of(&route), &valid, &observed, &[1000, 0], &[]).is_empty());
    }
}
