//! Watches the two objects the agent may know: its own Node and its own ResourcePersona.

use std::fmt::Debug;

use foreshift_api::{Decimal, GROUP, ResourcePersona, ResourcePersonaSpec};
use foreshift_engine::persona::score::Prices;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::{outage::Outage, persona::Surroundings, quantity::bytes};

/// What the API server says of the node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The Node, as owner of the persona; `None` while it is not there or was never seen.
    pub owner: Option<OwnerReference>,
    /// What the persona is made with.
    pub surroundings: Surroundings,
}

/// An object, as far as it can be seen.
#[derive(Debug)]
enum Seen<K> {
    There(Box<K>),
    Absent,
    /// The watch fails: what was known may be old.
    Hidden,
}

/// Keeps `known` up to date with the Node and the persona called `name`, for ever.
pub async fn follow(client: Client, name: &str, known: watch::Sender<Known>) {
    let node = observe(Api::<Node>::all(client.clone()), name, "watching the own Node", |seen| {
        known.send_if_modified(|known| changed(known, |known| see_node(known, seen)));
    });
    let persona =
        observe(Api::<ResourcePersona>::all(client), name, "watching the own ResourcePersona", |seen| {
            known.send_if_modified(|known| changed(known, |known| see_persona(known, seen)));
        });
    tokio::join!(node, persona);
}

async fn observe<K>(api: Api<K>, name: &str, what: &'static str, mut see: impl FnMut(Seen<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut outage = Outage::new(what);
    let mut objects = std::pin::pin!(objects(api, name));
    while let Some(object) = objects.next().await {
        match object {
            Ok(object) => {
                outage.over();
                see(object.map_or(Seen::Absent, |object| Seen::There(Box::new(object))));
            }
            Err(error) => {
                outage.failed(&error);
                see(Seen::Hidden);
            }
        }
    }
}

/// Seconds after which a watch is taken up anew, since one that died without a word looks like a quiet cluster. Many
/// agents ask one API server, so not more often.
const RENEW_WATCH_AFTER: u32 = 60;

/// The object of this name with every change, `None` when it is absent.
fn objects<K>(api: Api<K>, name: &str) -> impl Stream<Item = watcher::Result<Option<K>>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config =
        watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(RENEW_WATCH_AFTER);
    let mut found = false;
    watcher(api, config).default_backoff().try_filter_map(move |event| {
        let object = match event {
            watcher::Event::Init => {
                found = false;
                None
            }
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                found = true;
                Some(Some(object))
            }
            watcher::Event::InitDone if found => None,
            watcher::Event::InitDone | watcher::Event::Delete(_) => Some(None),
        };
        std::future::ready(Ok(object))
    })
}

fn see_node(known: &mut Known, seen: Seen<Node>) {
    match seen {
        Seen::There(node) => {
            known.surroundings.ready = Some(has(&node, "Ready"));
            known.surroundings.evicts = has(&node, "MemoryPressure");
            known.surroundings.allocatable = allocatable(&node);
            known.surroundings.labels = prices(&node);
            known.owner = node.owner_ref(&());
        }
        Seen::Absent => {
            (known.owner, known.surroundings.ready) = (None, None);
            (known.surroundings.evicts, known.surroundings.allocatable) = (false, None);
        }
        Seen::Hidden => (known.surroundings.ready, known.surroundings.evicts) = (None, false),
    }
}

/// While it is not seen, the last known `spec` stands.
fn see_persona(known: &mut Known, seen: Seen<ResourcePersona>) {
    let spec = match seen {
        Seen::There(persona) => persona.spec,
        Seen::Absent => ResourcePersonaSpec::default(),
        Seen::Hidden => return,
    };
    (known.surroundings.cost, known.surroundings.workloads) = (spec.cost, spec.workloads);
}

