//! The cluster around a simulated fleet: node agents that publish personas, and the operator that reads them.
//!
//! What runs here is the code that runs in a cluster, called as its shells call it: the agent's
//! `Persona` and the engine's publish rule, the operator's `validate`, `Planner` and `slices`. Only the
//! API server between them is left out: a persona arrives when its delay is over.

mod agent;
mod objects;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use foreshift_api::{JournalRoute, ResourcePersona};
use foreshift_engine::{decision::Decision, ledger::Ledger, policy::Policy, resource::Resource};
use foreshift_operator::{
    models::Models,
    route::{plan::Planner, slices, validate::validate},
};
use foreshift_predictor::{Manifest, Model};
use foreshift_view::{
    Observed, RouteKey,
    freshness::Sightings,
    observe::Persona,
    resources::{Attribution, measure},
};
use k8s_openapi::{
    api::discovery::v1::EndpointSlice,
    jiff::{SignedDuration, Timestamp},
};

use crate::{
    error::Result,
    fleet::{Fleet, Layout},
    policies::Spread,
    scenario::Scenario,
};
use agent::Agent;

/// Where a run begins on the wall clock: any moment will do, as long as it is always the same.
const BEGIN: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// How shares reach entries, and which rung decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// As listed endpoints.
    Slices,
    /// As weights.
    Weights,
    /// As weights, decided on the last rung of the ladder.
    Reactive,
}

/// The load model that ships with this release.
#[derive(Clone, Debug)]
pub struct ShippedModel(Models);

/// Agents and operator of one policy's world.
#[derive(Debug)]
pub struct Cluster {
    output: Output,
    agents: Vec<Agent>,
    /// Personas on their way: when they arrive, from which node.
    coming: VecDeque<(u64, usize, Arc<ResourcePersona>)>,
    sightings: Sightings,
    personas: BTreeMap<String, Arc<ResourcePersona>>,
    routes: Vec<Route>,
    ledger: Ledger,
    models: Models,
}

/// What an entry router is told at a tick.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The route's resources as the operator measured them, lead first.
    pub resources: Vec<Resource>,
    /// Their planned shares, permille.
    pub shares: Vec<u16>,
    /// Work of other routes that is planned and not seen yet, in cores, lead first.
    pub unseen: Vec<f64>,
    /// What the route asks for.
    pub policy: Policy,
}

#[derive(Debug)]
struct Route {
    object: JournalRoute,
    planner: Planner,
    observed: Observed,
    listed: Vec<EndpointSlice>,
    ready: Vec<u16>,
    planned: Option<Decision>,
}

impl ShippedModel {
    /// Checks and prepares the model; its bytes are part of this program.
    ///
    /// # Errors
    /// [`crate::error::Error::Model`] if the release is broken.
    pub fn load() -> Result<Self> {
        let manifest = Manifest::from_json(include_bytes!("../../models/load.json"))?;
        let model = Model::load(include_bytes!("../../models/load.onnx"), &manifest)?;
        Ok(Self(Models { model: Some(Arc::new(model)), refused: None }))
    }
}

impl Cluster {
    /// A cluster in which nothing was published yet.
    #[must_use]
    pub fn new(scenario: &Scenario, layout: &Layout, model: &ShippedModel, output: Output) -> Self {
        let reference = scenario.resources.get(&scenario.route.0.lead.service).map(|lead| lead.price.get());
        let route = |(i, (spec, _)): (usize, (&foreshift_api::JournalRouteSpec, _))| Route {
            object: objects::route(i, spec, output),
            planner: Planner::default(),
            observed: Observed { services: objects::services(spec), ..Observed::default() },
            listed: Vec::new(),
            ready: Vec::new(),
            planned: None,
        };
        Self {
            output,
            agents: layout.nodes.iter().map(|plan| Agent::new(plan, layout, reference, unix(0))).collect(),
            coming: VecDeque::new(),
            sightings: Sightings::default(),
            personas: BTreeMap::new(),
            routes: scenario.routes().enumerate().map(route).collect(),
            ledger: Ledger::default(),
            models: model.0.clone(),
        }
    }

