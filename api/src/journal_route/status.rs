//! What a route decided and why: from one `Decision` of the engine, and from what the entry router reports.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClassOutcome, Forecaster, Freshness, Phase, ShadowReadiness, ShadowVerdict, Suppression, Trigger, Trouble,
};
use crate::{
    Decimal, Percent, Span,
    condition::{RouteCondition, types_of},
    vocabulary::values_of,
    wire,
};

/// What a route decided and why.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JournalRouteStatus {
    /// Generation of the spec that this status was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Phase of the route.
    #[serde(default)]
    #[schemars(transform = values_of::<Phase>)]
    pub phase: Phase,
    /// The lead's programmed share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_share: Option<Percent>,
    /// The lead's p90 in 60 s if everything stayed on it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "p90In60s")]
    pub p90_in_60s: Option<Decimal>,
    /// Time until the lead would saturate if everything stayed on it; unset if the forecast stays below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation_in: Option<Span>,
    /// The resources, lead first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["resource".into()]))]
    pub shares: Vec<ResourceShare>,
    /// The last decision that changed a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
    /// What shadow entries showed; written by the entry router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["resource".into(), "observer".into()]))]
    #[schemars(length(max = wire::MOST_VERDICTS))]
    pub shadow: Vec<ShadowVerdict>,
    /// What entries of each class took on each resource; written by the entry router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["resource".into(), "class".into(), "observer".into()]))]
    #[schemars(length(max = wire::MOST_OUTCOMES))]
    pub outcomes: Vec<ClassOutcome>,
    /// Conditions of the route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = types_of::<RouteCondition>)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One resource of a route.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceShare {
    /// Name of the Service.
    pub resource: String,
    /// What the plan wants.
    pub desired: Percent,
    /// What the listed endpoints come to.
    pub programmed: Percent,
    /// What the resource really did of the route's work, by its CPU use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Percent>,
    /// Part of the warm-up that is done; absent for the lead and for what has no share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Percent>,
    /// What shadow entries show of the resource.
    #[schemars(transform = values_of::<ShadowReadiness>)]
    pub readiness: ShadowReadiness,
    /// Weighted sum of the parts, 0-100.
    #[serde(default)]
    pub score: i32,
    /// The parts of the score.
    #[serde(default)]
    pub score_parts: ScoreParts,
    /// Load now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Decimal>,
    /// p90 at the planning horizon with the desired shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<Decimal>,
    /// Age of what is known of the resource.
    #[schemars(transform = values_of::<Freshness>)]
    pub freshness: Freshness,
    /// What an entry takes there over what it takes on the lead, as learned; absent for the lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_per_entry: Option<Decimal>,
    /// Why the resource is ejected; unset if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = values_of::<Trouble>)]
    pub trouble: Option<Trouble>,
}

/// The parts of a score, each 0-100.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScoreParts {
    /// Affinity.
    pub affinity: i32,
    /// Stability.
    pub stability: i32,
    /// Cost.
    pub cost: i32,
}

/// The last decision that changed a share.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// When the decision was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What triggered the change.
    #[schemars(transform = values_of::<Trigger>)]
    pub trigger: Trigger,
    /// How far ahead it looked.
    pub horizon: Span,
    /// Median load of the lead at the horizon if everything stayed on it.
    pub p50: Decimal,
    /// 90th percentile of the same.
    pub p90: Decimal,
    /// Skill of the forecaster at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<Decimal>,
    /// What made the forecast.
    #[schemars(transform = values_of::<Forecaster>)]
    pub forecaster: Forecaster,
    /// First 12 hexadecimal digits of the model's SHA-256; unset unless `forecaster` is `Model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<String>,
    /// The lead's share before.
    pub before: Percent,
    /// The lead's share after.
    pub after: Percent,
    /// The reason in one sentence.
    pub why: String,
    /// What holds a further change back; unset if nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = values_of::<Suppression>)]
    pub suppressed_by: Option<Suppression>,
}
