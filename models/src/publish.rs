//! Hands a challenger to the operator: a ConfigMap with the files, and a LoadModel that names it.
//!
//! Retrained models take turns in a few LoadModels, `NAME-1` to `NAME-3`: never one that forecasts, forecast before or
//! is pinned. ConfigMaps that none of them names any more are deleted, so a cluster that retrains for years
//! keeps three of each.

use std::collections::BTreeMap;
use std::time::Duration;

use foreshift_api::{
    LoadModel, LoadModelSpec,
    load_model::{ConfigMapSource, ModelRole, ModelSource},
};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Client, ResourceExt};

use crate::release::{Release, ReleaseError};

/// What the name of every published ConfigMap begins with.
pub const PREFIX: &str = "foreshift-model-";

/// Label of a published ConfigMap; its value is the name under which it was published.
pub const LABEL: &str = "foreshift.dev/retrained";

/// Owner of the fields that are written here.
pub const FIELD_MANAGER: &str = "foreshift-trainer";

/// LoadModels that take turns: one forecasts, one did before, one is tried.
const SLOTS: usize = 3;

/// For each call.
const CALL: Duration = Duration::from_secs(30);

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Name of the LoadModel.
    pub model: String,
    /// Name of the ConfigMap.
    pub config_map: String,
    /// ConfigMaps that were deleted.
    pub deleted: Vec<String>,
}

/// Why a challenger was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The API server's words.
    #[error("{what}: {source}")]
    Call {
        /// What was tried.
        what: &'static str,
        /// The reason.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{0}: the API server does not answer")]
    Slow(&'static str),
    /// All turns are taken.
    #[error(
        "all of {0}-1 to {0}-{SLOTS} forecast, forecast before, or are pinned: unpin one, or publish under another name"
    )]
    Full(String),
    /// The manifest.
    #[error(transparent)]
    Release(#[from] ReleaseError),
}

/// Publishes a model; one that is there already is left as it is.
///
/// # Errors
/// [`PublishError`]; what was written stays, and the next call tidies up.
pub async fn publish(
    client: Client,
    namespace: &str,
    name: &str,
    release: &Release,
) -> Result<Published, PublishError> {
    let models: Api<LoadModel> = Api::all(client.clone());
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let map = format!("{PREFIX}{name}-{}", release.manifest.sha256.get(..12).unwrap_or_default());

    let mut found = within("list LoadModels", models.list(&ListParams::default())).await?.items;
    let there = found.iter().find(|model| names(model) == Some(map.as_str())).map(ResourceExt::name_any);
    let model = match there {
        Some(there) => there,
        None => slot(name, &found).ok_or_else(|| PublishError::Full(name.to_owned()))?,
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let files = config_map(&map, name, release)?;
    within("write the ConfigMap", maps.patch(&map, &params, &Patch::Apply(&files))).await?;
    let source =
        ModelSource { config_map: Some(ConfigMapSource { name: map.clone() }), ..ModelSource::default() };
    let applied = LoadModel::new(&model, LoadModelSpec { source, pin: false });
    let mut body = serde_json::to_value(&applied).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.remove("status");
    }
    within("write the LoadModel", models.patch(&model, &params, &Patch::Apply(&body))).await?;

    found.retain(|other| other.name_any() != model);
    let labelled = ListParams::default().labels(&format!("{LABEL}={name}"));
    let mut deleted = Vec::new();
    for old in within("list ConfigMaps", maps.list(&labelled)).await?.items {
        let old = old.name_any();
        if old == map || found.iter().any(|model| names(model) == Some(old.as_str())) {
            continue;
        }
        within("delete a ConfigMap", maps.delete(&old, &DeleteParams::default())).await?;
        deleted.push(old);
    }
    Ok(Published { model, config_map: map, deleted })
}

