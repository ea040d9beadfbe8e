//! The pure loop over minutes: demand drives nodes, their personas drive the plan, its shares drive the nodes.
//!
//! Nodes saturate as real ones do (utilisation stops at 1, queues raise the load), agents publish every two
//! seconds, shares come in whole endpoints and take effect a second after the tick.

use foreshift_api::{
    Span,
    resource_persona::{History, Window},
};
use foreshift_engine::{hooks::Call, ledger::Ledger, persona::grid::Grid};
use k8s_openapi::{api::discovery::v1::EndpointSlice, jiff::Timestamp};

use super::{
    hook::Answer,
    plan::{Outcome, Planner},
    slices,
    validate::validate,
};
use crate::{
    fixtures::{World, later, node},
    models::Models,
};
use foreshift_api::journal_route::{Hook, Phase, Strategy};
use foreshift_view::{RouteKey, observe};

/// Pods of each resource.
const PODS: usize = 4;

/// Entries a second that fill a node.
const ENTRIES: f64 = 200.0;

/// Seconds that a warm-up hook takes.
const HOOK_TAKES: i64 = 3;

/// A node that runs one resource.
struct Machine {
    name: &'static str,
    service: &'static str,
    queue: f64,
    /// Entries that it is still slow for, since nothing is in its caches.
    cold: f64,
    /// Entries that clients sent and that met it cold.
    slow: f64,
    load: Grid2,
    work: Grid2,
    seen: (f64, f64),
}

/// A series on both grids of a persona.
struct Grid2 {
    fine: Grid,
    coarse: Grid,
}

/// A route, its nodes and its clients.
struct Simulation {
    world: World,
    planner: Planner,
    ledger: Ledger,
    models: Models,
    machines: Vec<Machine>,
    shares: Vec<u16>,
    second: i64,
    log: Vec<Second>,
    /// Calls of the warm-up hook, each with the second of its answer.
    calls: Vec<(i64, Call)>,
    called: Vec<String>,
}

/// What one second of the lead looked like: its load and its shares.
#[derive(Clone, Copy, Debug)]
struct Second {
    load: f64,
    /// What the listed endpoints come to.
    programmed: u16,
    /// What the plan wants.
    desired: u16,
}

impl Grid2 {
    fn new() -> Self {
        Self { fine: Grid::new(super::forecast::FINE), coarse: Grid::new(super::forecast::COARSE) }
    }

    fn push(&mut self, at: Timestamp, value: f64) {
        self.fine.push(at.as_second() as f64, value);
        self.coarse.push(at.as_second() as f64, value);
    }
}

fn permille(grid: &Grid) -> Vec<i32> {
    grid.values().map(|value| (value * 1000.0).round() as i32).collect()
}

impl Machine {
    fn new(name: &'static str, service: &'static str) -> Self {
        Self {
            name,
            service,
            queue: 0.0,
            cold: 0.0,
            slow: 0.0,
            load: Grid2::new(),
            work: Grid2::new(),
            seen: (0.0, 0.0),
        }
    }

    /// What the clients' entries of one second cost, in parts of the node: ten times as much while it is cold.
    fn serve(&mut self, offered: f64) -> f64 {
        let slow = (offered * ENTRIES).min(self.cold);
        self.cold -= slow;
        self.slow += slow;
        offered + 9.0 * slow / ENTRIES
    }

    /// One second with so much work offered, in parts of the node.
    fn work(&mut self, offered: f64, at: Timestamp) {
        let asked = offered + self.queue;
        let done = asked.min(1.0);
        // Clients time out after a few seconds: a queue does not grow for ever.
        self.queue = (asked - done).min(3.0);
        let load = done + (self.queue / 3.0).min(1.0);
        self.load.push(at, load);
        self.work.push(at, done);
        self.seen = (load, done);
    }

