//! Parse, do not validate: from a spec to a [`ValidRoute`], or to sentences that say what to write instead.

use foreshift_api::{
    JournalRoute,
    condition::RouteReason,
    journal_route::{Hook, ResourceRef, Strategy},
};
use foreshift_engine::{forecast::Rung, policy::Policy, shadow::Shadow};
use foreshift_view::{
    Observed,
    policy::{policy, shadow},
    ports,
};
use k8s_openapi::api::core::v1::Service;

/// A route that makes sense and whose Services fit their parts.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidRoute {
    /// The selector-less Service that clients call.
    pub target: String,
    /// The lead.
    pub lead: ResourceRef,
    /// Its alternates.
    pub alternates: Vec<ResourceRef>,
    /// What to plan for.
    pub policy: Policy,
    /// The best rung of the forecast ladder that may act.
    pub ceiling: Rung,
    /// Called on the endpoints of an alternate before its first share.
    pub hook: Option<Hook>,
    /// How shadow entries try the alternates.
    pub shadow: Option<Shadow>,
}

/// What is wrong and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The reason, which names the condition that becomes `False`.
    pub reason: RouteReason,
    /// A sentence that says what to do.
    pub message: String,
}

/// A route to go by, or why there is none.
pub type Verdict = Result<ValidRoute, Vec<Problem>>;

/// Checks what the API server cannot: what the route names, and how it fits together.
///
/// # Errors
/// Every problem found, not only the first.
pub fn validate(route: &JournalRoute, observed: &Observed) -> Verdict {
    let spec = &route.spec;
    let Some(target) = &spec.target.service else {
        return Err(vec![problem(
            RouteReason::UnsupportedTarget,
            "this version writes EndpointSlices only; name a selector-less Service in target.service instead of \
             target.httpRoute"
                .into(),
        )]);
    };
    let mut problems = Vec::new();
    if let Some(rival) = &observed.rival {
        problems.push(problem(
            RouteReason::TargetTaken,
            format!(
                "route `{rival}` already serves target `{target}`; add the alternates to it, or name another target"
            ),
        ));
    }
    let service = check_target(target, observed, &mut problems);
    for resource in std::iter::once(&spec.lead).chain(&spec.alternates) {
        check_resource(resource, service, observed, &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(ValidRoute {
        target: target.clone(),
        lead: spec.lead.clone(),
        alternates: spec.alternates.clone(),
        policy: policy(spec),
        ceiling: match spec.forecast.strategy {
            Strategy::Auto => Rung::Model,
            Strategy::Reactive => Rung::Reactive,
        },
        hook: spec.warm_up.hook.clone(),
        shadow: spec.shadow.as_ref().map(shadow),
    })
}

impl ValidRoute {
    /// Lead and alternates, in this order.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceRef> {
        std::iter::once(&self.lead).chain(&self.alternates)
    }

    /// The Services of resources and target.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        let resources = self.resources().map(|resource| resource.service.as_str());
        resources.chain([self.target.as_str()]).collect()
    }
}

fn check_target<'a>(name: &str, observed: &'a Observed, problems: &mut Vec<Problem>) -> Option<&'a Service> {
    let Some(service) = observed.service(name) else {
        problems.push(problem(
            RouteReason::TargetNotFound,
            format!("Service `{name}` does not exist in this namespace; create it without a selector, with the port that clients call"),
        ));
        return None;
    };
    let spec = service.spec.as_ref();
    let wrong = if spec.and_then(|s| s.selector.as_ref()).is_some_and(|selector| !selector.is_empty()) {
        Some((
            RouteReason::TargetHasSelector,
            format!(
                "Service `{name}` has a selector, so Kubernetes itself lists its endpoints; remove its selector, or name a Service without one in target.service"
            ),
        ))
    } else if spec.and_then(|s| s.type_.as_deref()) == Some("ExternalName") {
        Some((
            RouteReason::TargetIsExternal,
            format!(
                "Service `{name}` is of type ExternalName and has no endpoints; name a Service with a cluster IP or a headless one"
            ),
        ))
    } else if ports::of(service).is_empty() {
        Some((
            RouteReason::TargetHasNoPort,
            format!("Service `{name}` has no port; give it the port that clients call"),
        ))
    } else {
        None
    };
    if let Some((reason, message)) = wrong {
        problems.push(problem(reason, message));
        return None;
    }
    Some(service)
}