/// The LoadModel that forecasts, with its files, unless that is the model of the release.
///
/// # Errors
/// [`PublishError`]; files that are missing or wrong are in the answer.
pub async fn champion(
    client: Client,
    namespace: &str,
) -> Result<Option<(String, Result<Release, ReleaseError>)>, PublishError> {
    let models: Api<LoadModel> = Api::all(client.clone());
    let found = within("list LoadModels", models.list(&ListParams::default())).await?;
    let forecasts = |model: &&LoadModel| {
        model.status.as_ref().and_then(|status| status.role) == Some(ModelRole::Champion)
    };
    let Some(model) = found.iter().find(forecasts) else { return Ok(None) };
    let Some(map) = names(model) else { return Ok(None) };
    // By a list, for which publishing needs the right anyhow.
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let named = ListParams::default().fields(&format!("metadata.name={map}"));
    let mut maps = within("read the champion's ConfigMap", maps.list(&named)).await?.items;
    let map = maps.pop().unwrap_or_default();
    let onnx = map.binary_data.and_then(|mut files| files.remove("load.onnx")).unwrap_or_default();
    let manifest = map.data.and_then(|mut files| files.remove("load.json")).unwrap_or_default();
    Ok(Some((model.name_any(), Release::of(onnx.0, manifest.as_bytes()))))
}

fn names(model: &LoadModel) -> Option<&str> {
    model.spec.source.config_map.as_ref().map(|map| map.name.as_str())
}

/// Whose turn it is: an unused name, else the one that is missed least.
fn slot(name: &str, found: &[LoadModel]) -> Option<String> {
    let turn = |number: usize| {
        let slot = format!("{name}-{number}");
        let Some(model) = found.iter().find(|model| model.name_any() == slot) else { return Some((0, slot)) };
        let rank = match model.status.as_ref().and_then(|status| status.role) {
            _ if model.spec.pin => return None,
            Some(ModelRole::Champion | ModelRole::Previous) => return None,
            Some(ModelRole::Rejected) => 1,
            Some(ModelRole::Standby) => 2,
            None => 3,
            Some(ModelRole::Challenger) => 4,
        };
        Some((rank, slot))
    };
    (1..=SLOTS).filter_map(turn).min().map(|(_, slot)| slot)
}

fn config_map(map: &str, name: &str, release: &Release) -> Result<ConfigMap, PublishError> {
    let manifest = String::from_utf8_lossy(&release.json()?).into_owned();
    let labels = [(LABEL, name), ("app.kubernetes.io/managed-by", FIELD_MANAGER)];
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(map.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([("load.onnx".to_owned(), ByteString(release.onnx.clone()))])),
        data: Some(BTreeMap::from([("load.json".to_owned(), manifest)])),
        ..ConfigMap::default()
    })
}

async fn within<T>(
    what: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, PublishError> {
    let answer = tokio::time::timeout(CALL, call).await.map_err(|_| PublishError::Slow(what))?;
    answer.map_err(|source| PublishError::Call { what, source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use foreshift_api::LoadModelStatus;

    use super::*;

    fn model(name: &str, role: Option<ModelRole>, pin: bool) -> LoadModel {
        let mut model = LoadModel::new(name, LoadModelSpec { pin, ..LoadModelSpec::default() });
        model.status = Some(LoadModelStatus { role, ..LoadModelStatus::default() });
        model
    }

    #[test]
    fn a_challenger_never_takes_the_place_of_a_model_that_is_needed() {
        use ModelRole::{Challenger, Champion, Previous, Rejected, Standby};
        for (roles, expected) in [
            (vec![], Some("night-1")),
            (vec![Some(Champion)], Some("night-2")),
            (vec![Some(Champion), Some(Previous), Some(Challenger)], Some("night-3")),
            (vec![Some(Standby), Some(Rejected), Some(Challenger)], Some("night-2")),
            (vec![Some(Challenger), None, Some(Champion)], Some("night-2")),
        ] {
            let found: Vec<LoadModel> =
                roles.iter().zip(1..).map(|(&role, n)| model(&format!("night-{n}"), role, false)).collect();
            assert_eq!(slot("night", &found).as_deref(), expected, "{roles:?}");
        }
        let pinned = ["night-1", "night-2", "night-3"].map(|name| model(name, None, true));
        assert_eq!(slot("night", &pinned), None);
    }
}
