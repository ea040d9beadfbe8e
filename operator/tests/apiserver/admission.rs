//! The chart's admission policy and rights of the node agents, as Helm renders them: a token writes the persona of its
//! own node and nothing else, and nobody but the agents is held up.

use std::process::Command;

use foreshift_api::{AGENT_FIELD_MANAGER, ResourcePersona};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Node, Pod, ServiceAccount},
};
use kube::{
    Api, Client, Error, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    SOON,
    cluster::{Cluster, REPOSITORY, apply, eventually, program},
};

const NAMESPACE: &str = "foreshift-system";
const AGENT: &str = "foreshift-node-agent";

/// Node names of this test only: personas belong to the whole cluster.
const OWN: &str = "admitted-a";
const FOREIGN: &str = "admitted-b";

#[tokio::test]
async fn an_agent_writes_the_persona_of_its_own_node_and_no_other() {
    let admin = installed().await;
    let [a, b] = [agent_of(&admin, OWN).await, agent_of(&admin, FOREIGN).await];
    for (agent, node) in [(&a, OWN), (&b, FOREIGN)] {
        applied(agent, node).await.unwrap();
        measured(agent, node).await.unwrap();
    }
    in_force(&a).await;

    for refused in [
        applied(&a, FOREIGN).await,
        measured(&a, FOREIGN).await,
        applied(&a, "admitted-c").await,
        created(&a, json!({"generateName": OWN})).await,
        created(&a, json!({"name": "admitted-c"})).await,
    ] {
        let told = refusal(refused);
        assert!(told.contains("only the persona of its own node") && told.contains(OWN), "{told}");
    }
    // These no agent may do at all, not even to its own.
    for node in [OWN, FOREIGN] {
        let personas: Api<ResourcePersona> = Api::all(a.clone());
        let persona = personas.get(node).await.unwrap();
        refusal(personas.replace(node, &PostParams::default(), &persona).await);
        refusal(personas.replace_status(node, &PostParams::default(), &persona).await);
        refusal(personas.delete(node, &DeleteParams::default()).await);
    }
    let personas: Api<ResourcePersona> = Api::all(a.clone());
    refusal(personas.delete_collection(&DeleteParams::default(), &ListParams::default()).await);
    measured(&a, OWN).await.unwrap();
    applied(&a, OWN).await.unwrap();
}

#[tokio::test]
async fn a_token_that_names_no_node_writes_nothing() {
    let admin = installed().await;
    let [a, unbound] = [agent_of(&admin, OWN).await, client(&token(&admin, None).await, None).await];
    applied(&a, OWN).await.unwrap();
    in_force(&a).await;
    for refused in [applied(&unbound, OWN).await, measured(&unbound, OWN).await] {
        let told = refusal(refused);
        assert!(told.contains("the token belongs to node \"\""), "{told}");
    }
    let read: Api<ResourcePersona> = Api::all(unbound);
    assert_eq!(read.get(OWN).await.unwrap().name_any(), OWN, "reading is no matter of the policy");
}

#[tokio::test]
async fn nobody_but_the_agents_is_held_up() {
    let admin = installed().await;
    let a = agent_of(&admin, OWN).await;
    applied(&a, OWN).await.unwrap();
    in_force(&a).await;

    let operator = client("operator-token", None).await;
    let personas: Api<ResourcePersona> = Api::all(operator);
    let told = json!({"spec": {"workloads": [{"namespace": "shop", "service": "journal"}]}});
    personas.patch(OWN, &PatchParams::default(), &Patch::Merge(&told)).await.unwrap();
    let forecast = json!({"status": {"forecast": {"forecaster": "Holt", "horizons": []}}});
    personas.patch_status(OWN, &PatchParams::default(), &Patch::Merge(&forecast)).await.unwrap();

    let people: Api<ResourcePersona> = Api::all(admin.clone());
    created(&admin, json!({"name": "admitted-d"})).await.unwrap();
    let drained = json!({"spec": {"drain": true}});
    people.patch("admitted-d", &PatchParams::default(), &Patch::Merge(&drained)).await.unwrap();
    // What removes the persona of a deleted Node.
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    let collected: Api<ResourcePersona> = Api::all(client("admin-token", Some(collector)).await);
    collected.delete("admitted-d", &DeleteParams::default()).await.unwrap();
}

