//! The API server is away: the snapshot of a route is made from what it said last, while time goes on.

use std::{net::SocketAddr, time::Duration};

use foreshift_engine::resource::Freshness;
use foreshift_entry_router::{proxy::Limits, snapshot::cluster::snapshots};
use foreshift_view::{
    caches::{self, Caches},
    index::IndexedWriter,
};
use http::StatusCode;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use crate::{
    backend::{Backend, Manner},
    world::{LONG, World, entry},
};

fn put<K>(writer: &mut IndexedWriter<K>, object: Value)
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + 'static,
{
    writer.apply_watcher_event(&Event::Apply(serde_json::from_value(object).unwrap()));
}

/// A route whose resources are these, each on a busy node of its own that was heard of at `now`.
fn cluster(resources: &[SocketAddr], now: Timestamp) -> Caches {
    let (caches, mut writers) = caches::new();
    for (i, address) in resources.iter().enumerate() {
        let (service, node) = (format!("r{i}"), format!("n{i}"));
        put(
            &mut writers.services,
            json!({"metadata": {"name": service, "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
        );
        put(
            &mut writers.slices,
            json!({
                "metadata": {"name": service, "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
                "addressType": "IPv4",
                "ports": [{"name": "", "port": address.port()}],
                "endpoints": [{"addresses": [address.ip().to_string()], "nodeName": node, "conditions": {"ready": true}}],
            }),
        );
        let none = json!({"capacity": "0", "used": "0"});
        let capacity = json!({"limiting": "cpu", "load": "0.7", "cpu": {"capacity": "4", "used": "2.8"},
            "memory": none, "network": none});
        let workload = json!({"namespace": "shop", "service": service, "pods": 1, "load": "0.7",
            "cpu": {"capacity": "4", "used": "2.8"}, "memory": none});
        put(
            &mut writers.personas,
            json!({"apiVersion": "foreshift.dev/v1alpha1", "kind": "ResourcePersona", "metadata": {"name": node},
                "spec": {}, "status": {"observedAt": now.to_string(), "capacity": capacity, "workloads": [workload]}}),
        );
    }
    put(
        &mut writers.routes,
        json!({"apiVersion": "foreshift.dev/v1alpha1", "kind": "JournalRoute",
            "metadata": {"name": "journal", "namespace": "shop"},
            "spec": {"lead": {"service": "r0", "port": 80}, "alternates": [{"service": "r1", "port": 80}],
                "target": {"service": "journal"}}}),
    );
    caches
}

#[tokio::test]
async fn for_a_minute_without_the_api_server_entries_go_on_and_around_what_fails_meanwhile() {
    let (lead, next) = (Backend::start(Manner::Acknowledge).await, Backend::start(Manner::Acknowledge).await);
    let began = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
    let caches = cluster(&[lead.address, next.address], began);
    let world = World::snapshot(snapshots(&caches, None, began).remove(0), Limits::default());
    let mut freshness = Vec::new();
    for second in 0..=60 {
        let snapshot = snapshots(&caches, None, began + Duration::from_secs(second)).remove(0);
        freshness.push(snapshot.members[0].resource.freshness);
        world.routes.update(vec![snapshot]);
        if second == 30 {
            lead.stop();
            lead.behave(Manner::Answer(503));
        }
        for n in 0..5 {
            // A minute goes by in no time here, but retries are paid for by real seconds: beyond them clients insist.
            let taken = async {
                while world.send(entry(&format!("{second}-{n}"), "x")).await.0.status != StatusCode::ACCEPTED
                {
                }
            };
            tokio::time::timeout(LONG, taken).await.expect("it is acknowledged in the end");
        }
    }
    assert_eq!((freshness[0], freshness[60]), (Freshness::Fresh, Freshness::Aged), "time did go on");
    let (lead, next) = (lead.acknowledged(), next.acknowledged());
    assert_eq!(lead.len() + next.len(), 61 * 5);
    assert!(lead.values().chain(next.values()).all(|times| *times == 1));
    assert!(next.len() >= 31 * 5, "the lead went away half-way");
}
