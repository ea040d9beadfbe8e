//! The watches of the own Node and the own persona.

use foreshift_node_agent::watch::{Known, follow};
use serde_json::json;
use tokio::sync::watch;

use crate::fake::{Fault, PERSONA, Server};

#[tokio::test(start_paused = true)]
async fn node_and_persona_are_known_whatever_fails_at_first() {
    let server = Server::default();
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u1"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    server.put("/api/v1/nodes/n1", node);
    let (tell, mut known) = watch::channel(Known::default());
    server.fail(&[Fault::Status(500), Fault::Status(403), Fault::Status(404), Fault::Status(500)]);
    let client = server.client();
    let task = tokio::spawn(async move { follow(client, "n1", tell).await });
    let seen = known.wait_for(|known| known.owner.is_some()).await.unwrap().clone();
    assert_eq!((seen.owner.unwrap().uid.as_str(), seen.surroundings.ready), ("u1", Some(true)));

    // The kind is installed and the operator asks only now: the failed list is tried again until then.
    let workloads = json!([{"namespace": "shop", "service": "journal-a", "pods": ["p1"]}]);
    let spec = json!({"workloads": workloads, "cost": {"hourlyPrice": "0.2"}});
    let api = ("foreshift.dev/v1alpha1", "ResourcePersona");
    server
        .put(PERSONA, json!({"apiVersion": api.0, "kind": api.1, "metadata": {"name": "n1"}, "spec": spec}));
    let seen = known.wait_for(|known| !known.surroundings.workloads.is_empty()).await.unwrap().clone();
    assert_eq!(seen.surroundings.workloads[0].pods, ["p1"]);
    assert_eq!(seen.surroundings.cost.unwrap().hourly_price, "0.2".parse().ok());
    task.abort();
}
