//! How agents see that entries are answered: a histogram that the resources' pods expose for Prometheus.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a resource's pods tell how long entries take, and what is read there. Empty is the convention of
/// OpenTelemetry: its HTTP server histogram on the port of its Prometheus exporter.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Observation {
    /// Port of the pods that serves metrics over plain HTTP.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Path of the metrics.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/[!-~]*$"))]
    pub path: String,
    /// Histogram or summary of the time that entries take: in milliseconds where its name ends so, else in seconds.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub duration_metric: String,
    /// Label that holds an entry's class.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub class_label: String,
    /// Label that tells errors from successes.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub error_label: String,
    /// Its values that are errors; `5*` is all that begin with a 5.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    pub error_values: Vec<String>,
}

impl Default for Observation {
    /// OpenTelemetry's `http.server.request.duration`, as its Prometheus exporter (port 9464) writes it.
    fn default() -> Self {
        Self {
            port: 9464,
            path: "/metrics".into(),
            duration_metric: "http_server_request_duration_seconds".into(),
            class_label: "http_route".into(),
            error_label: "http_response_status_code".into(),
            error_values: vec!["5*".into(), "429".into()],
        }
    }
}

/// How long entries of one class take on the other resources of the routes.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClassReference {
    /// The class, or `other`.
    #[schemars(length(min = 1, max = crate::wire::CLASS_LENGTH))]
    pub class: String,
    /// Seconds until an entry has succeeded, errors repeated: the geometric mean over the other resources' nodes.
    pub time_to_success: crate::Decimal,
}