fn check_resource(
    resource: &ResourceRef,
    target: Option<&Service>,
    observed: &Observed,
    problems: &mut Vec<Problem>,
) {
    let ResourceRef { service: name, port } = resource;
    let Some(service) = observed.service(name) else {
        problems.push(problem(
            RouteReason::ServiceNotFound,
            format!("Service `{name}` does not exist in this namespace; create it, or correct its name in the route"),
        ));
        return;
    };
    if !ports::of(service).iter().any(|p| p.port == *port) {
        problems.push(problem(
            RouteReason::PortNotFound,
            format!("Service `{name}` has no port {port}; its ports are: {}", ports::listed(service)),
        ));
        return;
    }
    let Some(target) = target else { return };
    if !ports::pairs(target, service, *port).iter().any(|(_, backend)| backend.port == *port) {
        let target_name = target.metadata.name.as_deref().unwrap_or_default();
        problems.push(problem(
            RouteReason::PortNotMatched,
            format!(
                "none of the ports of target `{target_name}` ({}) leads to port {port} of `{name}`; give one of them the same name or number",
                ports::listed(target)
            ),
        ));
    }
}

fn problem(reason: RouteReason, message: String) -> Problem {
    Problem { reason, message }
}

#[cfg(test)]
mod tests {
    use foreshift_api::condition::RouteCondition;
    use foreshift_view::observe;

    use super::*;
    use crate::fixtures::{NOW, ServiceWith, World, route, service};

    fn verdict(world: &World) -> Verdict {
        let route = world.route("journal");
        validate(&route, &observe(&world.caches, &route, &[], NOW))
    }

    fn world() -> World {
        World::with_route("journal").backend("a", "n1", 4).backend("b", "n2", 4)
    }

    #[test]
    fn a_route_whose_services_fit_is_valid_and_its_defaults_are_the_engines() {
        let valid = verdict(&world()).unwrap();
        assert_eq!(valid.policy, Policy::default());
        assert_eq!((valid.target.as_str(), valid.ceiling), ("journal", Rung::Model));
    }

    #[test]
    fn every_problem_is_told_with_what_to_do() {
        let target = || service("journal").port("in", 80);
        let cases: [(&str, World, RouteReason, &str); 7] = [
            (
                "no target",
                world().without_service("journal"),
                RouteReason::TargetNotFound,
                "create it without a selector",
            ),
            (
                "a selector",
                world().service(target().selecting("app")),
                RouteReason::TargetHasSelector,
                "remove its selector",
            ),
            ("external", world().service(target().external()), RouteReason::TargetIsExternal, "cluster IP"),
            (
                "no ports",
                world().service(service("journal")),
                RouteReason::TargetHasNoPort,
                "give it the port",
            ),
            (
                "no alternate",
                world().without_service("b"),
                RouteReason::ServiceNotFound,
                "create it, or correct",
            ),
            (
                "no port",
                world().service(service("a").port("x", 7)),
                RouteReason::PortNotFound,
                "its ports are: 7 (x)",
            ),
            (
                "no match",
                world().service(target().port("two", 81)),
                RouteReason::PortNotMatched,
                "the same name or number",
            ),
        ];
        for (name, world, reason, advice) in cases {
            let problems = verdict(&world).unwrap_err();
            assert_eq!(problems[0].reason, reason, "{name}");
            assert_eq!(reason.condition(), RouteCondition::ResolvedRefs, "{name}");
            assert!(problems[0].message.contains(advice), "{name}: {}", problems[0].message);
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = verdict(&world().without_service("a").without_service("b")).unwrap_err();
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn a_target_that_this_version_cannot_serve_is_not_accepted() {
        let mut route = route("journal");
        route.spec.target.service = None;
        let world = world();
        world.put_route(route);
        let problems = verdict(&world).unwrap_err();
        let reason = problems[0].reason;
        assert_eq!((reason.condition(), reason), (RouteCondition::Accepted, RouteReason::UnsupportedTarget));
    }

    #[test]
    fn the_older_of_two_routes_keeps_a_target() {
        let world = world();
        let mut other = route("second");
        other.metadata.creation_timestamp = None;
        world.put_route(other);
        let problems = verdict(&world).unwrap_err();
        let reason = problems[0].reason;
        assert_eq!((reason.condition(), reason), (RouteCondition::Accepted, RouteReason::TargetTaken));
        assert!(problems[0].message.contains("`second`"));
    }
}
