//! `spec.workloads` of every persona: which pods of which routes' Services run on the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use foreshift_api::{ResourcePersona, resource_persona::WorkloadSpec};
use serde_json::json;

use super::{Errand, frame, name};
use crate::{caches::Caches, route::endpoints};

/// Bounds of the resource's schema.
const MOST_WORKLOADS: usize = 64;
const MOST_PODS: usize = 128;

/// Workloads by node.
pub type Wanted = BTreeMap<String, Vec<WorkloadSpec>>;

/// What was written to each node.
#[derive(Debug, Default)]
pub struct Assignments(BTreeMap<String, Vec<WorkloadSpec>>);

/// What every node shall observe: the pods behind all leads and alternates, ready or not.
#[must_use]
pub fn wanted(caches: &Caches) -> Wanted {
    let services: BTreeSet<(String, String)> = caches
        .routes
        .state()
        .iter()
        .flat_map(|route| {
            let namespace = route.metadata.namespace.clone().unwrap_or_default();
            let spec = &route.spec;
            let named: Vec<_> = std::iter::once(&spec.lead)
                .chain(&spec.alternates)
                .map(|resource| (namespace.clone(), resource.service.clone()))
                .collect();
            named
        })
        .collect();
    let mut wanted = Wanted::new();
    for (namespace, service) in services {
        let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for slice in caches.slices_of(&namespace, &service) {
            for endpoint in &slice.endpoints {
                if let (Some(node), Some(uid)) = (&endpoint.node_name, endpoints::pod(endpoint)) {
                    pods.entry(node.clone()).or_default().insert(uid.into());
                }
            }
        }
        for (node, pods) in pods {
            let workload = WorkloadSpec {
                namespace: namespace.clone(),
                service: service.clone(),
                pods: pods.into_iter().take(MOST_PODS).collect(),
            };
            let workloads = wanted.entry(node).or_default();
            if workloads.len() < MOST_WORKLOADS {
                workloads.push(workload);
            }
        }
    }
    wanted
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
                let mut body = frame(persona);
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