/// The agents' part of the chart is in the cluster; a client of an administrator.
async fn installed() -> Client {
    let admin = Cluster::shared().admin().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    apply(&admin, None, &namespace).await;
    for object in rendered() {
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        apply(&admin, namespace.as_deref(), &object).await;
    }
    admin
}

/// The agents' account, rights and policy, as `helm install foreshift` makes them.
fn rendered() -> Vec<Value> {
    let mut helm = Command::new(program("helm"));
    helm.args(["template", "foreshift", &format!("{REPOSITORY}/charts/foreshift"), "--namespace", NAMESPACE]);
    for template in ["rbac", "admissionpolicy"] {
        helm.args(["--show-only", &format!("templates/agent/{template}.yaml")]);
    }
    let output = helm.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = serde_yaml::Deserializer::from_slice(&output.stdout);
    let objects: Vec<_> = documents.map(|document| Value::deserialize(document).unwrap()).collect();
    assert_eq!(objects.len(), 5, "account, role, binding, policy, binding");
    objects
}

/// A client with the token that the kubelet of `node` would mount into its agent.
async fn agent_of(admin: &Client, node: &str) -> Client {
    apply(admin, None, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("agent-{node}")},
        "spec": {
            "nodeName": node, "serviceAccountName": AGENT,
            "containers": [{"name": "node-agent", "image": "foreshift.dev/node-agent"}],
        },
    });
    apply(admin, Some(NAMESPACE), &pod).await;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), NAMESPACE);
    let nodes: Api<Node> = Api::all(admin.clone());
    assert!(nodes.get(node).await.unwrap().uid().is_some());
    let pod = pods.get(&format!("agent-{node}")).await.unwrap();
    client(&token(admin, Some(&pod)).await, None).await
}

/// A token of the agents' account, bound to `pod` where there is one.
async fn token(admin: &Client, pod: Option<&Pod>) -> String {
    let bound_object_ref = pod.map(|pod| BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(pod.name_any()),
        uid: pod.uid(),
    });
    let request = TokenRequest {
        spec: TokenRequestSpec { audiences: vec![], bound_object_ref, expiration_seconds: None },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), NAMESPACE);
    let answer = accounts.create_token_request(AGENT, &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token
}

async fn client(token: &str, impersonated: Option<&str>) -> Client {
    Cluster::shared().client(token, impersonated).await
}

/// Waits for the API server to have taken up the policy.
async fn in_force(agent: &Client) {
    eventually(SOON, "the policy is in force", async || applied(agent, "admitted-c").await.is_err()).await;
}

/// What an agent does first: makes its persona.
async fn applied(client: &Client, node: &str) -> Result<ResourcePersona, Error> {
    let persona = persona(node, json!({"spec": {}}));
    let personas: Api<ResourcePersona> = Api::all(client.clone());
    personas.patch(node, &PatchParams::apply(AGENT_FIELD_MANAGER).force(), &Patch::Apply(&persona)).await
}

/// What an agent does then: tells what it measured.
async fn measured(client: &Client, node: &str) -> Result<ResourcePersona, Error> {
    let persona = persona(node, json!({"status": {"sequence": 1}}));
    let personas: Api<ResourcePersona> = Api::all(client.clone());
    let params = PatchParams::apply(AGENT_FIELD_MANAGER).force();
    personas.patch_status(node, &params, &Patch::Apply(&persona)).await
}

async fn created(client: &Client, metadata: Value) -> Result<ResourcePersona, Error> {
    let mut object = persona("", json!({"spec": {}}));
    object["metadata"] = metadata;
    let personas: Api<ResourcePersona> = Api::all(client.clone());
    personas.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
}

fn persona(node: &str, part: Value) -> Value {
    let mut object = part;
    object["apiVersion"] = "foreshift.dev/v1alpha1".into();
    object["kind"] = "ResourcePersona".into();
    object["metadata"] = json!({"name": node});
    object
}

/// What the API server says to what it forbids.
fn refusal<T>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Api(status)) if status.code == 403 => status.message,
        Err(error) => panic!("not forbidden but {error}"),
        Ok(_) => panic!("not forbidden"),
    }
}
