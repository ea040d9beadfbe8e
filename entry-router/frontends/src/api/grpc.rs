//! The API as gRPC.

use std::{pin::Pin, sync::Arc};

use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use super::{Answer, AssignApi, Question, Report, Reported, check_batch};
use crate::{
    assign::{Assign, Refusal},
    leases::LEASE,
    proto::router::{
        AssignBatchRequest, AssignBatchResponse, AssignRequest, AssignResponse, AssignResult,
        Refusal as RefusalMessage, ReportRequest, ReportResponse, assign_result, outcome, refusal,
        router_server::{Router, RouterServer},
    },
};

/// The gRPC service.
#[must_use]
pub fn service<D: Assign>(api: Arc<AssignApi<D>>) -> RouterServer<Service<D>> {
    RouterServer::new(Service(api))
}

/// See [`service`].
#[derive(Debug)]
pub struct Service<D: Assign>(Arc<AssignApi<D>>);

#[tonic::async_trait]
impl<D: Assign> Router for Service<D> {
    type AssignStreamStream = Pin<Box<dyn Stream<Item = Result<AssignResult, Status>> + Send>>;

    async fn assign(&self, request: Request<AssignRequest>) -> Result<Response<AssignResponse>, Status> {
        let answer = self.0.ask(&question(request.get_ref()), Instant::now());
        answer.map(|answer| Response::new(message(answer))).map_err(|refusal| status(&refusal))
    }

    async fn assign_batch(
        &self,
        request: Request<AssignBatchRequest>,
    ) -> Result<Response<AssignBatchResponse>, Status> {
        let entries = &request.get_ref().entries;
        check_batch(entries.len()).map_err(|refusal| status(&refusal))?;
        let now = Instant::now();
        let results = entries.iter().map(|entry| result(&self.0, entry, now)).collect();
        Ok(Response::new(AssignBatchResponse { results }))
    }

    async fn assign_stream(
        &self,
        request: Request<Streaming<AssignRequest>>,
    ) -> Result<Response<Self::AssignStreamStream>, Status> {
        let api = self.0.clone();
        let results =
            request.into_inner().map(move |entry| entry.map(|entry| result(&api, &entry, Instant::now())));
        Ok(Response::new(Box::pin(results)))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        let outcomes = &request.get_ref().outcomes;
        check_batch(outcomes.len()).map_err(|refusal| status(&refusal))?;
        let now = Instant::now();
        let mut unknown_tickets = Vec::new();
        for outcome in outcomes {
            let result = match outcome.result() {
                outcome::Result::Acknowledged => Reported::Acknowledged,
                outcome::Result::Failed => Reported::Failed,
                outcome::Result::Released => Reported::Released,
                outcome::Result::Unspecified => {
                    return Err(Status::invalid_argument(
                        "an outcome has no result; say what became of the entry",
                    ));
                }
            };
            let report = Report {
                ticket: &outcome.ticket,
                result,
                service_seconds: outcome.service_seconds,
                endpoint: &outcome.endpoint,
            };
            if !self.0.report(&report, now).map_err(|refusal| status(&refusal))? {
                unknown_tickets.push(outcome.ticket.clone());
            }
        }
        Ok(Response::new(ReportResponse { unknown_tickets }))
    }
}

fn question(request: &AssignRequest) -> Question<'_> {
    Question {
        route: &request.route,
        class: &request.class,
        bytes: request.bytes,
        entry_id: &request.entry_id,
    }
}

fn result<D: Assign>(api: &AssignApi<D>, request: &AssignRequest, now: Instant) -> AssignResult {
    let result = match api.ask(&question(request), now) {
        Ok(answer) => assign_result::Result::Assigned(message(answer)),
        Err(refusal) => assign_result::Result::Refusal(RefusalMessage {
            reason: reason(&refusal).into(),
            message: refusal.to_string(),
            retry_after_seconds: retry_after(&refusal).unwrap_or(0),
        }),
    };
    AssignResult { result: Some(result) }
}

fn message(answer: Answer) -> AssignResponse {
    AssignResponse {
        resource: answer.resource,
        endpoints: answer.endpoints.iter().map(ToString::to_string).collect(),
        ticket: answer.ticket,
        lease_seconds: LEASE.as_secs() as u32,
        reason: answer.reason,
    }
}

fn reason(refusal: &Refusal) -> refusal::Reason {
    match refusal {
        Refusal::UnknownRoute(_) => refusal::Reason::UnknownRoute,
        Refusal::Invalid(_) => refusal::Reason::Invalid,
        Refusal::NoEndpoint(_) => refusal::Reason::NoEndpoint,
        Refusal::Overloaded(_) => refusal::Reason::Overloaded,
    }
}

/// Whole seconds after which to ask again, where waiting helps.
pub(crate) fn retry_after(refusal: &Refusal) -> Option<u32> {
    match refusal {
        Refusal::Overloaded(after) => Some(after.as_secs().clamp(1, 3600) as u32),
        Refusal::NoEndpoint(_) => Some(1),
        Refusal::UnknownRoute(_) | Refusal::Invalid(_) => None,
    }
}

fn status(refusal: &Refusal) -> Status {
    let text = refusal.to_string();
    let mut status = match refusal {
        Refusal::UnknownRoute(_) => Status::not_found(text),
        Refusal::Invalid(_) => Status::invalid_argument(text),
        Refusal::NoEndpoint(_) => Status::unavailable(text),
        Refusal::Overloaded(_) => Status::resource_exhausted(text),
    };
    if let Some(seconds) = retry_after(refusal) {
        status.metadata_mut().insert("retry-after", MetadataValue::from(seconds));
    }
    status
}
