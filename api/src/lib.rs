//! The custom resources of Foreshift (group `foreshift.dev`, version `v1alpha1`) as Rust types.
//!
//! Types, defaults and CEL rules only: no I/O, no decisions. `crds/*.yaml` is generated from here and a test
//! holds the two together.

#![allow(
    unreachable_pub,
    reason = "the KubeSchema derive repeats the struct inside a function, where `pub` means nothing"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "every rule of a `x_kube` and column of a `kube` attribute has the same keys"
)]

mod amounts;
pub mod apply;
pub mod condition;
pub mod journal_route;
pub mod load_model;
pub mod resource_persona;
mod vocabulary;
pub mod wire;

pub use amounts::{Decimal, Percent, Span};
pub use journal_route::{JournalRoute, JournalRouteSpec, JournalRouteStatus};
pub use load_model::{LoadModel, LoadModelSpec, LoadModelStatus};
pub use resource_persona::{ResourcePersona, ResourcePersonaSpec, ResourcePersonaStatus};

/// API group of every custom resource here.
pub const GROUP: &str = "foreshift.dev";

/// Field manager of the agent: `status` of its own ResourcePersona, `forecast` excepted.
pub const AGENT_FIELD_MANAGER: &str = "foreshift-node-agent";

/// Field manager of the entry router, all replicas: `status.shadow` and `status.outcomes` of JournalRoutes.
pub const ROUTER_FIELD_MANAGER: &str = "foreshift-entry-router";

/// Field managers of the operator, one a concern.
pub mod operator_field_manager {
    /// EndpointSlices.
    pub const SLICES: &str = "foreshift-operator-slices";
    /// `status` of JournalRoutes.
    pub const ROUTE_STATUS: &str = "foreshift-operator-status";
    /// `spec.workloads` of ResourcePersonas.
    pub const WORKLOADS: &str = "foreshift-operator-workloads";
    /// `status.forecast` of ResourcePersonas.
    pub const FORECAST: &str = "foreshift-operator-forecast";
    /// `status` of LoadModels.
    pub const MODELS: &str = "foreshift-operator-models";
}
