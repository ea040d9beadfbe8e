//! A resource as the planner sees it: a backend Service, made from the personas of its nodes.

use std::time::Duration;

/// How old what is known of a resource is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Acts.
    Fresh,
    /// Holds what it has, gets nothing new.
    Aged,
    /// Nothing is known.
    #[default]
    Absent,
}

/// How fit an alternate was shown to be by shadow entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Shown to be fit.
    Ready,
    /// Shown to be unfit; gets nothing.
    NotReady,
    /// Not enough seen for a verdict; does not stand in the way.
    #[default]
    Inconclusive,
}

/// The scores that rank alternates, each 0 to 100, higher is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// How well it handles the entries.
    pub affinity: f64,
    /// How steady it is.
    pub stability: f64,
    /// How cheap it is.
    pub cost: f64,
}

/// One node behind a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Capacity of the node in cores (the limit that counts).
    pub capacity: f64,
    /// Load of the whole node, 1.0 is full.
    pub load: f64,
    /// This route's work on the node, in cores.
    pub own_cores: f64,
    /// Entries of this route that were answered there, a second; `None` where nobody counts them.
    pub entries: Option<f64>,
    /// Part of the entries that were answered with an error, 0 to 1; zero where nobody counts them.
    pub error_ratio: f64,
    /// Ready endpoints of the resource on this node.
    pub endpoints: u32,
    /// The node's scores.
    pub scores: Scores,
    /// How old its persona is.
    pub freshness: Freshness,
    /// A person asked for no new entries here.
    pub drained: bool,
}

/// A backend Service as the planner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Name of the Service.
    pub name: String,
    /// Work, in cores, at which its weakest node is full.
    pub capacity: f64,
    /// Load now, of the fullest node.
    pub load: f64,
    /// Part of the load that this route does not cause.
    pub background: f64,
    /// This route's work on it, in cores.
    pub own_cores: f64,
    /// Entries of this route that it answered, a second; `None` unless they are counted on all of its nodes.
    pub entries: Option<f64>,
    /// Part of its entries that were answered with an error, 0 to 1.
    pub error_ratio: f64,
    /// Ready endpoints.
    pub endpoints: u32,
    /// Its scores.
    pub scores: Scores,
    /// How old what is known of it is.
    pub freshness: Freshness,
    /// Verdict of the shadow entries.
    pub readiness: Readiness,
    /// A person asked for no new entries.
    pub drained: bool,
}

impl Default for Scores {
    /// Neutral affinity and cost, full stability.
    fn default() -> Self {
        Self { affinity: 50.0, stability: 100.0, cost: 50.0 }
    }
}

impl Freshness {
    /// Fresh up to three publish periods, aged up to 180 s, absent beyond or when never seen.
    #[must_use]
    pub fn of(age: Option<Duration>, longest_publish_period: Duration) -> Self {
        match age {
            Some(age) if age <= longest_publish_period * 3 => Self::Fresh,
            Some(age) if age <= Duration::from_mins(3) => Self::Aged,
            _ => Self::Absent,
        }
    }
}

