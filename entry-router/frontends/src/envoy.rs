//! The Envoy frontend: an endpoint picker that speaks the Gateway API Inference Extension's protocol 1.0, over Envoy's external
//! processing.
//!
//! One gRPC stream is one HTTP request: [`exchange`] answers its messages, [`messages`] spells them. Which JournalRoute
//! it is for comes with the stream, as metadata `x-foreshift-route: NAMESPACE/NAME`, so that one router serves the
//! listeners of many routes.

pub mod exchange;
mod messages;

use std::{pin::Pin, sync::Arc};

use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::{
    assign::Assign,
    proto::ext_proc::{
        ProcessingRequest, ProcessingResponse,
        external_processor_server::{ExternalProcessor, ExternalProcessorServer},
    },
};
use exchange::Exchange;

/// Metadata of the stream that names the route.
pub const ROUTE: &str = "x-foreshift-route";

/// A message holds headers, or a piece of a body that Envoy does not send in larger ones.
const LARGEST_MESSAGE: usize = 4 << 20;

/// An endpoint picker, and its health, on one port.
pub fn frontend<D: Assign>(
    assigner: Arc<D>,
    route: Option<String>,
    health: HealthServer<impl Health>,
) -> axum::Router {
    Routes::new(service(assigner, route)).add_service(health).into_axum_router()
}

/// The endpoint picker of an assigner; streams that name no route are for `route`, if there is one.
#[must_use]
pub fn service<D: Assign>(assigner: Arc<D>, route: Option<String>) -> ExternalProcessorServer<Picker<D>> {
    ExternalProcessorServer::new(Picker { assigner, route }).max_decoding_message_size(LARGEST_MESSAGE)
}

/// See [`service`].
#[derive(Debug)]
pub struct Picker<D> {
    assigner: Arc<D>,
    route: Option<String>,
}

#[tonic::async_trait]
impl<D: Assign> ExternalProcessor for Picker<D> {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let named = request.metadata().get(ROUTE).and_then(|route| route.to_str().ok());
        let route = named.map(str::to_owned).or_else(|| self.route.clone()).ok_or_else(|| {
            Status::invalid_argument(
                "the stream names no route; set initial_metadata `x-foreshift-route: NAMESPACE/NAME` on Envoy's grpc_service",
            )
        })?;
        let mut exchange = Exchange::new(self.assigner.clone(), route);
        let answers = request.into_inner().filter_map(move |message| match message {
            Ok(message) => exchange.answer(message, Instant::now()).map(Ok),
            Err(status) => Some(Err(status)),
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
