//! One tick of one route, pure: measured, forecast and planned by the engine.

use std::{collections::BTreeMap, time::Duration};

use foreshift_api::{JournalRoute, JournalRouteStatus, journal_route::Mode};
use foreshift_engine::{
    apportion::permille,
    decision::Decision,
    demand::{IdleUse, Series},
    hooks::{Call, HookProgress, HookTarget, Hooks},
    ledger::Ledger,
    plan::{Input, Memory, plan},
    resource::Resource,
};
use foreshift_predictor::Trust;
use foreshift_view::{
    Observed, RouteKey, endpoints,
    resources::{Attribution, Measured, measure},
    time::since_epoch,
};
use k8s_openapi::jiff::Timestamp;

use super::{
    forecast::{Elsewhere, Forecasters},
    hook::Answer,
    slices,
    validate::{ValidRoute, Verdict},
    verdicts::{Verdicts, judge},
};
use crate::models::Models;

/// How far ahead people are told the lead's load.
const TOLD_AHEAD: Duration = Duration::from_mins(1);

/// Work of a route below which nobody can say who serves which share of it, in cores.
const LEAST_WORK: f64 = 0.02;

/// Smaller shares make no dip that is worth waiting for, permille.
const VISIBLE_SHARE: u16 = 50;

/// What is remembered of a route's decisions.
#[derive(Debug, Default)]
pub struct Planner {
    in_force: Option<ValidRoute>,
    memory: Option<Memory>,
    forecasters: Option<Forecasters>,
    idle: BTreeMap<String, IdleUse>,
    shares: BTreeMap<String, u16>,
    hooks: Hooks,
}

/// What one tick came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The route that was gone by: the newest valid one. `None` if there never was one.
    pub in_force: Option<ValidRoute>,
    /// The shares to program, lead first, permille; `None` where the route writes nothing.
    pub shares: Option<Vec<u16>>,
    /// What was planned; `None` while suspended or without a valid route.
    pub plan: Option<Plan>,
    /// Warm-up hooks to call now.
    pub calls: Vec<Call>,
}

/// What was planned, and from what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The engine's decision.
    pub decision: Decision,
    /// Ready endpoints of each resource, lead first.
    pub endpoints: Vec<u32>,
    /// Who forecast, and why nobody better did.
    pub trust: Trust,
    /// Name of who forecast.
    pub model: String,
    /// First digits of the model that forecast; `None` if another rung did.
    pub digest: Option<String>,
    /// Why the newest model file is not used.
    pub refused: Option<String>,
    /// The lead's p90 in a minute if everything went to it.
    pub p90_in_60s: f64,
    /// When the lead would saturate if everything went to it.
    pub saturation_in: Option<Duration>,
    /// How the calls of the warm-up hook went; `None` where there is none.
    pub hooks: Option<Vec<HookProgress>>,
    /// What shadow entries showed of the alternates; `None` where there are none.
    pub shadow: Option<Vec<Verdicts>>,
    /// What each resource did of the route's work, permille, lead first; `None` where there is too little of it.
    pub served: Option<Vec<u16>>,
}

impl Planner {
    /// The newest valid version of the route.
    #[must_use]
    pub fn in_force(&self) -> Option<&ValidRoute> {
        self.in_force.as_ref()
    }

    /// The Services that it names; none without one.
    #[must_use]
    pub fn services_in_force(&self) -> Vec<&str> {
        self.in_force().map(ValidRoute::services).unwrap_or_default()
    }

    /// The lead, and what was offered to it lately on the fine grid.
    #[must_use]
    pub fn offered(&self) -> Option<(&str, &Series)> {
        self.forecasters.as_ref().map(|forecasters| (forecasters.lead(), forecasters.offered()))
    }

    /// One tick. While the spec is invalid the last valid route stays in force; while suspended its shares stay.
    pub fn tick(
        &mut self,
        route: &JournalRoute,
        verdict: &Verdict,
        observed: &Observed,
        ledger: &mut Ledger,
        models: &Models,
        now: Timestamp,
    ) -> Outcome {
        if let Ok(valid) = verdict {
            self.in_force = Some(valid.clone());
        }
        let Some(valid) = self.in_force.clone() else { return Outcome::default() };
        self.resume(route.status.as_ref());
        let plan = (!route.spec.suspend).then(|| self.plan(route, &valid, observed, ledger, models, now));
        let active = route.spec.mode == Mode::Active;
        let shares = active.then(|| self.shares_of(&valid));
        let calls = plan.as_ref().map_or_else(Vec::new, |plan| self.calls(plan, observed, now));
        Outcome { in_force: Some(valid), shares, plan, calls }
    }

    /// Takes note of what warm-up hooks answered.
    pub fn hear(&mut self, answers: Vec<Answer>, now: Timestamp) {
        for Answer { alternate, endpoint, result } in answers {
            self.hooks.answered(&alternate, &endpoint, result, since_epoch(now));
        }
    }

    /// The hooks to call: of alternates that the plan gives a share, or that have one and a new endpoint.
    fn calls(&mut self, plan: &Plan, observed: &Observed, now: Timestamp) -> Vec<Call> {
        if plan.hooks.is_none() {
            self.hooks = Hooks::default();
            return Vec::new();
        }
        let memory = self.memory.as_ref();
        let targets: Vec<HookTarget<'_>> = plan
            .decision
            .shares
            .iter()
            .skip(1)
            .map(|share| HookTarget {
                name: &share.resource,
                endpoints: endpoints::addresses(observed.slices(&share.resource)),
                wanted: share.target > 0,
                warm: memory.is_some_and(|memory| memory.is_warm(&share.resource)),
            })
            .collect();
        self.hooks.due(&targets, since_epoch(now))
    }

