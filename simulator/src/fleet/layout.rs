//! What there is, fixed for a whole run and shared by the fleets of all policies.

use foreshift_api::Span;

use crate::{
    scenario::{Cold, Delays, Fault, FaultKind, ResourceSpec, Scenario},
    shape::Shape,
    source::SECOND,
};

/// Resources, nodes, endpoints and routes, by index.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Resources, in order of their names.
    pub resources: Vec<ResourcePlan>,
    /// Nodes of all resources.
    pub nodes: Vec<NodePlan>,
    /// Endpoints of all nodes.
    pub endpoints: Vec<Endpoint>,
    /// Routes, in order of the scenario.
    pub pools: Vec<Pool>,
    /// Time before anything is counted, in seconds.
    pub settle: u64,
    /// After this long a client gives up, in nanoseconds.
    pub timeout: u64,
    /// Age of what is read of a node, in seconds.
    pub metrics_delay: u64,
    /// Least time between two personas of a node, in seconds.
    pub publish_period: u64,
    /// From a change of shares to its effect, in seconds.
    pub actuation_delay: u64,
}

/// A resource.
#[derive(Clone, Debug)]
pub struct ResourcePlan {
    /// Name of its Service.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<usize>,
    /// Sum of its nodes' cores.
    pub cores: f64,
    /// Work, in cores, at which its weakest node is full under an even spread over its endpoints.
    pub capacity: f64,
    /// Price of a core for an hour.
    pub core_hour: f64,
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Name of the node.
    pub name: String,
    /// Index of its resource.
    pub resource: u16,
    /// Capacity.
    pub cores: f64,
    /// Entries that are worked on at once.
    pub workers: u16,
    /// Price of an hour.
    pub price: f64,
    /// Spread of service times.
    pub jitter: f64,
    /// By class: how much longer than usual its entries take here.
    pub slowness: Vec<f64>,
    /// Part of the entries that are answered with an error.
    pub errors: f64,
    /// Caches that are cold at the beginning.
    pub cold: Option<Cold>,
    /// Part of the capacity that somebody else takes.
    pub antagonist: Option<Shape>,
    /// What goes wrong, from and to in nanoseconds of the run.
    pub faults: Vec<(u64, u64, Fault)>,
    /// Time before anything is counted, in seconds.
    pub settle: f64,
}

/// A pod that takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Index of its node.
    pub node: u16,
    /// Index of its resource.
    pub resource: u16,
}

/// The resources of a route.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Indices of its resources, lead first.
    pub members: Vec<u16>,
    /// Load at which the lead is kept.
    pub lead_load: f64,
    /// Load to which alternates are filled.
    pub alternate_load: f64,
    /// Load from which a resource counts as saturated.
    pub saturation: f64,
}

impl ResourceSpec {
    /// See [`ResourcePlan::capacity`].
    #[must_use]
    pub fn capacity(&self) -> f64 {
        let pods: f64 = self.nodes.iter().map(|node| f64::from(node.pods)).sum();
        self.nodes
            .iter()
            .map(|node| node.cores.get() * pods / f64::from(node.pods))
            .fold(f64::INFINITY, f64::min)
    }
}

impl Layout {
    /// The layout of a scenario whose first second is `settle` seconds before its time zero.
    #[must_use]
    pub fn new(scenario: &Scenario, settle: u64) -> Self {
        let mut layout = Self {
            resources: Vec::new(),
            nodes: Vec::new(),
            endpoints: Vec::new(),
            pools: Vec::new(),
            settle,
            timeout: scenario.timeout.get().as_nanos() as u64,
            metrics_delay: Delays::whole_seconds(scenario.delays.metrics),
            publish_period: Delays::whole_seconds(scenario.delays.publish),
            actuation_delay: Delays::whole_seconds(scenario.delays.actuation),
        };
        for (name, spec) in &scenario.resources {
            layout.add(name, spec, scenario);
        }
        let index =
            |name: &str| scenario.resources.keys().position(|key| key == name).unwrap_or_default() as u16;
        for (route, _) in scenario.routes() {
            let names = std::iter::once(&route.lead).chain(&route.alternates);
            layout.pools.push(Pool {
                members: names.map(|r| index(&r.service)).collect(),
                lead_load: route.objective.lead_load.get(),
                alternate_load: route.objective.alternate_load.get(),
                saturation: route.objective.saturation.get(),
            });
        }
        layout
    }