/// Prices that somebody wrote on the Node; what is no price is left out.
fn prices(node: &Node) -> Prices {
    let price = |name: &str| {
        let text = node.metadata.labels.as_ref()?.get(&format!("{GROUP}/{name}"))?;
        text.parse::<Decimal>().ok().map(Decimal::get).filter(|price| *price >= 0.0)
    };
    Prices {
        node: price("hourly-price"),
        licences: price("license-per-hour"),
        kilowatt_hour: price("price-per-kilowatt-hour"),
    }
}

/// Whether the Node has the condition.
fn has(node: &Node, condition: &str) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|it| it.type_ == condition && it.status == "True")
}

/// Bytes of memory that pods can have; what is no amount is left out.
fn allocatable(node: &Node) -> Option<f64> {
    let allocatable = node.status.as_ref()?.allocatable.as_ref()?;
    bytes(&allocatable.get("memory")?.0).filter(|bytes| *bytes > 0.0)
}

fn changed(known: &mut Known, change: impl FnOnce(&mut Known)) -> bool {
    let before = known.clone();
    change(known);
    *known != before
}

#[cfg(test)]
mod tests {
    use foreshift_api::resource_persona::WorkloadSpec;
    use serde_json::json;

    use super::*;

    fn node(ready: &str) -> Box<Node> {
        let node = json!({
            "metadata": {"name": "n1", "uid": "u1"},
            "status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]},
        });
        Box::new(serde_json::from_value(node).unwrap())
    }

    #[test]
    fn readiness_is_unknown_while_the_watch_fails_but_the_owner_stands() {
        let mut known = Known::default();
        for (seen, ready, owned) in [
            (Seen::There(node("True")), Some(true), true),
            (Seen::Hidden, None, true),
            (Seen::There(node("Unknown")), Some(false), true),
            (Seen::Absent, None, false),
        ] {
            see_node(&mut known, seen);
            assert_eq!((known.surroundings.ready, known.owner.is_some()), (ready, owned));
        }
    }

    #[test]
    fn what_the_kubelet_says_of_memory_is_known_while_the_node_is_seen() {
        let mut short = node("True");
        let status = json!({
            "allocatable": {"cpu": "2", "memory": "2000Mi"},
            "conditions": [{"type": "MemoryPressure", "status": "True"}],
        });
        short.status = serde_json::from_value(status).unwrap();
        let mut odd = node("True");
        odd.status = serde_json::from_value(json!({"allocatable": {"memory": "plenty"}})).unwrap();
        let mut known = Known::default();
        for (seen, allocatable, evicts) in [
            (Seen::There(short), Some(2000.0 * 1_048_576.0), true),
            (Seen::Hidden, Some(2000.0 * 1_048_576.0), false),
            (Seen::There(odd), None, false),
            (Seen::Absent, None, false),
        ] {
            see_node(&mut known, seen);
            assert_eq!((known.surroundings.allocatable, known.surroundings.evicts), (allocatable, evicts));
        }
    }

    #[test]
    fn labels_of_the_node_are_prices_and_what_is_none_is_left_out() {
        let mut node = node("True");
        let labels =
            [("hourly-price", "0.2"), ("license-per-hour", "cheap"), ("price-per-kilowatt-hour", "-1")];
        let labels = labels.map(|(name, price)| (format!("foreshift.dev/{name}"), price.to_owned()));
        node.metadata.labels = Some(labels.into());
        let mut known = Known::default();
        see_node(&mut known, Seen::There(node));
        let expected = Prices { node: Some(0.2), licences: None, kilowatt_hour: None };
        assert_eq!(known.surroundings.labels, expected);
    }

    #[test]
    fn the_last_known_spec_stands_until_another_is_seen() {
        let spec = ResourcePersonaSpec { workloads: vec![WorkloadSpec::default()], ..Default::default() };
        let mut known = Known::default();
        for (seen, workloads) in [
            (Seen::There(Box::new(ResourcePersona::new("n1", spec))), 1),
            (Seen::Hidden, 1),
            (Seen::Absent, 0),
        ] {
            see_persona(&mut known, seen);
            assert_eq!(known.surroundings.workloads.len(), workloads);
        }
    }
}
