//! `LoadModel`: where a load model comes from, which part it plays, and how good it is on this cluster's own loads.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Decimal,
    condition::{ModelCondition, types_of},
    vocabulary::values_of,
};

/// Where a load model comes from.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "foreshift.dev",
    version = "v1alpha1",
    kind = "LoadModel",
    plural = "loadmodels",
    shortname = "lm",
    category = "foreshift",
    status = "LoadModelStatus",
    derive = "PartialEq",
    doc = "A model that forecasts load: where it comes from, and how good it is on this cluster's own loads.",
    printcolumn(name = "Role", type_ = "string", json_path = ".status.role"),
    printcolumn(name = "Skill", type_ = "string", json_path = ".status.skill.score"),
    printcolumn(name = "Coverage-P90", type_ = "string", json_path = ".status.skill.coverageP90"),
    printcolumn(name = "Forecasts", type_ = "integer", json_path = ".status.skill.forecasts"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest"),
    printcolumn(name = "Promoted", type_ = "date", json_path = ".status.promotedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct LoadModelSpec {
    /// Where the files are.
    pub source: ModelSource,
    /// This model forecasts, whatever the figures say; of several the newest. For people.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pin: bool,
}

/// Where a model's files are. Exactly one way.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.builtIn) != has(self.configMap)")
    .message("name exactly one source: either builtIn: {} (the model of this release) or configMap: {name: ...}"))]
#[serde(rename_all = "camelCase")]
pub struct ModelSource {
    /// The model that the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_in: Option<BuiltIn>,
    /// A ConfigMap in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
}

/// The model that the operator was installed with; has no fields.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BuiltIn {}

/// A ConfigMap with `load.onnx` in `binaryData` and `load.json` in `data`, both from one training run.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMapSource {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Which part a model plays, and why.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LoadModelStatus {
    /// Role of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = values_of::<ModelRole>)]
    pub role: Option<ModelRole>,
    /// The first digits of the file's SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How good it is on the loads of this cluster's nodes; absent before its first forecast has come due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<ModelSkill>,
    /// When it became champion last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Time>,
    /// Why it was turned down last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rejection: Option<Rejection>,
    /// Conditions of the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = types_of::<ModelCondition>)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Which part a model plays.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelRole {
    /// It forecasts.
    Champion,
    /// It forecasts beside the champion, without effect, to show whether it is better.
    Challenger,
    /// It was champion before, and is again if the present one gets worse.
    Previous,
    /// It has nothing to do.
    Standby,
    /// It is not used; `lastRejection` says why.
    Rejected,
}

/// How good a model is, over a rolling window of forecasts that have come due.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelSkill {
    /// One minus its loss over that of the better baseline: 1 is perfect, 0 no better, below 0 worse.
    pub score: Decimal,
    /// Mean pinball loss, in units of load.
    pub pinball: Decimal,
    /// Mean pinball loss of the better of damped Holt and the last value, on the same forecasts.
    pub baseline: Decimal,
    /// Part of the loads at or below its p90; 0.9 is what it promises.
    #[serde(rename = "coverageP90")]
    pub coverage_p90: Decimal,
    /// Forecasts that this rests on.
    pub forecasts: i64,
}

/// Why a model was turned down.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct Rejection {
    /// When.
    pub at: Time,
    /// Why, and what to do.
    pub why: String,
    /// First digits of the file that was turned down; another file under the same name gets a new trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}
