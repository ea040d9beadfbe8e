//! `spec.workloads` of every persona: which pods of which routes' Services run on the node, and how to see what they
//! answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use foreshift_api::{ResourcePersona, apply, journal_route::Observation, resource_persona::WorkloadSpec};
use foreshift_view::{Caches, endpoints};
use serde_json::json;

use super::{Errand, name, reference::reference};

/// Bounds of the resource's schema.
const MOST_WORKLOADS: usize = 64;
const MOST_PODS: usize = 128;

/// Workloads by node.
pub type Wanted = BTreeMap<String, Vec<WorkloadSpec>>;

/// What was written to each node.
#[derive(Debug, Default)]
pub struct Assignments(BTreeMap<String, Vec<WorkloadSpec>>);

/// A Service that routes name, by namespace and name.
type Named = (String, String);

/// What the routes say of one Service.
#[derive(Default)]
struct Role {
    /// Of the first route that asks for it.
    observation: Option<Observation>,
    /// The other resources of its routes.
    others: BTreeSet<Named>,
}

/// The pods of one Service on one node.
#[derive(Default)]
struct Pods {
    uids: BTreeSet<String>,
    /// One address of each that takes entries.
    addresses: BTreeMap<String, String>,
}

/// What every node shall observe: the pods behind all leads and alternates, ready or not.
#[must_use]
pub fn wanted(caches: &Caches) -> Wanted {
    let roles = roles(caches);
    let placed: BTreeMap<&Named, BTreeMap<String, Pods>> =
        roles.keys().map(|named| (named, placed(caches, named))).collect();
    let mut wanted = Wanted::new();
    for (named, nodes) in &placed {
        let role = &roles[*named];
        for (node, pods) in nodes {
            let workloads = wanted.entry(node.clone()).or_default();
            if workloads.len() == MOST_WORKLOADS {
                continue;
            }
            let mut workload = WorkloadSpec {
                namespace: named.0.clone(),
                service: named.1.clone(),
                pods: pods.uids.iter().take(MOST_PODS).cloned().collect(),
                ..WorkloadSpec::default()
            };
            if role.observation.is_some() {
                workload.metrics.clone_from(&role.observation);
                workload.addresses = pods.addresses.values().take(MOST_PODS).cloned().collect();
                let others: BTreeSet<&String> = role
                    .others
                    .iter()
                    .filter_map(|other| placed.get(other))
                    .flat_map(BTreeMap::keys)
                    .collect();
                let others = others.into_iter().filter(|other| *other != node);
                let before = caches.persona(node).and_then(|persona| {
                    let mut present = persona.spec.workloads.iter();
                    let same = |it: &&WorkloadSpec| it.namespace == named.0 && it.service == named.1;
                    Some(present.find(same)?.reference.clone())
                });
                workload.reference =
                    reference(others.filter_map(|other| caches.persona(other)), &before.unwrap_or_default());
            }
            workloads.push(workload);
        }
    }
    wanted
}

fn roles(caches: &Caches) -> BTreeMap<Named, Role> {
    let mut routes = caches.routes.state();
    routes.sort_by_key(|route| (route.metadata.namespace.clone(), route.metadata.name.clone()));
    let mut roles: BTreeMap<Named, Role> = BTreeMap::new();
    for route in &routes {
        let namespace = route.metadata.namespace.clone().unwrap_or_default();
        let resources: BTreeSet<Named> = std::iter::once(&route.spec.lead)
            .chain(&route.spec.alternates)
            .map(|resource| (namespace.clone(), resource.service.clone()))
            .collect();
        for named in &resources {
            let role = roles.entry(named.clone()).or_default();
            if role.observation.is_none() {
                role.observation.clone_from(&route.spec.observation);
            }
            role.others.extend(resources.iter().filter(|other| *other != named).cloned());
        }
    }
    roles
}

/// The pods of a Service by node.
fn placed(caches: &Caches, (namespace, service): &Named) -> BTreeMap<String, Pods> {
    let mut placed: BTreeMap<String, Pods> = BTreeMap::new();
    for slice in caches.slices_of(namespace, service) {
        for endpoint in &slice.endpoints {
            if let (Some(node), Some(uid)) = (&endpoint.node_name, endpoints::pod(endpoint)) {
                let pods = placed.entry(node.clone()).or_default();
                pods.uids.insert(uid.into());
                let carries = endpoints::FAMILIES.contains(&slice.address_type.as_str());
                if let Some(address) =
                    endpoint.addresses.first().filter(|_| carries && endpoints::is_ready(endpoint))
                {
                    pods.addresses.entry(uid.into()).or_insert_with(|| address.clone());
                }
            }
        }
    }
    placed
}