    /// Agents sample their nodes and publish; what was published long enough ago arrives.
    pub fn observe(&mut self, fleet: &Fleet) {
        let layout = fleet.layout();
        let second = fleet.second();
        for (node, agent) in self.agents.iter_mut().enumerate() {
            let sample = fleet.sampled(node);
            if !sample.up {
                continue;
            }
            let persona = agent.sample(sample, &layout.nodes[node], unix(second), layout.publish_period);
            let Some(persona) = persona else { continue };
            if let Some(delay) = layout.nodes[node].publish_delay(second.saturating_sub(1)) {
                self.coming.push_back((second + layout.metrics_delay + delay, node, Arc::new(persona)));
            }
        }
        let arrived = |(at, _, _): &(u64, usize, Arc<ResourcePersona>)| *at <= second;
        while let Some(i) = self.coming.iter().position(arrived) {
            let Some((_, node, persona)) = self.coming.remove(i) else { break };
            self.sightings.note(&persona, timestamp(second));
            self.personas.insert(layout.nodes[node].name.clone(), persona);
        }
    }

    /// One tick of one route; the shares to put into force, `None` where it has nothing to say.
    pub fn decide(&mut self, route: usize, fleet: &Fleet) -> Option<Spread> {
        let now = timestamp(fleet.second());
        let layout = fleet.layout();
        let this = &mut self.routes[route];
        if this.ready != fleet.pool(route) {
            fleet.pool(route).clone_into(&mut this.ready);
            objects::list(&mut this.observed, fleet, route);
        }
        for (node, object) in &self.personas {
            let freshness = self.sightings.freshness(object, now);
            let known = Persona { object: Arc::clone(object), freshness };
            this.observed.personas.insert(node.clone(), known);
        }
        let verdict = validate(&this.object, &this.observed);
        let outcome =
            this.planner.tick(&this.object, &verdict, &this.observed, &mut self.ledger, &self.models, now);
        let shares = outcome.shares?;
        this.planned = outcome.plan.map(|plan| plan.decision);
        if self.output != Output::Slices {
            return Some(Spread::Weights(shares.iter().map(|&share| f64::from(share)).collect()));
        }
        let valid = outcome.in_force?;
        let before: Vec<&EndpointSlice> = this.listed.iter().collect();
        let slices = slices::build(&RouteKey::of(&this.object), &valid, &this.observed, &shares, &before);
        let listed = objects::listed(&slices, layout);
        if let Some(target) = this.observed.services.get_mut(&valid.target) {
            target.slices = slices.iter().cloned().map(Arc::new).collect();
        }
        this.listed = slices;
        Some(Spread::Endpoints(listed))
    }
}

impl Cluster {
    /// What the last tick of a route came to, for an entry router; `None` before there was one.
    #[must_use]
    pub fn snapshot(&self, route: usize, fleet: &Fleet) -> Option<Snapshot> {
        let this = &self.routes[route];
        let decision = this.planned.as_ref()?;
        let now = since_epoch(fleet.second());
        let key = RouteKey::of(&this.object).to_string();
        let mut snapshot = Snapshot {
            resources: Vec::new(),
            shares: Vec::new(),
            unseen: Vec::new(),
            policy: this.planner.in_force()?.policy.clone(),
        };
        for share in &decision.shares {
            let service = format!("{}/{}", objects::NAMESPACE, share.resource);
            let part = self.ledger.part_of(&service, &key, now);
            let attribution = Attribution { part, idle: 0.0 };
            let measured = measure(objects::NAMESPACE, &share.resource, &this.observed, attribution);
            snapshot.unseen.push(self.ledger.unseen(&service, &key, measured.used, now));
            snapshot.resources.push(measured.resource);
            snapshot.shares.push(share.permille);
        }
        Some(snapshot)
    }
}

/// The engine's clock.
fn since_epoch(second: u64) -> Duration {
    timestamp(second).as_duration().unsigned_abs()
}

fn timestamp(second: u64) -> Timestamp {
    BEGIN + SignedDuration::from_secs(second as i64)
}

fn unix(second: u64) -> f64 {
    timestamp(second).as_second() as f64
}
