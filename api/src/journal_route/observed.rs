//! What the entry router saw of a route's resources. The router writes these lists, the operator only reads them.
//!
//! All replicas of the router write under one field manager. A replica sends its own rows together with those of
//! others that still hold, and names the `resourceVersion` it read, so that the rows of a pod that is gone fade out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Decimal, vocabulary::values_of, wire};

/// What shadow entries showed of one alternate, as one replica of the router saw it.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShadowVerdict {
    /// Name of the alternate's Service.
    #[schemars(length(min = 1, max = 63))]
    pub resource: String,
    /// Pod of the router.
    #[schemars(length(min = 1, max = 253))]
    pub observer: String,
    /// When the verdict was reached, at the end of a window; it holds for three times `shadow.every`.
    pub at: Time,
    /// The resulting readiness.
    #[schemars(transform = values_of::<ShadowReadiness>)]
    pub readiness: ShadowReadiness,
    /// Number of copies behind the verdict.
    #[schemars(range(min = 0))]
    pub samples: i64,
    /// Latency of the copies over that of the originals, 95 % interval; absent until enough were acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ratio: Option<Range>,
    /// Part of the copies that failed less the part of the originals that did, -1 to 1, 95 % interval.
    pub excess_errors: Range,
}

/// Readiness of an alternate, as shadow entries show it.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShadowReadiness {
    /// The alternate is fit.
    Ready,
    /// The alternate is unfit and gets no entries.
    NotReady,
    /// Too few copies were seen, or the result is ambiguous.
    #[default]
    Inconclusive,
}

/// Both ends of an interval.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// Its lower end.
    pub low: Decimal,
    /// Its upper end.
    pub high: Decimal,
}

/// What entries of one class took on one resource, as one replica of the router saw it.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClassOutcome {
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub resource: String,
    /// The class, or `other`; a replica reports 32 at most.
    #[schemars(length(min = 1, max = wire::CLASS_LENGTH))]
    pub class: String,
    /// Pod of the router.
    #[schemars(length(min = 1, max = 253))]
    pub observer: String,
    /// When this was seen; it counts for ten minutes.
    pub at: Time,
    /// 0-100 against the route's other resources, drawn to 50 while samples are few.
    #[schemars(range(min = 0, max = 100))]
    pub affinity: i32,
    /// Entries it rests on; those of the past count less.
    #[schemars(range(min = 0))]
    pub samples: i64,
    /// Part of them that failed, 0 to 1.
    pub error_ratio: Decimal,
    /// Mean seconds to the acknowledgement; absent until one was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_service_time: Option<Decimal>,
}