    fn publish(&self, world: &World, at: Timestamp) {
        let window = |grid: &Grid, period| Window {
            period: Span::from_secs(period),
            step: grid.newest().unwrap_or_default(),
            load: permille(grid),
        };
        let history = History { fine: window(&self.load.fine, 2), coarse: window(&self.load.coarse, 15) };
        let (load, used) = self.seen;
        let persona = node(self.name)
            .at_load(load)
            .using(used)
            .running(self.service, used)
            .with_windows(history, permille(&self.work.fine), permille(&self.work.coarse))
            .persona(at);
        world.caches.sighted(&persona, at);
        world.put_persona(persona);
    }
}

impl Simulation {
    fn new() -> Self {
        let world = World::with_route("journal")
            .backend("a", "n1", PODS)
            .backend("b", "n2", PODS)
            .backend("c", "n3", PODS);
        let mut route = (*world.route("journal")).clone();
        let mut third = route.spec.alternates[0].clone();
        third.service = "c".into();
        route.spec.alternates.push(third);
        world.put_route(route);
        Self {
            world,
            planner: Planner::default(),
            ledger: Ledger::default(),
            models: Models::default(),
            machines: vec![Machine::new("n1", "a"), Machine::new("n2", "b"), Machine::new("n3", "c")],
            shares: vec![1000, 0, 0],
            second: 0,
            log: Vec::new(),
            calls: Vec::new(),
            called: Vec::new(),
        }
    }

    /// With the model that ships.
    fn with_model() -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
        let model = crate::models::Files::in_folder(folder.as_ref()).unwrap().load().unwrap();
        Self { models: Models { model: Some(model.into()), refused: None }, ..Self::new() }
    }

    fn reactive() -> Self {
        let simulation = Self::new();
        let mut route = (*simulation.world.route("journal")).clone();
        route.spec.forecast.strategy = Strategy::Reactive;
        simulation.world.put_route(route);
        simulation
    }

    /// Drives demand (1.0 fills one node) for so many seconds.
    fn drive(&mut self, seconds: i64, demand: impl Fn(f64) -> f64) -> &mut Self {
        for elapsed in 0..seconds {
            self.second += 1;
            let at = later(self.second);
            let offered = demand(elapsed as f64);
            for (machine, &share) in self.machines.iter_mut().zip(&self.shares) {
                let cost = machine.serve(offered * f64::from(share) / 1000.0);
                machine.work(cost + 0.01, at);
            }
            for (i, machine) in self.machines.iter().enumerate() {
                if (self.second as usize + i).is_multiple_of(2) {
                    machine.publish(&self.world, at);
                }
            }
            let programmed = self.tick(at);
            self.log.push(Second {
                load: self.machines[0].seen.0,
                programmed: self.shares[0],
                desired: self.desired(),
            });
            self.shares = programmed;
        }
        self
    }

    /// One tick of the operator without its I/O; answers the shares that the listed endpoints come to.
    fn tick(&mut self, now: Timestamp) -> Vec<u16> {
        let route = self.world.route("journal");
        let observed = observe(&self.world.caches, &route, &self.planner.services_in_force(), now);
        let verdict = validate(&route, &observed);
        self.answer(now);
        let outcome = self.planner.tick(&route, &verdict, &observed, &mut self.ledger, &self.models, now);
        let answered = self.second + HOOK_TAKES;
        self.called.extend(outcome.calls.iter().map(|call| call.endpoint.clone()));
        self.calls.extend(outcome.calls.iter().map(|call| (answered, call.clone())));
        self.told(&outcome, now);
        let valid = outcome.in_force.as_ref().unwrap();
        let before: Vec<&EndpointSlice> = observed.slices("journal").collect();
        let shares = outcome.shares.as_ref().unwrap();
        let slices = slices::build(&RouteKey::of(&route), valid, &observed, shares, &before);
        let realised = slices::realised(&slices, &["a", "b", "c"]).unwrap();
        for slice in slices {
            self.world.put_slice(slice);
        }
        realised
    }

    /// Hooks that were called long enough ago have warmed their alternate.
    fn answer(&mut self, now: Timestamp) {
        let due: Vec<Call> =
            self.calls.extract_if(.., |(at, _)| *at <= self.second).map(|(_, call)| call).collect();
        for Call { alternate, endpoint, .. } in due {
            for machine in self.machines.iter_mut().filter(|machine| machine.service == alternate) {
                machine.cold = 0.0;
            }
            self.planner.hear(vec![Answer { alternate, endpoint, result: Ok(()) }], now);
        }
    }

    /// With alternates that are slow for their first hundred entries.
    fn cold(mut self) -> Self {
        for machine in &mut self.machines[1..] {
            machine.cold = 100.0;
        }
        self
    }

    fn hooked(self) -> Self {
        let mut route = (*self.world.route("journal")).clone();
        route.spec.warm_up.hook = Some(Hook { path: "/warm".into(), port: 80, timeout: Span::from_secs(5) });
        self.world.put_route(route);
        self
    }

    fn slow_entries(&self) -> f64 {
        self.machines.iter().map(|machine| machine.slow).sum()
    }

    /// Keeps the status, from which a restarted operator goes on.
    fn told(&self, outcome: &Outcome, now: Timestamp) {
        let mut route = (*self.world.route("journal")).clone();
        let verdict = outcome.in_force.clone().ok_or_else(Vec::new);
        let applied = super::apply::Applied::default();
        let facts = super::status::Facts { route: &route, verdict: &verdict, outcome, applied: &applied };
        let previous = route.status.clone().unwrap_or_default();
        route.status = Some(super::status::next_status(facts, &previous, now));
        self.world.put_route(route);
    }

    fn restart(&mut self) {
        (self.planner, self.ledger) = (Planner::default(), Ledger::default());
    }

    fn saturated_seconds(&self) -> usize {
        self.log.iter().filter(|second| second.load >= 0.95).count()
    }

    fn changes(&self) -> usize {
        self.log.windows(2).filter(|pair| pair[0].programmed != pair[1].programmed).count()
    }

    fn first_move(&self) -> Option<usize> {
        self.log.iter().position(|second| second.desired < 1000)
    }

    fn desired(&self) -> u16 {
        self.world.route("journal").status.as_ref().unwrap().shares[0].desired.permille()
    }

    fn phase(&self) -> Phase {
        self.world.route("journal").status.as_ref().unwrap().phase
    }
}

