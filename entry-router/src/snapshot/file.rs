//! Routes in a file: for use without Kubernetes, for tests and for benchmarks.
//!
//! The file is YAML: `routes` is a list of `namespace`, `name`, a JournalRoute's `spec`, and `resources` by the names
//! of the spec's Services, each with its `endpoints`, `capacity` in cores, `load` and `protocol` (`http1`, the default, or
//! `h2c`); where copies go elsewhere, `shadowEndpoints`, and `shadowProtocol` if that is not what the others speak.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use foreshift_api::JournalRouteSpec;
use foreshift_engine::{
    decision::Phase,
    resource::{Freshness, Node, Readiness, Resource, Scores},
};
use foreshift_view::{RouteKey, policy::policy};
use serde::Deserialize;

use super::{Member, Protocol, RouteSnapshot};
use crate::shadow::Mark;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(String, #[source] std::io::Error),
    /// It does not say what it should.
    #[error("{0} is not a valid routes file: {1}")]
    Parse(String, String),
    /// A Service of the spec is not among the resources.
    #[error("route {route}: the spec names Service `{service}`, and `resources` does not; add it there")]
    Unknown {
        /// The route.
        route: String,
        /// The Service.
        service: String,
    },
    /// Copies cannot be marked.
    #[error(
        "route {0}: `shadow.header` is no HTTP header; write for example {{name: x-dry-run, value: \"yes\"}}"
    )]
    Header(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    #[serde(default = "default_namespace")]
    namespace: String,
    name: String,
    spec: JournalRouteSpec,
    resources: BTreeMap<String, Backend>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Backend {
    endpoints: Vec<SocketAddr>,
    /// Where shadow copies go; its endpoints where there are none.
    #[serde(default)]
    shadow_endpoints: Vec<SocketAddr>,
    /// Cores; unknown where it is missing.
    capacity: Option<f64>,
    #[serde(default)]
    load: f64,
    #[serde(default)]
    protocol: Protocol,
    /// As `protocol` where it is missing.
    shadow_protocol: Option<Protocol>,
}

/// Reads the routes of a file.
///
/// # Errors
/// [`Error`], which says what to write instead.
pub fn read(path: &Path) -> Result<Vec<RouteSnapshot>, Error> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Error::Read(name.clone(), error))?;
    parse(&name, &text)
}

pub(crate) fn parse(name: &str, text: &str) -> Result<Vec<RouteSnapshot>, Error> {
    let file: File =
        serde_saphyr::from_str(text).map_err(|error| Error::Parse(name.into(), error.to_string()))?;
    file.routes.into_iter().map(Route::snapshot).collect()
}

impl Route {
    fn snapshot(self) -> Result<RouteSnapshot, Error> {
        let route = RouteKey { namespace: self.namespace, name: self.name };
        if self.spec.shadow.as_ref().is_some_and(|shadow| Mark::of(shadow).is_none()) {
            return Err(Error::Header(route.to_string()));
        }
        let mut members = Vec::with_capacity(self.spec.alternates.len() + 1);
        for reference in std::iter::once(&self.spec.lead).chain(&self.spec.alternates) {
            let service = &reference.service;
            let backend = self
                .resources
                .get(service)
                .ok_or_else(|| Error::Unknown { route: route.to_string(), service: service.clone() })?;
            members.push(backend.member(service));
        }
        Ok(RouteSnapshot {
            policy: policy(&self.spec),
            spec: self.spec,
            route,
            at: Duration::ZERO,
            phase: Phase::Steady,
            members,
            part: 1.0,
        })
    }
}

impl Backend {
    fn member(&self, name: &str) -> Member {
        let known = self.capacity.is_some();
        let node = Node {
            capacity: self.capacity.unwrap_or(1.0),
            load: self.load,
            own_cores: 0.0,
            entries: None,
            error_ratio: 0.0,
            endpoints: self.endpoints.len() as u32,
            scores: Scores::default(),
            freshness: if known { Freshness::Fresh } else { Freshness::Absent },
            drained: false,
        };
        let shadow = if self.shadow_endpoints.is_empty() { &self.endpoints } else { &self.shadow_endpoints };
        Member {
            resource: Resource::from_nodes(name, &[node], Readiness::Inconclusive),
            endpoints: self.endpoints.clone(),
            shadow_endpoints: shadow.clone(),
            protocol: self.protocol,
            shadow_protocol: self.shadow_protocol.unwrap_or(self.protocol),
            share: 0,
            warm: None,
        }
    }
}

fn default_namespace() -> String {
    "default".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
routes:
- name: journal
  spec:
    lead: {service: a, port: 80}
    alternates: [{service: b, port: 80}]
    target: {service: journal}
    objective: {leadLoad: "0.5"}
  resources:
    a: {endpoints: ["127.0.0.1:1"], capacity: 2}
    b: {endpoints: ["127.0.0.1:2", "[::1]:3"], shadowEndpoints: ["127.0.0.1:4"], protocol: h2c}
"#;

    #[test]
    fn a_file_is_a_route_as_in_a_cluster_with_its_endpoints_written_down() {
        let snapshots = parse("routes.yaml", TEXT).unwrap();
        let RouteSnapshot { route, policy, members, .. } = &snapshots[0];
        assert_eq!((route.to_string().as_str(), policy.objective.lead_load), ("default/journal", 0.5));
        assert_eq!((members[0].resource.capacity, members[0].resource.freshness), (2.0, Freshness::Fresh));
        assert_eq!((members[1].resource.endpoints, members[1].resource.freshness), (2, Freshness::Absent));
        assert_eq!(members[1].shadow_endpoints, ["127.0.0.1:4".parse().unwrap()]);
        assert_eq!(members[0].shadow_endpoints, members[0].endpoints);
        assert_eq!((members[0].protocol, members[1].protocol), (Protocol::Http1, Protocol::Http2));
        assert_eq!(members[1].shadow_protocol, Protocol::Http2);
        let apart = parse("routes.yaml", &TEXT.replace("h2c}", "h2c, shadowProtocol: http1}")).unwrap();
        let b = &apart[0].members[1];
        assert_eq!((b.protocol, b.shadow_protocol), (Protocol::Http2, Protocol::Http1));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let missing = TEXT.replace("    b: {", "    c: {");
        assert!(parse("x", &missing).unwrap_err().to_string().contains("names Service `b`"));
        assert!(parse("x", "routes: 1").unwrap_err().to_string().contains("x is not a valid routes file"));
        assert!(parse("x", &TEXT.replace("capacity", "capacities")).is_err());
        let marked = TEXT
            .replace("    objective:", "    shadow: {header: {name: not a name, value: x}}\n    objective:");
        assert!(parse("x", &marked).unwrap_err().to_string().contains("x-dry-run"));
    }
}
