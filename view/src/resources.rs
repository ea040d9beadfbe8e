//! From personas and endpoints to what the engine plans with: resources, and the work that each did lately.

use std::collections::{BTreeMap, BTreeSet};

use foreshift_api::{
    Decimal,
    resource_persona::{ResourcePersonaStatus, Usage, Window, WorkloadStatus},
};
use foreshift_engine::{
    demand::Series,
    resource::{Freshness, Node, Readiness, Resource, Scores},
};

use crate::{
    endpoints,
    observe::{Observed, Persona},
};

/// A node whose capacity nobody knows counts as one core.
const UNKNOWN_CORES: f64 = 1.0;

/// A resource with the work that was measured on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// As the engine sees it.
    pub resource: Resource,
    /// What its pods use now, for whomever, in cores.
    pub used: f64,
    /// The part of it that the route causes, in cores.
    pub own: f64,
    /// The last minute.
    pub fine: Track,
    /// The last minutes.
    pub coarse: Track,
}

/// Two series of one resource on one grid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Load of the fullest node or of the pods against their own limits, 1.0 is full.
    pub load: Series,
    /// Work of the pods, in cores.
    pub work: Series,
}

/// How much of what the pods use is the route's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attribution {
    /// The route's part among all routes, 0 to 1.
    pub part: f64,
    /// What the pods use without any entries, in cores.
    pub idle: f64,
}

/// One node under a resource.
struct OnNode<'a> {
    endpoints: u32,
    persona: Option<&'a Persona>,
    workload: Option<&'a WorkloadStatus>,
}

/// The limit that fills up first.
#[derive(Clone, Copy)]
struct Limit {
    cores: f64,
    load: f64,
}

/// Measures one resource of a route in `namespace`.
#[must_use]
pub fn measure(namespace: &str, service: &str, observed: &Observed, attribution: Attribution) -> Measured {
    let nodes = nodes(namespace, service, observed);
    let used: f64 = nodes.iter().filter_map(|n| n.workload).map(|w| w.cpu.used.get().max(0.0)).sum();
    let own = (used - attribution.idle).max(0.0) * attribution.part;
    let own_part = if used > 0.0 { own / used } else { 0.0 };
    let engine_nodes: Vec<Node> =
        nodes.iter().map(|node| node.for_engine(own_part, attribution.part)).collect();
    Measured {
        resource: Resource::from_nodes(service, &engine_nodes, Readiness::Inconclusive),
        used,
        own,
        fine: track(&nodes, |status| Some(&status.history.as_ref()?.fine), |w| &w.fine, attribution.part),
        coarse: track(
            &nodes,
            |status| Some(&status.history.as_ref()?.coarse),
            |w| &w.coarse,
            attribution.part,
        ),
    }
}

fn nodes<'a>(namespace: &str, service: &str, observed: &'a Observed) -> Vec<OnNode<'a>> {
    let mut pods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, endpoint) in endpoints::ready(observed.slices(service)) {
        let node = endpoint.node_name.as_deref().unwrap_or_default();
        pods.entry(node).or_default().insert(endpoints::identity(endpoint));
    }
    pods.into_iter()
        .map(|(node, pods)| {
            let persona = observed.personas.get(node);
            let workload = persona.and_then(|persona| persona.object.status.as_ref()).and_then(|status| {
                status.workloads.iter().find(|w| w.namespace == namespace && w.service == service)
            });
            OnNode { endpoints: pods.len() as u32, persona, workload }
        })
        .collect()
}

impl<'a> OnNode<'a> {
    fn status(&self) -> Option<&'a ResourcePersonaStatus> {
        self.persona?.object.status.as_ref()
    }

    fn for_engine(&self, own_part: f64, part: f64) -> Node {
        let limit = self.limit();
        let used = self.workload.map_or(0.0, |w| w.cpu.used.get());
        let scores =
            self.status().and_then(|status| status.scores).map_or_else(Scores::default, |s| Scores {
                affinity: f64::from(s.affinity),
                stability: f64::from(s.stability),
                cost: f64::from(s.cost),
            });
        Node {
            capacity: limit.cores,
            load: limit.load,
            own_cores: used * own_part,
            entries: self.workload.and_then(|w| w.entries_per_second).map(|rate| rate.get() * part),
            error_ratio: self.workload.and_then(|w| w.error_ratio).map_or(0.0, Decimal::get),
            endpoints: self.endpoints,
            scores,
            freshness: self.persona.map_or(Freshness::Absent, |persona| persona.freshness),
            drained: self.persona.is_some_and(|persona| persona.object.spec.drain),
        }
    }

    /// The node's limit or its pods' own, whichever is fuller.
    fn limit(&self) -> Limit {
        let node = match self.status().and_then(|status| status.capacity.as_ref()) {
            Some(capacity) => Limit { cores: cores(&capacity.cpu), load: capacity.load.get() },
            None => Limit { cores: UNKNOWN_CORES, load: 0.0 },
        };
        match self.workload {
            Some(w) if w.cpu.capacity.get() > 0.0 && w.load.get() > node.load => {
                Limit { cores: w.cpu.capacity.get(), load: w.load.get() }
            }
            _ => node,
        }
    }
}

fn cores(cpu: &Usage) -> f64 {
    if cpu.capacity.get() > 0.0 { cpu.capacity.get() } else { UNKNOWN_CORES }
}

/// Lays the windows of all nodes over each other: the highest load, the sum of the work.
fn track(
    nodes: &[OnNode<'_>],
    window: impl Fn(&ResourcePersonaStatus) -> Option<&Window>,
    work: impl Fn(&WorkloadStatus) -> &Vec<i32>,
    part: f64,
) -> Track {
    let mut loads = Vec::new();
    let mut works = Vec::new();
    for node in nodes {
        let Some(window) = node.status().and_then(&window) else { continue };
        let series = |values: &[i32], scale: f64| Series {
            step: window.step,
            values: values.iter().map(|&value| f64::from(value) / scale).collect(),
        };
        loads.push(series(&window.load, 1000.0));
        let Some(workload) = node.workload else { continue };
        let limit = workload.cpu.capacity.get();
        if limit > 0.0 {
            loads.push(series(work(workload), 1000.0 * limit));
        }
        works.push(series(work(workload), 1000.0 / part.max(1e-6)));
    }
    Track { load: laid_over(&loads, f64::max), work: laid_over(&works, |a, b| a + b) }
}

fn laid_over(all: &[Series], join: impl Fn(f64, f64) -> f64) -> Series {
    let filled = || all.iter().filter(|series| !series.values.is_empty());
    let Some(step) = filled().map(|series| series.step).max() else { return Series::default() };
    let length = filled().map(|series| series.values.len()).max().unwrap_or_default();
    let first = step.saturating_sub_unsigned(length as u64) + 1;
    let values =
        (first..=step).map(|step| filled().filter_map(|series| series.at(step)).fold(0.0, &join)).collect();
    Series { step, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_several_nodes_are_laid_over_each_other() {
        let one = Series { step: 10, values: vec![0.1, 0.2, 0.3] };
        let two = Series { step: 9, values: vec![0.5, 0.1] };
        assert_eq!(laid_over(&[one.clone(), two.clone()], f64::max).values, [0.5, 0.2, 0.3]);
        let sum = laid_over(&[one, two, Series::default()], |a, b| a + b);
        assert_eq!(sum.step, 10);
        assert!((sum.values[2] - 0.4).abs() < 1e-9);
    }
}