/// The demo's ramp: 40 % to 160 % of the lead within 90 s.
fn ramp(second: f64) -> f64 {
    0.4 + 1.2 * (second / 90.0).min(1.0)
}

#[test]
fn on_a_ramp_the_lead_stays_under_saturation_with_few_changes() {
    for mut simulation in [Simulation::new(), Simulation::with_model()] {
        simulation.drive(60, |_| 0.4).drive(130, ramp);
        assert_eq!(simulation.saturated_seconds(), 0, "{:#?}", simulation.log);
        assert!(simulation.changes() <= 12, "{} changes", simulation.changes());
        let moved = 1000 - simulation.log.last().unwrap().programmed;
        assert!((500..=680).contains(&moved), "{moved} permille moved where some 540 were needed");
    }
}

#[test]
fn the_last_rung_moves_only_after_saturation_was_seen() {
    let mut simulation = Simulation::reactive();
    simulation.drive(60, |_| 0.4).drive(130, ramp);
    let first = simulation.first_move().expect("it moves in the end");
    let saturated = simulation.log.iter().position(|second| second.load >= 0.9).unwrap();
    assert!(first > saturated, "moved at {first}, saturated at {saturated}");
    let mut forecasting = Simulation::new();
    forecasting.drive(60, |_| 0.4).drive(130, ramp);
    let ahead = first - forecasting.first_move().unwrap();
    assert!(ahead >= 10, "only {ahead} s before the last rung");
}

#[test]
fn nothing_moves_while_the_load_stays() {
    for level in [0.0, 0.3, 0.6, 0.7] {
        for mut simulation in [Simulation::new(), Simulation::with_model()] {
            simulation.drive(120, |second| level * (0.5 + second / 240.0));
            let before = simulation.changes();
            simulation.drive(300, |_| level);
            assert_eq!(simulation.changes(), before, "at {level}");
        }
    }
}

