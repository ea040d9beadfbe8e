//! The JournalRoute of the demo, as each run wants it.

use std::time::Duration;

use clap::ValueEnum;
use foreshift_api::{
    JournalRoute, Percent, ResourcePersona,
    condition::{self, RouteCondition},
    journal_route::Strategy,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::{Deserialize, Serialize};

use crate::{
    drive::Way,
    error::{Error, Result, ask, until},
    sender::Connections,
    stage::{NAMESPACE, TARGET},
};

/// One drive of the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Run {
    /// The lead keeps everything.
    LeadOnly,
    /// The last rung of the ladder: move when saturation is observed.
    Reactive,
    /// As installed: the forecast decides, and the entry router where entries go through it.
    Foreshift,
    /// The same for clients that keep their connections.
    KeptAlive,
}

const ROUTE_YAML: &str = include_str!("../demo/route.yaml");
const MANAGER: &str = "foreshift-demo";
const SETTLES_WITHIN: Duration = Duration::from_mins(1);

impl Run {
    /// As in the summary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeadOnly => "lead_only",
            Self::Reactive => "reactive",
            Self::Foreshift => "foreshift",
            Self::KeptAlive => "kept_alive",
        }
    }

    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::LeadOnly => "lead only",
            Self::Reactive => "reactive",
            Self::Foreshift => "Foreshift",
            Self::KeptAlive => "kept alive",
        }
    }

    /// How entries travel in it. Who does without Foreshift, or has it react only, has no router either: connections are
    /// spread by EndpointSlices then, and over new ones, which is the best that these can do.
    #[must_use]
    pub fn way(self, router: bool) -> Way {
        match self {
            Self::LeadOnly | Self::Reactive => Way::default(),
            Self::Foreshift => Way { router, connections: Connections::New },
            Self::KeptAlive => Way { router, connections: Connections::Kept },
        }
    }

    /// The route of this run. All runs share one manifest and differ in one field.
    pub fn route(self) -> Result<JournalRoute> {
        let mut route: JournalRoute = serde_yaml::from_str(ROUTE_YAML)
            .map_err(|error| Error::Unfit(format!("e2e/demo/route.yaml does not parse: {error}")))?;
        match self {
            Self::LeadOnly => route.spec.limits.min_lead_share = Percent::from_permille(1000),
            Self::Reactive => route.spec.forecast.strategy = Strategy::Reactive,
            Self::Foreshift | Self::KeptAlive => {}
        }
        Ok(route)
    }
}

/// Applies a route and waits until it says that its shares are programmed; returns how long that took.
pub async fn apply(client: &Client, route: &JournalRoute) -> Result<Duration> {
    let routes = routes(client);
    let began = tokio::time::Instant::now();
    let applied = ask(
        "apply the JournalRoute",
        routes.patch(TARGET, &PatchParams::apply(MANAGER).force(), &Patch::Apply(route)),
    )
    .await?;
    until("the JournalRoute to be programmed", SETTLES_WITHIN, async || {
        let route = ask("the JournalRoute", routes.get_status(TARGET)).await?;
        let seen = route.status.as_ref().and_then(|status| status.observed_generation);
        if seen >= applied.metadata.generation && is_true(&route, RouteCondition::Programmed) {
            return Ok(Ok(()));
        }
        Ok(Err(why_not(&route)))
    })
    .await?;
    Ok(began.elapsed())
}

/// Removes the route, if there is one, and waits until it is gone.
pub async fn delete(client: &Client) -> Result<()> {
    let routes = routes(client);
    match ask("delete the JournalRoute", routes.delete(TARGET, &DeleteParams::default())).await {
        Err(Error::Kube { source, .. }) if is_not_found(&source) => return Ok(()),
        answer => answer?,
    };
    until("the JournalRoute to go", SETTLES_WITHIN, async || {
        let route = ask("the JournalRoute", routes.get_opt(TARGET)).await?;
        Ok(route.map_or(Ok(()), |_| Err("is the operator running to release it?".to_owned())))
    })
    .await
}

/// The route as it stands; `None` when there is none.
pub async fn get(client: &Client) -> Result<Option<JournalRoute>> {
    ask("the JournalRoute", routes(client).get_opt(TARGET)).await
}

/// The personas, and a word on what to do when Foreshift is not there.
pub async fn personas(client: &Client) -> Result<Vec<ResourcePersona>> {
    let personas: Api<ResourcePersona> = Api::all(client.clone());
    match ask("list ResourcePersonas", personas.list(&ListParams::default())).await {
        Err(Error::Kube { source, .. }) if is_not_found(&source) => Err(Error::Unfit(
            "Foreshift is not installed in this cluster: helm install foreshift charts/foreshift \
             --namespace foreshift-system --create-namespace"
                .into(),
        )),
        answer => Ok(answer?.items),
    }
}

/// Whether a condition of the route is true.
#[must_use]
pub fn is_true(route: &JournalRoute, type_: RouteCondition) -> bool {
    route.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, type_))
}

/// The messages of the conditions that are not true.
#[must_use]
pub fn why_not(route: &JournalRoute) -> String {
    let conditions = route.status.iter().flat_map(|status| &status.conditions);
    let mut lines = conditions
        .filter(|c| c.status != "True" && c.type_ != RouteCondition::Contested.name())
        .map(|c| format!("{}={}: {}", c.type_, c.status, c.message))
        .collect::<Vec<_>>();
    if lines.is_empty() {
        lines.push("no status yet; is the operator running?".into());
    }
    lines.join("; ")
}

/// The routes of the demo's namespace.
#[must_use]
pub fn routes(client: &Client) -> Api<JournalRoute> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runs_share_a_route_and_differ_in_one_field() {
        let [lead_only, reactive, foreshift] =
            [Run::LeadOnly, Run::Reactive, Run::Foreshift].map(|run| run.route().unwrap().spec);
        assert_eq!(foreshift.forecast.strategy, Strategy::Auto);
        assert_eq!(lead_only.limits.min_lead_share, Percent::from_permille(1000));
        let mut undone = reactive;
        undone.forecast.strategy = Strategy::Auto;
        assert_eq!(undone, foreshift);
        let mut undone = lead_only;
        undone.limits.min_lead_share = foreshift.limits.min_lead_share;
        assert_eq!(undone, foreshift);
    }
}
