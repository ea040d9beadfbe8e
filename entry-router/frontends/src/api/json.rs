//! The API as JSON over HTTP. The types here are what `entry-router/openapi.yaml` describes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Answer, AssignApi, Question, Report, Reported, check_batch, grpc::retry_after};
use crate::{
    assign::{Assign, Refusal},
    leases::LEASE,
};

/// A batch of the largest size fits.
const LARGEST_BODY: usize = 1 << 20;

/// An entry, as far as its place depends on it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssignRequest {
    /// The JournalRoute, as NAMESPACE/NAME.
    #[schemars(length(max = 317))]
    pub route: String,
    /// Its class: type, source and destination, as the route's `classify` would join them; empty where it says nothing of
    /// itself.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub class: String,
    /// Its size.
    #[serde(default)]
    pub bytes: u64,
    /// What tells it apart; the same entry asked for again gets the same lease.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub entry_id: String,
}

/// Where an entry goes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignResponse {
    /// Service that takes it.
    pub resource: String,
    /// Where to send it, best first, as ADDRESS:PORT; the next ones are for retries.
    #[schemars(length(min = 1))]
    pub endpoints: Vec<String>,
    /// To be named in the report.
    pub ticket: String,
    /// The entry counts as being worked on for this long, unless it is reported before.
    pub lease_seconds: u64,
    /// Why this resource.
    pub reason: String,
}

/// Entries to be assigned in order.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssignBatchRequest {
    /// The entries.
    #[schemars(length(max = 1024))]
    pub entries: Vec<AssignRequest>,
}

/// As many results as there were entries, in their order.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignBatchResponse {
    /// The results.
    pub results: Vec<AssignResult>,
}

/// An assignment, or why there is none.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AssignResult {
    /// It was assigned.
    Assigned(AssignResponse),
    /// It was not.
    Refusal(Problem),
}

/// What became of entries.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportRequest {
    /// The outcomes.
    #[schemars(length(max = 1024))]
    pub outcomes: Vec<Outcome>,
}

/// What became of one entry.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outcome {
    /// As assigned.
    pub ticket: String,
    /// How it ended.
    pub result: OutcomeResult,
    /// Seconds from sending it to its acknowledgement; 0 is the time since the assignment.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 86400.0))]
    pub service_seconds: f64,
    /// Where it went, as ADDRESS:PORT; empty is the first endpoint of the assignment.
    #[serde(default)]
    pub endpoint: String,
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeResult {
    /// The resource acknowledged it.
    Acknowledged,
    /// The resource refused it or did not answer.
    Failed,
    /// It was never sent.
    Released,
}

/// The answer to a report.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportResponse {
    /// Tickets that are not known: reported already, never assigned, or after their lease.
    pub unknown_tickets: Vec<String>,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// For programs.
    pub reason: ProblemReason,
    /// A sentence that says what to do.
    pub message: String,
    /// When to ask again; absent where waiting does not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ProblemReason {
    /// The route does not exist or is not known yet.
    UnknownRoute,
    /// The request makes no sense.
    Invalid,
    /// No resource of the route has a ready endpoint.
    NoEndpoint,
    /// Too many entries are under way.
    Overloaded,
}

/// The HTTP routes.
pub fn router<D: Assign>(api: Arc<AssignApi<D>>) -> Router {
    Router::new()
        .route("/v1/assign", post(assign::<D>))
        .route("/v1/assign/batch", post(assign_batch::<D>))
        .route("/v1/report", post(report::<D>))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(api)
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn assign<D: Assign>(
    State(api): State<Arc<AssignApi<D>>>,
    body: Body<AssignRequest>,
) -> Result<Json<AssignResponse>, Problem> {
    Ok(Json(ask(&api, &read(body)?, Instant::now())?))
}

async fn assign_batch<D: Assign>(
    State(api): State<Arc<AssignApi<D>>>,
    body: Body<AssignBatchRequest>,
) -> Result<Json<AssignBatchResponse>, Problem> {
    let batch = read(body)?;
    check_batch(batch.entries.len()).map_err(|refusal| Problem::of(&refusal))?;
    let now = Instant::now();
    let one = |entry| ask(&api, entry, now).map_or_else(AssignResult::Refusal, AssignResult::Assigned);
    Ok(Json(AssignBatchResponse { results: batch.entries.iter().map(one).collect() }))
}

async fn report<D: Assign>(
    State(api): State<Arc<AssignApi<D>>>,
    body: Body<ReportRequest>,
) -> Result<Json<ReportResponse>, Problem> {
    let reported = read(body)?;
    check_batch(reported.outcomes.len()).map_err(|refusal| Problem::of(&refusal))?;
    let now = Instant::now();
    let mut unknown_tickets = Vec::new();
    for outcome in reported.outcomes {
        let report = Report {
            ticket: &outcome.ticket,
            result: match outcome.result {
                OutcomeResult::Acknowledged => Reported::Acknowledged,
                OutcomeResult::Failed => Reported::Failed,
                OutcomeResult::Released => Reported::Released,
            },
            service_seconds: outcome.service_seconds,
            endpoint: &outcome.endpoint,
        };
        if !api.report(&report, now).map_err(|refusal| Problem::of(&refusal))? {
            unknown_tickets.push(outcome.ticket);
        }
    }
    Ok(Json(ReportResponse { unknown_tickets }))
}

fn ask<D: Assign>(
    api: &AssignApi<D>,
    entry: &AssignRequest,
    now: Instant,
) -> Result<AssignResponse, Problem> {
    let AssignRequest { route, class, bytes, entry_id } = entry;
    api.ask(&Question { route, class, bytes: *bytes, entry_id }, now)
        .map(|Answer { resource, endpoints, ticket, reason }| AssignResponse {
            resource,
            endpoints: endpoints.iter().map(ToString::to_string).collect(),
            ticket,
            lease_seconds: LEASE.as_secs(),
            reason,
        })
        .map_err(|refusal| Problem::of(&refusal))
}

fn read<T>(body: Body<T>) -> Result<T, Problem> {
    body.map(|Json(value)| value).map_err(|rejection| Problem {
        reason: ProblemReason::Invalid,
        message: rejection.body_text(),
        retry_after_seconds: None,
    })
}

impl Problem {
    fn of(refusal: &Refusal) -> Self {
        Self {
            reason: match refusal {
                Refusal::UnknownRoute(_) => ProblemReason::UnknownRoute,
                Refusal::Invalid(_) => ProblemReason::Invalid,
                Refusal::NoEndpoint(_) => ProblemReason::NoEndpoint,
                Refusal::Overloaded(_) => ProblemReason::Overloaded,
            },
            message: refusal.to_string(),
            retry_after_seconds: retry_after(refusal),
        }
    }
}

impl ProblemReason {
    /// The status code that a problem comes with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NoEndpoint => StatusCode::SERVICE_UNAVAILABLE,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.reason.status(), Json(&self)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