#[test]
fn noise_moves_nothing() {
    for mut simulation in [Simulation::new(), Simulation::with_model()] {
        simulation.drive(300, |second| 0.5 + 0.08 * (second * 1.7).sin());
        assert_eq!((simulation.changes(), simulation.phase()), (0, Phase::Steady));
    }
}

#[test]
fn shares_come_back_when_the_load_is_gone() {
    let mut simulation = Simulation::new();
    simulation.drive(60, |_| 0.4).drive(130, ramp);
    let changes = simulation.changes();
    simulation.drive(180, |_| 0.3);
    assert_eq!(simulation.shares[0], 1000);
    assert_eq!(simulation.phase(), Phase::Steady);
    assert!(simulation.changes() - changes <= 8, "{} changes back", simulation.changes() - changes);
}

#[test]
fn a_flash_crowd_is_shed_as_soon_as_by_the_last_rung() {
    let saturated = |mut simulation: Simulation| {
        simulation.drive(60, |_| 0.4).drive(60, |_| 1.5);
        simulation.saturated_seconds()
    };
    let reactive = saturated(Simulation::reactive());
    for simulation in [Simulation::new(), Simulation::with_model()] {
        let forecasting = saturated(simulation);
        assert!(forecasting <= reactive, "{forecasting} s, the last rung {reactive} s");
    }
}

#[test]
fn the_model_moves_entries_well_before_the_lead_would_saturate() {
    let mut simulation = Simulation::with_model();
    simulation.drive(60, |_| 0.4).drive(130, ramp);
    let moved = simulation.log.iter().position(|second| second.programmed < 1000).unwrap();
    let saturated = 60 + (0..130).find(|&second| ramp(f64::from(second)) >= 0.95).unwrap();
    assert!(moved + 15 <= saturated as usize, "moved at {moved} s, saturation at {saturated} s");
}

#[test]
fn an_operator_that_restarts_keeps_the_shares() {
    let mut simulation = Simulation::new();
    simulation.drive(60, |_| 0.4).drive(130, ramp);
    let before = simulation.shares.clone();
    simulation.restart();
    simulation.drive(20, |_| 1.6);
    let far = before.iter().zip(&simulation.shares).any(|(a, b)| a.abs_diff(*b) > 120);
    assert!(!far, "{before:?} became {:?}", simulation.shares);
    assert_eq!(simulation.saturated_seconds(), 0);
}

#[test]
fn a_node_that_falls_silent_freezes_the_shares() {
    let mut simulation = Simulation::new();
    simulation.drive(60, |_| 0.4);
    simulation.machines.retain(|machine| machine.name != "n1");
    let before = simulation.changes();
    for _ in 0..30 {
        simulation.second += 1;
        simulation.tick(later(simulation.second));
    }
    assert_eq!((simulation.changes(), simulation.phase()), (before, Phase::Degraded));
}

#[test]
fn no_entry_meets_a_cold_alternate_that_has_a_hook() {
    let ramped = |mut simulation: Simulation| {
        simulation.drive(60, |_| 0.4).drive(130, ramp);
        (simulation.slow_entries().round(), simulation.saturated_seconds())
    };
    assert_eq!(ramped(Simulation::new().cold()).0, 200.0, "two alternates, a hundred entries each");
    assert_eq!(ramped(Simulation::new().cold().hooked()), (0.0, 0));
    assert_eq!(ramped(Simulation::with_model().cold().hooked()), (0.0, 0));
}

#[test]
fn every_endpoint_is_called_once_even_when_the_operator_restarts() {
    let mut simulation = Simulation::new().cold().hooked();
    for part in 0..13 {
        simulation.drive(10, |second| ramp(second + f64::from(part) * 10.0));
        if simulation.shares[1] > 0 && simulation.shares[2] > 0 {
            simulation.restart();
        }
    }
    let endpoints: std::collections::BTreeSet<&String> = simulation.called.iter().collect();
    assert_eq!((simulation.called.len(), endpoints.len()), (2 * PODS, 2 * PODS));
}
