//! Every manifest in `examples/` is accepted by the API server, and every route by the operator; every values file
//! renders the chart.

use std::{ffi::OsStr, fmt::Debug, fs, path::PathBuf, process::Command};

use foreshift_api::{
    LoadModel,
    condition::{Reason as _, RouteReason},
};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    SOON,
    cluster::{REPOSITORY, eventually, program},
    objects::Shop,
};

/// The namespace of each file is this and the file's name, because all routes are named alike.
const PREFIX: &str = "example-";

#[tokio::test]
async fn every_example_is_accepted_strictly_and_its_route_resolves() {
    let files = files("examples");
    assert!(files.len() >= 7, "{files:?}");
    for (name, text) in files {
        assert!(text.starts_with("# "), "{name}: the first line is a comment that says what the file shows");
        let shop = Shop::open(&format!("{PREFIX}{name}")).await;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).unwrap();
            accept(&shop, &name, &object).await;
            if object["kind"] == "JournalRoute" {
                resolves(&shop, &name, &object["spec"]).await;
            }
        }
    }
}

#[test]
fn every_values_file_renders_the_chart() {
    let chart = format!("{REPOSITORY}/charts/foreshift");
    let files = files("examples/helm");
    assert!(!files.is_empty());
    for (name, text) in files {
        assert!(text.starts_with("# "), "{name}: the first line is a comment that says what the file shows");
        let path = format!("{REPOSITORY}/examples/helm/{name}.yaml");
        let output = Command::new(program("helm"))
            .args(["template", "foreshift", &chart, "--namespace", "foreshift-system", "--values", &path])
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Applies one object as `kubectl apply --server-side` does, which rejects unknown fields.
async fn accept(shop: &Shop, name: &str, object: &Value) {
    let namespace = &shop.namespace;
    let accepted = match object["kind"].as_str() {
        Some("JournalRoute") => shop.apply_route(object).await,
        Some("Service") => {
            let services: Api<Service> = Api::namespaced(shop.admin.clone(), namespace);
            apply(services, object, PatchParams::apply("person")).await
        }
        // Models belong to the whole cluster: a real one would take part in the tests of `models`.
        Some("LoadModel") => {
            let models: Api<LoadModel> = Api::all(shop.admin.clone());
            apply(models, object, PatchParams::apply("person").dry_run()).await
        }
        kind => panic!("{name}: add kind {kind:?} to this test"),
    };
    accepted.unwrap_or_else(|error| panic!("{name}: {error}"));
}

async fn apply<K>(api: Api<K>, object: &Value, params: PatchParams) -> Result<(), kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch_metadata(name, &params.force().validation_strict(), &Patch::Apply(object)).await.map(drop)
}

/// The operator accepts the route, and finds its Services once the backends exist: the target's port matches theirs.
async fn resolves(shop: &Shop, name: &str, spec: &Value) {
    let backends = spec["alternates"].as_array().unwrap().iter().chain([&spec["lead"]]);
    for backend in backends {
        let (service, port) = (backend["service"].as_str().unwrap(), backend["port"].as_i64().unwrap());
        shop.apply_service(service, "ingest", i32::try_from(port).unwrap(), Some(service)).await;
    }
    let holds = async |reason: RouteReason| {
        shop.status().await.conditions.iter().filter_map(RouteReason::of).any(|r| r == reason)
    };
    let accepted = format!("{name}: the route is accepted");
    eventually(SOON, &accepted, async || holds(RouteReason::Accepted).await).await;
    // There are no pods: the Services are found, or found to have no endpoints.
    let resolved = format!("{name}: its Services are found");
    eventually(SOON, &resolved, async || {
        holds(RouteReason::Resolved).await || holds(RouteReason::NoEndpoints).await
    })
    .await;
}

/// Names without their ending, and texts, of all YAML files in a folder of the repository.
fn files(folder: &str) -> Vec<(String, String)> {
    let listed = fs::read_dir(format!("{REPOSITORY}/{folder}")).unwrap();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension() == Some(OsStr::new("yaml")));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}