impl Resource {
    /// Makes a resource from its nodes: the fullest node counts for load and the shakiest for stability; affinity
    /// and cost are means weighted by ready endpoints. A Service spreads evenly over its endpoints, so the node
    /// with the least capacity for its part of them bounds the whole.
    #[must_use]
    pub fn from_nodes(name: &str, nodes: &[Node], readiness: Readiness) -> Self {
        let endpoints: u32 = nodes.iter().map(|n| n.endpoints).sum();
        let part = |n: &Node| {
            if endpoints == 0 {
                1.0 / nodes.len() as f64
            } else {
                f64::from(n.endpoints) / f64::from(endpoints)
            }
        };
        let mut resource = Self {
            name: name.into(),
            capacity: f64::INFINITY,
            load: 0.0,
            background: 0.0,
            own_cores: 0.0,
            entries: (!nodes.is_empty()).then_some(0.0),
            error_ratio: 0.0,
            endpoints,
            scores: Scores { affinity: 0.0, stability: 100.0, cost: 0.0 },
            freshness: if nodes.is_empty() { Freshness::Absent } else { Freshness::Fresh },
            readiness,
            drained: !nodes.is_empty() && nodes.iter().all(|n| n.drained),
        };
        for node in nodes {
            let capacity = finite(node.capacity, 0.0).max(1e-3);
            let load = finite(node.load, 1.0).clamp(0.0, 4.0);
            let own = finite(node.own_cores, 0.0).max(0.0);
            let part = part(node);
            if part > 0.0 {
                resource.capacity = resource.capacity.min(capacity / part);
            }
            resource.load = resource.load.max(load);
            // Beyond 1 load tells of a queue, and the queue is as much the route's as the work is.
            resource.background = resource.background.max((load.min(1.0) - own / capacity).max(0.0));
            resource.own_cores += own;
            let counted = node.entries.filter(|entries| entries.is_finite()).map(|entries| entries.max(0.0));
            resource.entries = resource.entries.zip(counted).map(|(sum, entries)| sum + entries);
            resource.error_ratio += part * finite(node.error_ratio, 0.0).clamp(0.0, 1.0);
            resource.scores.affinity += part * score(node.scores.affinity);
            resource.scores.stability = resource.scores.stability.min(score(node.scores.stability));
            resource.scores.cost += part * score(node.scores.cost);
            resource.freshness = resource.freshness.max(node.freshness);
        }
        if !resource.capacity.is_finite() {
            resource.capacity = 1e-3;
        }
        if nodes.is_empty() {
            resource.scores = Scores::default();
        }
        resource
    }
}

fn finite(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}

fn score(value: f64) -> f64 {
    finite(value, 50.0).clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(capacity: f64, load: f64, own_cores: f64, endpoints: u32) -> Node {
        Node {
            capacity,
            load,
            own_cores,
            entries: None,
            error_ratio: 0.0,
            endpoints,
            scores: Scores::default(),
            freshness: Freshness::Fresh,
            drained: false,
        }
    }

    #[test]
    fn the_weakest_node_bounds_a_service_that_spreads_evenly() {
        let r =
            Resource::from_nodes("a", &[node(4.0, 0.2, 0.0, 1), node(1.0, 0.5, 0.25, 1)], Readiness::Ready);
        assert!((r.capacity - 2.0).abs() < 1e-9, "half of the work goes to the node with one core");
        assert!((r.load - 0.5).abs() < 1e-9);
        assert!((r.background - 0.25).abs() < 1e-9);
        assert_eq!(r.endpoints, 2);
    }

    #[test]
    fn a_resource_without_nodes_is_neutral_and_absent() {
        let r = Resource::from_nodes("a", &[], Readiness::Inconclusive);
        assert_eq!(r.freshness, Freshness::Absent);
        assert_eq!(r.scores, Scores::default());
        assert!(r.capacity.is_finite());
    }

    #[test]
    fn the_oldest_persona_decides_how_fresh_a_resource_is() {
        let mut old = node(1.0, 0.1, 0.0, 1);
        old.freshness = Freshness::Aged;
        let r = Resource::from_nodes("a", &[node(1.0, 0.1, 0.0, 1), old], Readiness::Ready);
        assert_eq!(r.freshness, Freshness::Aged);
    }

    #[test]
    fn numbers_that_are_none_never_get_through() {
        let r = Resource::from_nodes("a", &[node(f64::NAN, f64::NAN, f64::INFINITY, 0)], Readiness::Ready);
        assert!([r.capacity, r.load, r.background, r.own_cores].iter().all(|v| v.is_finite()));
    }

    #[test]
    fn a_persona_ages_by_its_publish_period() {
        let of = |s| Freshness::of(s, Duration::from_secs(2));
        assert_eq!(of(Some(Duration::from_secs(6))), Freshness::Fresh);
        assert_eq!(of(Some(Duration::from_secs(7))), Freshness::Aged);
        assert_eq!(of(Some(Duration::from_secs(181))), Freshness::Absent);
        assert_eq!(of(None), Freshness::Absent);
    }
}
