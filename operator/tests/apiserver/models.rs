//! `LoadModel`s: admission, and how a model gets from a ConfigMap into the running operator under the chart's rules.

use std::time::Duration;

use foreshift_api::{LoadModel, load_model::ModelRole};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    cluster::{Cluster, eventually},
    objects::Shop,
};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");

/// The operator looks every ten seconds, and proves what it finds in a child.
const LOOKED: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_load_model_without_one_source_is_rejected_at_apply_with_what_to_write_instead() {
    let shop = Shop::open("models-admission").await;
    let both = json!({"builtIn": {}, "configMap": {"name": "x"}});
    for source in [json!({}), both] {
        let error = apply(&shop, "bad", &json!({"source": source})).await.expect_err("it was accepted");
        assert!(error.to_string().contains("name exactly one source"), "{error}");
    }
}

#[tokio::test]
async fn a_model_in_a_config_map_is_proved_and_forecasts_and_a_broken_one_is_refused() {
    let shop = Shop::open("models").await;
    Cluster::shared().operator();
    let maps: Api<ConfigMap> = Api::namespaced(shop.admin.clone(), "default");
    for (name, spoil) in [("sound", false), ("broken", true)] {
        maps.create(&PostParams::default(), &files(name, spoil)).await.unwrap();
        apply(&shop, name, &json!({"source": {"configMap": {"name": name}}})).await.unwrap();
    }
    let models: Api<LoadModel> = Api::all(shop.admin.clone());
    let status = async |name: &str| models.get(name).await.unwrap().status.unwrap_or_default();
    eventually(LOOKED, "the sound one forecasts", async || {
        status("sound").await.role == Some(ModelRole::Champion)
    })
    .await;
    eventually(LOOKED, "the broken one is refused with the reason", async || {
        let broken = status("broken").await;
        broken.role == Some(ModelRole::Rejected)
            && broken.conditions.iter().any(|c| c.status == "False" && c.message.contains("SHA-256"))
    })
    .await;
    assert!(Cluster::shared().operator().metrics().contains("foreshift_model_info{"));
    for name in ["sound", "broken"] {
        models.delete(name, &DeleteParams::default()).await.unwrap();
    }
}

async fn apply(shop: &Shop, name: &str, spec: &Value) -> kube::Result<LoadModel> {
    let body = json!({
        "apiVersion": "foreshift.dev/v1alpha1",
        "kind": "LoadModel",
        "metadata": {"name": name},
        "spec": spec,
    });
    let models: Api<LoadModel> = Api::all(shop.admin.clone());
    models.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&body)).await
}

/// The shipped model, or one that has lost a bit on its way.
fn files(name: &str, spoil: bool) -> ConfigMap {
    let mut onnx = std::fs::read(format!("{SHIPPED}/load.onnx")).unwrap();
    if spoil {
        onnx[100] ^= 1;
    }
    let manifest = std::fs::read_to_string(format!("{SHIPPED}/load.json")).unwrap();
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.into());
    map.binary_data = Some([("load.onnx".to_owned(), ByteString(onnx))].into());
    map.data = Some([("load.json".to_owned(), manifest)].into());
    map
}