    fn add(&mut self, name: &str, spec: &ResourceSpec, scenario: &Scenario) {
        let resource = self.resources.len() as u16;
        let cores: f64 = spec.nodes.iter().map(|node| node.cores.get()).sum();
        let mut nodes = Vec::new();
        for (i, node) in spec.nodes.iter().enumerate() {
            nodes.push(self.nodes.len());
            let here = Endpoint { node: self.nodes.len() as u16, resource };
            self.endpoints.extend((0..node.pods).map(|_| here));
            let hits = |fault: &&Fault| fault.resource == name && fault.node.is_none_or(|n| n == i);
            let slowness = scenario
                .classes
                .iter()
                .map(|class| spec.speed.get(&class.name).map_or(1.0, |s| 1.0 / s.get()));
            self.nodes.push(NodePlan {
                name: format!("{name}-{i}"),
                resource,
                cores: node.cores.get(),
                workers: node.workers(),
                price: spec.price.get(),
                jitter: spec.jitter.get(),
                slowness: slowness.collect(),
                errors: spec.errors.get(),
                cold: spec.cold,
                antagonist: spec.antagonist.clone(),
                faults: scenario.faults.iter().filter(hits).map(|fault| self.dated(fault)).collect(),
                settle: self.settle as f64,
            });
        }
        let price: f64 = spec.nodes.iter().map(|_| spec.price.get()).sum();
        self.resources.push(ResourcePlan {
            name: name.to_owned(),
            nodes,
            cores,
            capacity: spec.capacity(),
            core_hour: price / cores,
        });
    }

    /// Endpoints on a node.
    #[must_use]
    pub fn pods(&self, node: usize) -> f64 {
        self.endpoints.iter().filter(|endpoint| usize::from(endpoint.node) == node).count() as f64
    }

    /// How much longer than usual entries of a class take at a resource.
    #[must_use]
    pub fn slowness(&self, resource: u16, class: u16) -> f64 {
        let first = self.resources[usize::from(resource)].nodes[0];
        self.nodes[first].slowness[usize::from(class)]
    }

    fn dated(&self, fault: &Fault) -> (u64, u64, Fault) {
        let at = |span: Span| self.settle * SECOND + span.get().as_nanos() as u64;
        (at(fault.from), fault.to.map_or(u64::MAX, at), fault.clone())
    }
}

impl NodePlan {
    /// Part of the capacity that is left for entries at `at` nanoseconds; never nothing, so that all work ends.
    #[must_use]
    pub fn left(&self, at: u64) -> f64 {
        match &self.antagonist {
            None => 1.0,
            Some(shape) => (1.0 - shape.at(at as f64 / SECOND as f64 - self.settle)).clamp(0.02, 1.0),
        }
    }

    /// The fault of a kind that is on at `at` nanoseconds.
    pub(super) fn fault(&self, kind: FaultKind, at: u64) -> Option<&(u64, u64, Fault)> {
        self.faults.iter().find(|(from, to, fault)| fault.kind == kind && (*from..*to).contains(&at))
    }

    /// The next loss of the node from `at` nanoseconds on.
    pub(super) fn next_loss(&self, at: u64) -> u64 {
        let losses =
            self.faults.iter().filter(|(from, _, fault)| fault.kind == FaultKind::NodeLoss && *from >= at);
        losses.map(|(from, _, _)| *from).min().unwrap_or(u64::MAX)
    }

    /// Whether the cluster knows at `at` nanoseconds that the node is lost.
    #[must_use]
    pub fn is_known_lost(&self, at: u64) -> bool {
        // The grace that Kubernetes gives a node (KEP-589).
        const GRACE: Span = Span::from_secs(40);
        self.fault(FaultKind::NodeLoss, at).is_some_and(|(from, _, fault)| {
            at >= from.saturating_add(fault.noticed.unwrap_or(GRACE).get().as_nanos() as u64)
        })
    }

    /// Whether the node works at `at` nanoseconds.
    #[must_use]
    pub fn is_up(&self, at: u64) -> bool {
        self.faults.is_empty() || self.fault(FaultKind::NodeLoss, at).is_none()
    }

    /// Whether nothing that loses or refuses entries is wrong with the node at `at` nanoseconds.
    #[must_use]
    pub fn is_sound(&self, at: u64) -> bool {
        let bad = [FaultKind::NodeLoss, FaultKind::BlackHole, FaultKind::Errors];
        bad.iter().all(|&kind| self.fault(kind, at).is_none())
    }

    /// How much later than usual a persona arrives that is published in a second; `None` if it never does.
    #[must_use]
    pub fn publish_delay(&self, second: u64) -> Option<u64> {
        match self.fault(FaultKind::StalePersona, second * SECOND) {
            None => Some(0),
            Some((_, _, fault)) => fault.delay.map(Delays::whole_seconds),
        }
    }

    /// How many seconds the reports of the node are held up at the end of a second, on top of the usual.
    #[must_use]
    pub fn report_age(&self, second: u64) -> u64 {
        let at = second * SECOND;
        let since = |from: u64| (at - from) / SECOND + 1;
        let lost = self.fault(FaultKind::NodeLoss, at).map_or(0, |(from, _, _)| since(*from));
        let stale = self.fault(FaultKind::StalePersona, at).map_or(0, |(from, _, fault)| match fault.delay {
            Some(delay) => Delays::whole_seconds(delay),
            None => since(*from),
        });
        lost.max(stale)
    }
}
