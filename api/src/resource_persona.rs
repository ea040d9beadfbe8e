//! `ResourcePersona`: what one node can do now, how steady it is, what it handles well and what it costs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Decimal, Span,
    condition::{PersonaCondition, types_of},
    journal_route::{ClassReference, Forecaster, Observation},
    vocabulary::values_of,
    wire,
};

/// What people and the operator ask of a persona.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "foreshift.dev",
    version = "v1alpha1",
    kind = "ResourcePersona",
    plural = "resourcepersonas",
    shortname = "rp",
    category = "foreshift",
    status = "ResourcePersonaStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The dynamic persona of a node: capacity, stability, affinity and cost, 0-100, higher is better.",
    printcolumn(name = "Capacity", type_ = "integer", json_path = ".status.scores.capacity"),
    printcolumn(name = "Stability", type_ = "integer", json_path = ".status.scores.stability"),
    printcolumn(name = "Affinity", type_ = "integer", json_path = ".status.scores.affinity"),
    printcolumn(name = "Cost", type_ = "integer", json_path = ".status.scores.cost"),
    printcolumn(name = "Load", type_ = "string", json_path = ".status.capacity.load"),
    printcolumn(
        name = "P90-60s",
        type_ = "string",
        json_path = ".status.forecast.horizons[?(@.after==\"60s\")].p90"
    ),
    printcolumn(name = "Saturates-In", type_ = "string", json_path = ".status.forecast.saturationIn"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePersonaSpec {
    /// Give this node no new entries. Set by a person; the operator moves its share away step by step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,

    /// What the node costs; overrides the chart's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostSpec>,

    /// What the agent observes on this node for routes. Written by the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "service".into()]))]
    #[schemars(length(max = 64))]
    pub workloads: Vec<WorkloadSpec>,
}

/// Prices of a node. All optional: nothing given is neutral.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CostSpec {
    /// Price of the node for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly_price: Option<Decimal>,
    /// Licences that run on the node, for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_per_hour: Option<Decimal>,
    /// Currency of all prices here, ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency_code: Option<String>,
    /// Price of electrical energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_kilowatt_hour: Option<Decimal>,
}

/// A Service whose pods on this node the agent shall observe.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpec {
    /// Namespace of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// UIDs of its pods on this node, so that the agent needs no right to read pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 64)))]
    pub pods: Vec<String>,
    /// What to read of the pods' metrics; absent where no route asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Observation>,
    /// IP addresses of the pods, where metrics are read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 45)))]
    pub addresses: Vec<String>,
    /// How long entries take elsewhere: what the node's affinity is measured against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub reference: Vec<ClassReference>,
}

/// What the agent measured, and what the operator forecasts from it.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePersonaStatus {
    /// When the newest sample in this status was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// Rises by one with every publish of one agent process.
    #[serde(default)]
    pub sequence: i64,
    /// Version of the agent that wrote this.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_version: String,
    /// Kernel boot id of the node: another one means the node was restarted.
    #[serde(default, skip_serializing_if = "String::is_empty", rename = "bootID")]
    pub boot_id: String,
    /// The four scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// Signals behind the capacity score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Signals behind the stability score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<Stability>,
    /// What the observed workloads use on this node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "service".into()]))]
    pub workloads: Vec<WorkloadStatus>,
    /// How well the node handles each class of entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["class".into()]))]
    #[schemars(length(max = 32))]
    pub affinity: Vec<Affinity>,
    /// Signals behind the cost score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostStatus>,
    /// The windows that the forecaster needs, whole in every publish: a restarted operator forecasts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Forecast of this node's load; written by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<NodeForecast>,
    /// Conditions of the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = types_of::<PersonaCondition>)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The four scores, 0-100, higher is better.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Scores {
    /// Headroom of the limiting dimension, lowered by pressure and throttling.
    #[schemars(range(min = 0, max = 100))]
    pub capacity: i32,
    /// Decayed average of readiness, errors and contention.
    #[schemars(range(min = 0, max = 100))]
    pub stability: i32,
    /// Mean affinity over the classes seen; 50 is neutral.
    #[schemars(range(min = 0, max = 100))]
    pub affinity: i32,
    /// Relative to the reference cost; 50 is neutral.
    #[schemars(range(min = 0, max = 100))]
    pub cost: i32,
}

/// Signals behind the capacity score.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// The dimension that saturates first.
    #[schemars(transform = values_of::<Dimension>)]
    pub limiting: Dimension,
    /// Offered demand on it over its capacity; passes 1 when work queues.
    pub load: Decimal,
    /// CPU, in cores.
    pub cpu: Usage,
    /// Memory working set, in bytes; its capacity ends where the kubelet evicts, as far as the Node tells.
    pub memory: Usage,
    /// Network, in bytes a second.
    pub network: Usage,
    /// Part of the time in which some task waited for disks (PSI `some`), 0 to 1; where the kernel has no PSI, the part in
    /// which the busiest disk of the machine was busy. Not there where neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_pressure: Option<Decimal>,
    /// Where the CPU figures come from: `cgroup v1 PATH`, `cgroup v2 PATH` or `/proc`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// A dimension of capacity.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Dimension {
    /// CPU time.
    #[default]
    Cpu,
    /// Memory working set.
    Memory,
    /// Network bytes.
    Network,
}

