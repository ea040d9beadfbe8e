//! What a route's resources are now: read once a tick, from a file or from a cluster.

pub mod cluster;
pub mod file;

use std::{net::SocketAddr, time::Duration};

use foreshift_api::JournalRouteSpec;
use foreshift_engine::{decision::Phase, policy::Policy, resource::Resource};
pub use foreshift_view::RouteKey;
use serde::Deserialize;

/// One route at one tick.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSnapshot {
    /// Which route.
    pub route: RouteKey,
    /// When this was read: time since 1970.
    pub at: Duration,
    /// What people wrote.
    pub spec: JournalRouteSpec,
    /// The same for the engine.
    pub policy: Policy,
    /// Where the route stands, as the operator reported last; steady without an operator.
    pub phase: Phase,
    /// Lead first, then the alternates in the order of the route.
    pub members: Vec<Member>,
    /// The part of the route's entries that comes through this process, above 0 to 1.
    pub part: f64,
}

/// One resource of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// As the engine sees it.
    pub resource: Resource,
    /// Its ready endpoints.
    pub endpoints: Vec<SocketAddr>,
    /// Where shadow copies go: the same, unless the route names a port for them.
    pub shadow_endpoints: Vec<SocketAddr>,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// What is spoken where copies go.
    pub shadow_protocol: Protocol,
    /// Its share in the operator's plan, permille.
    pub share: u16,
    /// How warm it is as the operator reports, 0 to 1; `None` if it is unset, and the router counts the time itself.
    pub warm: Option<f64>,
}

/// How entries are sent to a resource. gRPC calls go by HTTP/2 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "http1")]
    Http1,
    /// HTTP/2 by prior knowledge.
    #[serde(rename = "h2c")]
    Http2,
}

impl RouteSnapshot {
    /// Shares of the alternates, permille.
    #[must_use]
    pub fn shares(&self) -> Vec<u16> {
        self.members.iter().skip(1).map(|member| member.share).collect()
    }
}
