//! What a route decided and why: made from one `Decision` of the engine, but for what the entry router tells.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClassOutcome, ShadowVerdict};
use crate::{Decimal, Percent, Span};

/// Condition types of a route.
pub mod condition {
    /// The spec makes sense.
    pub const ACCEPTED: &str = "Accepted";
    /// Every Service it names exists and fits its part.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// Enough fresh personas to decide by.
    pub const PERSONAS_FRESH: &str = "PersonasFresh";
    /// The best allowed rung of the forecast ladder acts.
    pub const FORECAST_TRUSTED: &str = "ForecastTrusted";
    /// Shadow entries show every alternate to be fit; only on routes with `shadow`.
    pub const SHADOW_READY: &str = "ShadowReady";
    /// Every endpoint that was called answered the warm-up hook; only on routes with `warmUp.hook`.
    pub const HOOK_ANSWERED: &str = "HookAnswered";
    /// The shares in force were read back from the API server.
    pub const PROGRAMMED: &str = "Programmed";
    /// Another writer keeps changing what the route owns.
    pub const CONTESTED: &str = "Contested";
}

/// What a route decided and why.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JournalRouteStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the route stands.
    #[serde(default)]
    pub phase: Phase,
    /// The lead's programmed share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_share: Option<Percent>,
    /// The lead's p90 in 60 s if everything stayed on it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "p90In60s")]
    pub p90_in_60s: Option<Decimal>,
    /// When the lead would saturate if everything stayed on it; absent when the forecast sees no such moment.
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
    #[schemars(length(max = 256))]
    pub shadow: Vec<ShadowVerdict>,
    /// What entries of each class took on each resource; written by the entry router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["resource".into(), "class".into(), "observer".into()]))]
    #[schemars(length(max = 1024))]
    pub outcomes: Vec<ClassOutcome>,
    /// See [`condition`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a route stands.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The lead has everything.
    #[default]
    Steady,
    /// An alternate is being brought up to its share.
    WarmingUp,
    /// Shares are moving away from the lead.
    Shifting,
    /// A part is with the alternates, nothing moves.
    Shifted,
    /// Shares are coming back.
    Returning,
    /// Decisions cannot be made as they should; see the conditions.
    Degraded,
    /// `mode: Observe`.
    Observing,
    /// `suspend: true`.
    Suspended,
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
    /// `Ready`, `NotReady` or `Inconclusive`.
    pub readiness: String,
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
    /// `Fresh`, `Aged` or `Absent`.
    pub fresh: String,
    /// What an entry takes there over what it takes on the lead, as learned; absent for the lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_per_entry: Option<Decimal>,
    /// Why its share goes elsewhere: `Failing`, `Unanswered` or `Silent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
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
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What set it off: `Forecast`, `Saturation`, `Headroom`, `Membership`, `Drain`, `Spec`.
    pub trigger: String,
    /// How far ahead it looked.
    pub horizon: Span,
    /// Median load of the lead at the horizon if everything stayed on it.
    pub p50: Decimal,
    /// 90th percentile of the same.
    pub p90: Decimal,
    /// Skill of the forecaster at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<Decimal>,
    /// `model DIGEST`, `holt`, `last-value` or `reactive`.
    pub model: String,
    /// The lead's share before.
    pub before: Percent,
    /// The lead's share after.
    pub after: Percent,
    /// One sentence.
    pub why: String,
    /// What held a change back, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed_by: Option<String>,
}
