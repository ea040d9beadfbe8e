//! What people write. Defaults are those of the design; every rule says what to write instead.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{observation::Observation, status::JournalRouteStatus};
use crate::{Decimal, Percent, Span, vocabulary::values_of};

/// Moves a portion of a lead's journal entries to alternates before the lead saturates.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, PartialEq)]
#[kube(
    group = "foreshift.dev",
    version = "v1alpha1",
    kind = "JournalRoute",
    plural = "journalroutes",
    shortname = "jr",
    category = "foreshift",
    namespaced,
    status = "JournalRouteStatus",
    derive = "PartialEq",
    doc = "Moves a portion of a lead's journal entries to alternates before the lead saturates.",
    selectable = ".spec.lead.service",
    printcolumn(name = "Lead", type_ = "string", json_path = ".spec.lead.service"),
    printcolumn(name = "Lead-Share", type_ = "string", json_path = ".status.leadShare"),
    printcolumn(name = "P90-60s", type_ = "string", json_path = ".status.p90In60s"),
    printcolumn(name = "Saturates-In", type_ = "string", json_path = ".status.saturationIn"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self.alternates.all(a, a.service != self.lead.service)")
        .message("an alternate is the lead itself; name another Service in alternates, or remove it"),
    validation = Rule::new("self.alternates.all(a, self.alternates.exists_one(b, b.service == a.service))")
        .message("an alternate is named twice; name every Service in alternates once"),
    validation = Rule::new("!has(self.target.service) || (self.target.service != self.lead.service && self.alternates.all(a, a.service != self.target.service))")
        .message("target.service is the lead or an alternate; name the selector-less Service that clients call")
)]
#[serde(rename_all = "camelCase")]
pub struct JournalRouteSpec {
    /// Whether the route moves entries.
    #[serde(default)]
    #[schemars(transform = values_of::<Mode>)]
    pub mode: Mode,
    /// Stop deciding; the shares in force stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How load is forecast.
    #[serde(default)]
    pub forecast: ForecastSpec,
    /// Takes every entry while it has room.
    pub lead: ResourceRef,
    /// Take what the lead has no room for.
    #[schemars(length(min = 1, max = 32))]
    pub alternates: Vec<ResourceRef>,
    /// Where clients send entries. Exactly one kind of target.
    pub target: Target,
    /// What the shares are planned for.
    #[serde(default)]
    #[x_kube(validation = Rule::new("double(self.leadLoad) < double(self.saturation) && double(self.alternateLoad) < double(self.saturation)")
        .message("leadLoad and alternateLoad must lie below saturation, for example \"0.75\" and \"0.90\""))]
    #[x_kube(validation = Rule::new("double(self.leadLoad) >= 0.1 && double(self.alternateLoad) >= 0.1 && double(self.saturation) <= 1.0")
        .message("leadLoad and alternateLoad are loads from \"0.1\", saturation is at most \"1.0\""))]
    pub objective: Objective,
    /// How much each score counts when alternates are ranked.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.affinity + self.stability + self.cost > 0")
        .message("all weights are zero; give at least one of affinity, stability and cost a weight"))]
    pub weights: Weights,
    /// How far and how fast shares may move.
    #[serde(default)]
    pub limits: Limits,
    /// How an alternate is brought up to its share.
    #[serde(default)]
    #[x_kube(validation = Rule::new("double(self.aggression) >= 0.1 && double(self.aggression) <= 10.0")
        .message("aggression is a number from \"0.1\" to \"10\"; \"1.0\" is a straight line"))]
    pub warm_up: WarmUp,
    /// Copies of entries sent to alternates to measure them; needs the entry router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("double(self.maxErrorRatio) >= 0.0 && double(self.maxErrorRatio) <= 1.0")
        .message("maxErrorRatio is a ratio from \"0\" to \"1\""))]
    pub shadow: Option<Shadow>,
    /// Where an entry's type, source, destination and steps are read from; used by the entry router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classify: Option<Classify>,
    /// Metrics of the resources' pods that tell how long entries take and which fail. Absent: nobody asks the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.durationMetric.endsWith('_bucket') && !self.durationMetric.endsWith('_sum') && !self.durationMetric.endsWith('_count')")
        .message("durationMetric names the histogram; leave _bucket, _sum or _count away"))]
    #[x_kube(validation = Rule::new("self.classLabel != self.errorLabel")
        .message("classLabel and errorLabel are the same label; name the one that holds the class and the one that tells errors"))]
    pub observation: Option<Observation>,
    /// What happens when nothing is known of any resource.
    #[serde(default)]
    #[schemars(transform = values_of::<FailurePolicy>)]
    pub failure_policy: FailurePolicy,
}

/// Whether a route acts.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Decides and reports, but changes nothing.
    Observe,
    /// Moves entries.
    #[default]
    Active,
}

/// How load is forecast.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ForecastSpec {
    /// Which forecasters the route may use.
    #[serde(default)]
    #[schemars(transform = values_of::<Strategy>)]
    pub strategy: Strategy,
}

/// Which rungs of the ladder a route may use.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The best forecaster that has proved itself, from the model down to reactive.
    #[default]
    Auto,
    /// None: entries move only when saturation is observed.
    Reactive,
}

/// A backend Service.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceRef {
    /// Name of a Service in the route's namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub service: String,
    /// Port of that Service that takes entries.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// Where clients send entries.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.service) != has(self.httpRoute)")
    .message("name exactly one target: either service (a selector-less Service) or httpRoute"))]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// A Service without selector, whose EndpointSlices this route owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// A Gateway API HTTPRoute, of which this route owns the backend weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteTarget>,
}