/// Use of one dimension.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// What there is; zero where it is not known.
    pub capacity: Decimal,
    /// What is used.
    pub used: Decimal,
    /// Part of the time in which at least one task waited (PSI `some`), 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Decimal>,
    /// Part of the CFS periods that were throttled, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Decimal>,
}

/// Signals behind the stability score.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Stability {
    /// Since the node was booted.
    pub uptime_seconds: i64,
    /// Decayed part of the time in which the node was Ready, 0 to 1.
    pub ready_ratio: Decimal,
    /// Decayed error ratio of the observed workloads, 0 to 1.
    pub error_ratio: Decimal,
    /// Decayed contention (pressure and throttling), 0 to 1.
    pub contention: Decimal,
    /// Decayed number of restarts and OOM kills of the observed workloads.
    pub restarts: Decimal,
    /// Half-life of the decay.
    pub half_life: Span,
}

/// What the pods of one Service use on this node.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Pods found on this node.
    pub pods: i32,
    /// CPU, in cores; `capacity` is the sum of the pods' limits, zero where one has none.
    pub cpu: Usage,
    /// Memory working set, in bytes; `capacity` as for CPU.
    pub memory: Usage,
    /// The larger of the CPU and memory load against the pods' own limits; zero without limits.
    pub load: Decimal,
    /// Entries that its pods answered, a second; not there while nobody counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries_per_second: Option<Decimal>,
    /// Part of them that were errors, 0 to 1, over the last seconds (half-life 5 s); not there while nobody counts
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<Decimal>,
    /// CPU used in millicores, oldest first, on the grid of `history.fine`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub fine: Vec<i32>,
    /// CPU used in millicores, oldest first, on the grid of `history.coarse`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub coarse: Vec<i32>,
}

/// How well the node handles one class of entries.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// The class, or `other`.
    #[schemars(length(min = 1, max = wire::CLASS_LENGTH))]
    pub class: String,
    /// 0-100; 50 is neutral.
    #[schemars(range(min = 0, max = 100))]
    pub score: i32,
    /// Entries behind the score.
    pub samples: i64,
    /// Part of them that were errors, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<Decimal>,
    /// Mean service time of those that succeeded, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_service_time: Option<Decimal>,
    /// Where the figures come from.
    #[serde(default)]
    #[schemars(transform = values_of::<AffinityObserver>)]
    pub observer: AffinityObserver,
}

/// Where the figures of an affinity come from.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum AffinityObserver {
    /// The node agent read them from the metrics of the observed pods.
    #[default]
    Agent,
}

/// Signals behind the cost score.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CostStatus {
    /// Node, licences and energy for an hour.
    pub hourly: Decimal,
    /// Electrical power, in watts.
    pub watts: Decimal,
    /// Where the watts come from.
    #[schemars(transform = values_of::<WattsSource>)]
    pub watts_source: WattsSource,
    /// Price of a million entries at the present rate; not there while nobody counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million_entries: Option<Decimal>,
}

/// Where a power figure comes from.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum WattsSource {
    /// Measured by the CPU (powercap).
    Rapl,
    /// A linear model of CPU use.
    Model,
    /// Not known; energy costs nothing here.
    #[default]
    None,
}

/// Two windows of one series: a fine one that plans shares, a coarse one that sees a minute ahead.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Short period, for the next seconds.
    pub fine: Window,
    /// Long period, for the next minute.
    pub coarse: Window,
}

/// A window of the node's load on a regular grid.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Length of a step.
    pub period: Span,
    /// Index of the newest step: unix time of its end divided by `period`.
    pub step: i64,
    /// Load in permille, oldest first.
    #[schemars(length(max = 64))]
    pub load: Vec<i32>,
}

/// The operator's forecast of a node's load while the present shares go on.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NodeForecast {
    /// What made the forecast.
    #[schemars(transform = values_of::<Forecaster>)]
    pub forecaster: Forecaster,
    /// First 12 hexadecimal digits of the model's SHA-256; unset unless `forecaster` is `Model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<String>,
    /// Quantiles of load ahead.
    #[schemars(length(max = 8))]
    pub horizons: Vec<Horizon>,
    /// When the forecast first reaches saturation; absent when it does not within the last horizon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation_in: Option<Span>,
    /// 1 - pinball loss over persistence's; above zero is better than "as now".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<Decimal>,
}

/// Load quantiles at one horizon.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Horizon {
    /// From now.
    pub after: Span,
    /// Median.
    pub p50: Decimal,
    /// 90th percentile.
    pub p90: Decimal,
    /// 99th percentile.
    pub p99: Decimal,
}
