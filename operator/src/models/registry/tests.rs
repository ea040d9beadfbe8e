use std::os::unix::fs::PermissionsExt;

use kube::runtime::events::Reporter;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::*;
use crate::{
    fixtures::{ApiServer, Fault, NAMESPACE, NOW, World, later},
    lease::Leadership,
};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");

/// A registry over an API server in memory, with a folder of its own.
struct Bench {
    server: ApiServer,
    registry: ModelRegistry,
    models: watch::Receiver<Models>,
    dir: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("foreshift-registry-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for file in [ONNX, MANIFEST] {
            std::fs::copy(Path::new(SHIPPED).join(file), dir.join(file)).unwrap();
        }
        let server = ApiServer::default();
        let metrics = Metrics::register(&mut Registry::default());
        let reporter = Reporter { controller: "test".into(), instance: None };
        let (registry, models) = ModelRegistry::new(Context {
            client: server.client(),
            namespace: NAMESPACE.into(),
            program: approving(&dir),
            dir: dir.clone(),
            caches: World::default().caches,
            gate: Gate::new(Leadership::for_ever(), metrics.clone()),
            recorder: Recorder::new(server.client(), reporter),
            metrics,
        });
        Self { server, registry, models, dir }
    }

    fn load_model(&self, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "foreshift.dev/v1alpha1",
            "kind": "LoadModel",
            "metadata": {"name": name, "uid": name, "creationTimestamp": NOW.to_string()},
            "spec": spec,
        });
        self.server.put(&path(name), object);
    }

    fn config_map(&self, name: &str, version: &str, onnx: &[u8]) {
        let onnx = k8s_openapi::ByteString(onnx.to_vec());
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "resourceVersion": version},
            "binaryData": {ONNX: onnx},
            "data": {MANIFEST: std::fs::read_to_string(Path::new(SHIPPED).join(MANIFEST)).unwrap()},
        });
        self.server.put(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"), object);
    }

    fn status(&self, name: &str) -> LoadModelStatus {
        serde_json::from_value(self.server.get(&path(name)).unwrap()["status"].clone()).unwrap()
    }

    fn forecasts(&self) -> bool {
        self.models.borrow().model.is_some()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn path(name: &str) -> String {
    format!("/apis/foreshift.dev/v1alpha1/loadmodels/{name}")
}

fn onnx() -> Vec<u8> {
    std::fs::read(Path::new(SHIPPED).join(ONNX)).unwrap()
}

/// Stands for this executable: it approves of the shipped model whatever it is given.
fn approving(dir: &Path) -> PathBuf {
    let digest = Files::in_folder(SHIPPED.as_ref()).unwrap().load().unwrap().digest().to_owned();
    let program = dir.join("approve");
    std::fs::write(&program, format!("#!/bin/sh\ncat > /dev/null\necho {digest}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[tokio::test]
async fn without_load_models_the_built_in_one_forecasts() {
    let mut bench = Bench::new("none");
    bench.registry.look(NOW).await;
    assert!(bench.forecasts());
    assert!(bench.server.calls().is_empty());
}

#[tokio::test]
async fn a_new_model_is_tried_beside_the_champion_and_a_pin_makes_it_forecast() {
    let mut bench = Bench::new("tried");
    bench.load_model("shipped", &json!({"source": {"builtIn": {}}}));
    bench.load_model("new", &json!({"source": {"configMap": {"name": "files"}}}));
    bench.config_map("files", "1", &onnx());
    bench.registry.look(NOW).await;
    assert_eq!(bench.status("shipped").role, Some(ModelRole::Champion));
    assert_eq!(bench.status("new").role, Some(ModelRole::Challenger));
    assert_eq!(bench.status("new").conditions[0].status, "True");

    let told = bench.server.calls().len();
    bench.registry.look(later(10)).await;
    assert_eq!((told, bench.server.calls().len()), (2, 0), "what did not change is not written again");

    let mut pinned = bench.server.get(&path("new")).unwrap();
    pinned["spec"]["pin"] = json!(true);
    bench.server.put(&path("new"), pinned);
    bench.registry.look(later(20)).await;
    assert_eq!(bench.status("new").role, Some(ModelRole::Champion));
    assert_eq!(bench.status("new").promoted_at.map(|at| at.0), Some(later(20)));
    assert_eq!(bench.status("shipped").role, Some(ModelRole::Previous));
    assert!(bench.server.events().contains(&"Promoted".to_owned()));
}

#[tokio::test]
async fn a_source_without_files_is_refused_with_what_to_do_and_the_champion_goes_on() {
    let mut bench = Bench::new("missing");
    bench.load_model("new", &json!({"source": {"configMap": {"name": "files"}}}));
    bench.registry.look(NOW).await;
    let status = bench.status("new");
    assert_eq!(status.role, Some(ModelRole::Rejected));
    assert!(status.conditions[0].message.contains("there is no ConfigMap files; make it in namespace shop"));
    assert!(bench.forecasts());
    assert!(bench.server.events().contains(&"Refused".to_owned()));

    bench.config_map("files", "1", &onnx());
    bench.registry.look(later(10)).await;
    assert_eq!(
        bench.status("new").role,
        Some(ModelRole::Challenger),
        "it gets its trial when the files are there"
    );
}

#[tokio::test]
async fn files_that_turn_bad_leave_the_model_that_was_sound() {
    let mut bench = Bench::new("turned");
    bench.load_model("new", &json!({"source": {"configMap": {"name": "files"}}, "pin": true}));
    bench.config_map("files", "1", &onnx());
    bench.registry.look(NOW).await;
    bench.config_map("files", "2", b"no model");
    bench.registry.look(later(10)).await;
    let status = bench.status("new");
    assert_eq!(status.role, Some(ModelRole::Champion));
    assert!(status.conditions[0].message.contains("SHA-256"), "{}", status.conditions[0].message);
    assert!(bench.forecasts());
}

#[tokio::test]
async fn an_api_server_that_is_away_changes_nothing() {
    let mut bench = Bench::new("away");
    bench.server.fail("loadmodels", Some(Fault::Status(500)));
    bench.registry.look(NOW).await;
    assert!(bench.forecasts(), "the built-in model needs no API server");
    std::fs::remove_file(bench.dir.join(ONNX)).unwrap();
    bench.registry.look(later(10)).await;
    assert!(bench.forecasts() && bench.models.borrow().refused.is_none());
    bench.server.fail("loadmodels", None);
    bench.registry.look(later(20)).await;
    assert!(bench.forecasts());
    assert!(bench.models.borrow().refused.as_ref().unwrap().contains("cannot be read"));
}

#[tokio::test]
async fn a_standby_follows_the_roles_that_were_written_and_writes_nothing() {
    let mut bench = Bench::new("standby");
    bench.registry.ctx.gate = Gate::new(Leadership::never(), bench.registry.ctx.metrics.clone());
    bench.load_model("new", &json!({"source": {"configMap": {"name": "files"}}}));
    bench.config_map("files", "1", &onnx());
    let mut object = bench.server.get(&path("new")).unwrap();
    object["status"] = json!({"role": "Champion"});
    bench.server.put(&path("new"), object);
    std::fs::remove_file(bench.dir.join(ONNX)).unwrap();
    bench.registry.look(NOW).await;
    assert!(bench.forecasts(), "the champion is the one of the status, not the built-in one");
    assert!(bench.server.calls().is_empty());
}
