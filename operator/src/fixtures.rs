//! A cluster in memory, with builders that read as sentences: `node("n1").at_load(0.5).running("a", 0.4)`.

mod api_server;
mod objects;
mod world;

pub(crate) use api_server::{ApiServer, Fault};
pub(crate) use objects::{
    EndpointWith, MeasuredWith, ServiceWith, endpoint, measured, node, route, service, slice,
};
pub(crate) use world::World;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The moment at which tests begin.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Namespace of everything.
pub(crate) const NAMESPACE: &str = "shop";

/// So many seconds after [`NOW`].
pub(crate) fn later(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}