    /// After a start or a change of leader: goes on from the shares that the status names.
    fn resume(&mut self, status: Option<&JournalRouteStatus>) {
        if self.memory.is_some() {
            return;
        }
        self.shares = status
            .iter()
            .flat_map(|status| &status.shares)
            .map(|share| (share.resource.clone(), share.desired.permille()))
            .collect();
        self.memory = Some(if self.shares.is_empty() {
            Memory::default()
        } else {
            Memory::resume(self.shares.clone())
        });
    }

    fn plan(
        &mut self,
        route: &JournalRoute,
        valid: &ValidRoute,
        observed: &Observed,
        ledger: &mut Ledger,
        models: &Models,
        now: Timestamp,
    ) -> Plan {
        let key = RouteKey::of(route);
        let now = since_epoch(now);
        let mut measured = self.measure(&key, valid, observed, ledger, now);
        let verdicts = judge(route, valid, &mut measured, now);
        let (lead, alternates) = (&measured[0], &measured[1..]);

        let forecasters = match self.forecasters.take() {
            Some(forecasters) if forecasters.lead() == valid.lead.service => forecasters,
            _ => Forecasters::new(&valid.lead.service),
        };
        let mut memory = self.memory.take().unwrap_or_default();
        let forecasters = self.forecasters.insert(forecasters);
        let elsewhere: Vec<Elsewhere<'_>> = alternates
            .iter()
            .map(|measured| Elsewhere {
                measured,
                idle: self.idle.get(&measured.resource.name).map_or(0.0, IdleUse::cores),
                work: memory.work_on(&measured.resource.name, lead.resource.capacity),
                sharing: self
                    .shares
                    .get(&measured.resource.name)
                    .is_some_and(|&share| share >= VISIBLE_SHARE),
            })
            .collect();
        forecasters.follow(lead, &elsewhere);
        let age = forecasters.age(now);
        let (outlook, trust) =
            forecasters.outlook(models.model.as_deref(), valid.ceiling, lead.resource.load, now);

        let unseen: Vec<f64> = measured
            .iter()
            .map(|m| ledger.unseen(&key.service(&m.resource.name), &key.to_string(), m.used, now))
            .collect();
        let resources: Vec<Resource> = alternates.iter().map(|m| m.resource.clone()).collect();
        let input = Input {
            now,
            lead: &lead.resource,
            alternates: &resources,
            outlook: &outlook,
            unseen: &unseen,
            in_force: &in_force(valid, observed),
            age,
            policy: &valid.policy,
        };
        // A route that only observes calls nobody, and so waits for nobody.
        let hooked = valid.hook.is_some() && route.spec.mode == Mode::Active;
        memory.wait_for(
            valid
                .alternates
                .iter()
                .map(|alternate| alternate.service.clone())
                .filter(|alternate| hooked && self.hooks.is_waiting(alternate, now)),
        );
        let (decision, memory) = plan(&input, memory);
        self.memory = Some(memory);
        self.shares = decision.shares.iter().map(|s| (s.resource.clone(), s.permille)).collect();
        if route.spec.mode == Mode::Active {
            let service = |name: &str| key.service(name);
            ledger.enter(&key.to_string(), &decision, &lead.resource, service, now);
        }
        let objective = &valid.policy.objective;
        Plan {
            model: models.label(decision.rung),
            digest: models.digest(decision.rung),
            refused: models.refused.clone(),
            p90_in_60s: outlook.at(TOLD_AHEAD).p90,
            saturation_in: outlook.reaches(objective.saturation, objective.quantile),
            served: served(&measured),
            endpoints: measured.iter().map(|m| m.resource.endpoints).collect(),
            hooks: hooked.then(|| self.hooks.progress()),
            shadow: verdicts,
            decision,
            trust,
        }
    }

    fn measure(
        &mut self,
        key: &RouteKey,
        valid: &ValidRoute,
        observed: &Observed,
        ledger: &Ledger,
        now: Duration,
    ) -> Vec<Measured> {
        self.idle.retain(|name, _| valid.alternates.iter().any(|a| a.service == *name));
        valid
            .resources()
            .map(|resource| {
                let name = &resource.service;
                let part = ledger.part_of(&key.service(name), &key.to_string(), now);
                let idle = self.idle.get(name).map_or(0.0, IdleUse::cores);
                let measured = measure(&key.namespace, name, observed, Attribution { part, idle });
                if *name != valid.lead.service {
                    let has_share = self.shares.get(name).is_some_and(|&share| share > 0);
                    self.idle.entry(name.clone()).or_default().observe(has_share, measured.used);
                }
                measured
            })
            .collect()
    }

    fn shares_of(&self, valid: &ValidRoute) -> Vec<u16> {
        let mut shares: Vec<u16> = valid
            .alternates
            .iter()
            .map(|alternate| self.shares.get(&alternate.service).copied().unwrap_or(0))
            .collect();
        let elsewhere = shares.iter().copied().fold(0, u16::saturating_add);
        shares.insert(0, 1000_u16.saturating_sub(elsewhere));
        shares
    }
}

/// The shares that the listed endpoints come to, lead first, permille; empty while nothing of ours is listed.
fn in_force(valid: &ValidRoute, observed: &Observed) -> Vec<u16> {
    let names: Vec<&str> = valid.resources().map(|resource| resource.service.as_str()).collect();
    let ours = observed.slices(&valid.target).filter(|slice| slices::is_ours(slice));
    slices::realised(ours, &names).unwrap_or_default()
}

fn served(measured: &[Measured]) -> Option<Vec<u16>> {
    let work: Vec<f64> = measured.iter().map(|m| m.own).collect();
    (work.iter().sum::<f64>() >= LEAST_WORK).then(|| permille(&work))
}