impl Assignments {
    /// What must be written so that every node observes what is wanted.
    pub fn due(&mut self, personas: &[Arc<ResourcePersona>], mut wanted: Wanted) -> Vec<Errand> {
        self.0.retain(|node, _| personas.iter().any(|persona| name(persona) == node));
        let mut errands = Vec::new();
        for persona in personas {
            let wanted = wanted.remove(name(persona)).unwrap_or_default();
            let present = &persona.spec.workloads;
            let shown = wanted.iter().all(|workload| present.contains(workload));
            let settled = match self.0.get(name(persona)) {
                Some(written) => *written == wanted && shown,
                None => shown && present.len() == wanted.len(),
            };
            if !settled {
                let mut body = apply::frame_of(persona.as_ref());
                body["spec"] = if wanted.is_empty() { json!({}) } else { json!({ "workloads": wanted }) };
                errands.push(Errand { node: name(persona).into(), body, status: false });
                self.0.insert(name(persona).into(), wanted);
            }
        }
        errands
    }

    /// The write to a node failed.
    pub fn retry(&mut self, node: &str) {
        self.0.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use foreshift_api::resource_persona::Affinity;

    use super::*;
    use crate::fixtures::{NOW, World, node};

    fn world() -> World {
        World::with_route("journal").backend("a", "n1", 2).backend("b", "n2", 1)
    }

    fn written(world: &World, errands: &[Errand]) {
        for errand in errands {
            let mut persona = (*world.caches.persona(&errand.node).unwrap()).clone();
            persona.spec.workloads =
                serde_json::from_value(errand.body["spec"]["workloads"].clone()).unwrap_or_default();
            world.put_persona(persona);
        }
    }

    #[test]
    fn a_node_is_told_which_pods_to_observe_and_only_once() {
        let world = world();
        world.put_persona(node("n1").persona(NOW));
        let mut assignments = Assignments::default();
        let errands = assignments.due(&world.caches.personas.state(), wanted(&world.caches));
        assert_eq!(errands.len(), 1, "a node without a persona is not written");
        let workload = &errands[0].body["spec"]["workloads"][0];
        assert_eq!((&workload["service"], &workload["pods"]), (&json!("a"), &json!(["a-0", "a-1"])));
        written(&world, &errands);
        assert!(assignments.due(&world.caches.personas.state(), wanted(&world.caches)).is_empty());
        let mut restarted = Assignments::default();
        assert!(restarted.due(&world.caches.personas.state(), wanted(&world.caches)).is_empty());
    }

    #[test]
    fn where_a_route_asks_for_it_nodes_are_told_how_to_see_entries_and_what_others_take() {
        let world = world();
        let mut route = (*world.route("journal")).clone();
        route.spec.observation = Some(Observation::default());
        world.put_route(route);
        let mut other = node("n2").persona(NOW);
        other.status.as_mut().unwrap().affinity = vec![Affinity {
            class: "audit".into(),
            samples: 500,
            mean_service_time: Some("0.02".parse().unwrap()),
            ..Affinity::default()
        }];
        world.put_persona(other);
        world.put_persona(node("n1").persona(NOW));
        let wanted = wanted(&world.caches);
        let [on_n1, on_n2] = ["n1", "n2"].map(|node| &wanted[node][0]);
        assert_eq!(on_n1.metrics, Some(Observation::default()));
        assert_eq!(on_n1.addresses.len(), 2);
        assert_eq!(on_n1.reference[0].time_to_success, "0.02".parse().unwrap());
        assert!(on_n2.reference.is_empty(), "a node is no reference for itself");
    }

    #[test]
    fn a_failed_write_is_due_again() {
        let world = world();
        world.put_persona(node("n1").persona(NOW));
        let mut assignments = Assignments::default();
        let mut due = || {
            let errands = assignments.due(&world.caches.personas.state(), wanted(&world.caches));
            assignments.retry("n1");
            errands.len()
        };
        assert_eq!((due(), due()), (1, 1));
    }

    #[test]
    fn what_a_person_added_is_not_fought_over() {
        let world = world();
        world.put_persona(node("n1").persona(NOW));
        let mut assignments = Assignments::default();
        written(&world, &assignments.due(&world.caches.personas.state(), wanted(&world.caches)));
        let mut persona = (*world.caches.persona("n1").unwrap()).clone();
        persona.spec.workloads.push(WorkloadSpec { service: "own".into(), ..WorkloadSpec::default() });
        world.put_persona(persona);
        assert!(assignments.due(&world.caches.personas.state(), wanted(&world.caches)).is_empty());
    }

    #[test]
    fn a_node_that_no_route_uses_any_more_is_told_so() {
        let world = World::default();
        let mut persona = node("n1").persona(NOW);
        persona.spec.workloads = vec![WorkloadSpec { service: "a".into(), ..WorkloadSpec::default() }];
        world.put_persona(persona);
        let errands = Assignments::default().due(&world.caches.personas.state(), Wanted::new());
        assert_eq!(errands[0].body["spec"], json!({}));
    }
}