/// A rule of an HTTPRoute.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRouteTarget {
    /// Name of the HTTPRoute in the route's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name of the rule in it.
    #[schemars(length(min = 1, max = 253))]
    pub rule: String,
}

/// What the shares are planned for.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Objective {
    /// Load at which the lead is kept at most.
    pub lead_load: Decimal,
    /// Load to which an alternate is filled at most.
    pub alternate_load: Decimal,
    /// Load from which a resource counts as saturated.
    pub saturation: Decimal,
    /// How far ahead shares are planned; `Auto`: as far as a share needs to take effect.
    pub horizon: HorizonLimit,
    /// Which quantile of the forecast the plan uses.
    #[schemars(transform = values_of::<Quantile>)]
    pub quantile: Quantile,
}

/// `Auto` or a duration.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct HorizonLimit(
    #[schemars(length(max = 12), regex(pattern = r"^(Auto|[0-9]+(ms|s|m))$"))] pub String,
);

/// Quantile of a forecast.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Quantile {
    /// Median.
    P50,
    /// 90th percentile.
    #[default]
    P90,
    /// 99th percentile.
    P99,
}

/// Weights of the scores; only their ratios matter.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Weights {
    /// Weight of affinity.
    #[schemars(range(min = 0, max = 100))]
    pub affinity: i32,
    /// Weight of stability.
    #[schemars(range(min = 0, max = 100))]
    pub stability: i32,
    /// Weight of cost.
    #[schemars(range(min = 0, max = 100))]
    pub cost: i32,
}

/// How far and how fast shares may move.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The lead keeps at least this share.
    pub min_lead_share: Percent,
    /// A share moves at most this much a tick, unless saturation is already observed.
    pub max_step: Percent,
    /// After a share moved away, nothing comes back for this long.
    pub hold_down: Span,
    /// No alternate gets more than this share.
    pub max_share_per_alternate: Percent,
}

/// How an alternate is brought up to its share: `target x max(minimumShare, (t/duration)^(1/aggression))`.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmUp {
    /// Length of the ramp; `0s` turns it off.
    pub duration: Span,
    /// Part of the target with which the ramp begins.
    pub minimum_share: Percent,
    /// Above 1 the ramp rises early, below 1 late.
    pub aggression: Decimal,
    /// Called on every endpoint of an alternate before its first share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
}

/// An HTTP request that warms an endpoint: POST, answered 2xx in time.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Path of the request.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// Port of the pod.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// How long an answer may take.
    #[serde(default = "Hook::default_timeout")]
    pub timeout: Span,
}

/// Shadow windows: copies of entries for alternates.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Shadow {
    /// Time from the start of a window to the start of the next.
    pub every: Span,
    /// Length of a window.
    pub duration: Span,
    /// Entries copied, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// Copies needed for a verdict.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_entries: i32,
    /// An alternate with more errors is not ready.
    pub max_error_ratio: Decimal,
    /// An alternate slower than the lead by more than this factor is not ready.
    pub max_latency_ratio: Decimal,
    /// Marks a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderMatch>,
    /// Give no share to an alternate that is not shown to be ready.
    pub required: bool,
    /// Port for copies, where it is not the alternate's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A header and its value.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new(r#"self.name.matches("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")"#)
        .message("the name is no HTTP header; write letters, digits and hyphens, for example x-dry-run"),
    validation = Rule::new(r#"self.value.matches("^[\t -~]*$")"#)
        .message("the value is none of an HTTP header; write printable ASCII, for example \"yes\"")
)]
pub struct HeaderMatch {
    /// Name of the header, in the letters of RFC 9110, section 5.6.2.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Its value, in printable ASCII.
    #[schemars(length(max = 128))]
    pub value: String,
}

/// Where the parts of an entry's class are read from.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Classify {
    /// The entry's type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<HeaderName>,
    /// Where the entry comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<HeaderName>,
    /// Where the entry goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<HeaderName>,
    /// The processing steps that the entry goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<HeaderName>,
}

/// A header by name.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct HeaderName {
    /// Name of the header.
    #[schemars(length(min = 1, max = 128))]
    pub header: String,
}

/// What happens when nothing is known of any resource.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The last good shares stay; without any, entries are spread over all endpoints.
    #[default]
    FailOpen,
    /// The lead takes every entry.
    LeadOnly,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            lead_load: Decimal::new(0.75),
            alternate_load: Decimal::new(0.75),
            saturation: Decimal::new(0.9),
            horizon: HorizonLimit::default(),
            quantile: Quantile::default(),
        }
    }
}

impl Default for HorizonLimit {
    fn default() -> Self {
        Self("Auto".into())
    }
}

impl HorizonLimit {
    /// The duration; `None` is `Auto`.
    #[must_use]
    pub fn get(&self) -> Option<std::time::Duration> {
        self.0.parse::<Span>().ok().map(Span::get)
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self { affinity: 50, stability: 30, cost: 20 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_lead_share: Percent::from_permille(100),
            max_step: Percent::from_permille(100),
            hold_down: Span::from_secs(30),
            max_share_per_alternate: Percent::from_permille(1000),
        }
    }
}

impl Default for WarmUp {
    fn default() -> Self {
        Self {
            duration: Span::from_secs(30),
            minimum_share: Percent::from_permille(100),
            aggression: Decimal::new(1.0),
            hook: None,
        }
    }
}

impl Hook {
    fn default_timeout() -> Span {
        Span::from_secs(5)
    }
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            every: Span::from_secs(600),
            duration: Span::from_secs(60),
            percent: 5,
            min_entries: 100,
            max_error_ratio: Decimal::new(0.01),
            max_latency_ratio: Decimal::new(1.5),
            header: None,
            required: false,
            port: None,
        }
    }
}
