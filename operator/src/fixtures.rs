//! A cluster in memory: the objects and caches of the view's fixtures, and an API server that keeps what is written.

mod api_server;

pub(crate) use api_server::{ApiServer, Fault};
pub(crate) use foreshift_view_fixtures::{
    EndpointWith, MeasuredWith, NAMESPACE, NOW, ServiceWith, World, endpoint, later, measured, node, route,
    service, slice,
};
