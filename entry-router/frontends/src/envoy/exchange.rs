//! One HTTP request, from its headers to those of its response.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::Instant;

use super::messages;
use crate::{
    assign::{Assign, Assigned, Class, Entry, Outcome},
    proto::ext_proc::{
        HttpHeaders, ProcessingRequest, ProcessingResponse, ProtocolConfiguration,
        processing_request::Request, processing_response::Response,
    },
};

/// What one stream knows. Dropped before the response came, it releases what was assigned.
#[derive(Debug)]
pub struct Exchange<D: Assign> {
    assigner: Arc<D>,
    route: String,
    assigned: Option<(Assigned<D::Ticket>, Instant)>,
    duplex: Duplex,
}

/// Which bodies must be sent back piece by piece.
#[derive(Clone, Copy, Debug, Default)]
struct Duplex {
    request: bool,
    response: bool,
}

impl<D: Assign> Exchange<D> {
    /// An exchange of which nothing was seen.
    #[must_use]
    pub fn new(assigner: Arc<D>, route: String) -> Self {
        Self { assigner, route, assigned: None, duplex: Duplex::default() }
    }

    /// The answer to one message; `None` where none is expected.
    pub fn answer(&mut self, message: ProcessingRequest, now: Instant) -> Option<ProcessingResponse> {
        if let Some(config) = &message.protocol_config {
            self.duplex = Duplex::of(*config);
        }
        let within = messages::subset(&message);
        let served = messages::served(&message);
        if message.observability_mode {
            return None;
        }
        Some(match message.request? {
            Request::RequestHeaders(headers) => self.pick(&headers, within.as_deref(), now),
            Request::ResponseHeaders(headers) => {
                self.served(&headers, served, now);
                messages::going_on(Response::ResponseHeaders)
            }
            Request::RequestBody(body) => messages::body(Response::RequestBody, body, self.duplex.request),
            Request::ResponseBody(body) => messages::body(Response::ResponseBody, body, self.duplex.response),
            Request::RequestTrailers(_) => messages::trailers(Response::RequestTrailers),
            Request::ResponseTrailers(_) => messages::trailers(Response::ResponseTrailers),
        })
    }

    fn pick(
        &mut self,
        sent: &HttpHeaders,
        within: Option<&[SocketAddr]>,
        now: Instant,
    ) -> ProcessingResponse {
        let head = messages::head(sent);
        let bytes = head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        let class = Class::Request(&head);
        match self.assigner.assign(&Entry { route: &self.route, class, bytes, within }) {
            Ok(assigned) => {
                let answer = messages::picked(&assigned.endpoints);
                self.release();
                self.assigned = Some((assigned, now));
                answer
            }
            Err(refusal) => messages::refused(&refusal),
        }
    }

    /// A response that the resource made, or that the gateway made in its place: only the first names who served.
    fn served(&mut self, sent: &HttpHeaders, served: Option<SocketAddr>, now: Instant) {
        let Some((assigned, since)) = self.assigned.take() else { return };
        let status = messages::status(sent);
        let answered = status.is_some_and(|status| status < 500 && status != 429);
        let outcome = if answered {
            Outcome::Acknowledged(now.saturating_duration_since(since))
        } else {
            Outcome::Failed
        };
        let endpoint = served.or(assigned.endpoints.first().copied());
        self.assigner.close(assigned.ticket, endpoint, outcome);
    }

    fn release(&mut self) {
        if let Some((assigned, _)) = self.assigned.take() {
            self.assigner.close(assigned.ticket, None, Outcome::Released);
        }
    }
}

impl<D: Assign> Drop for Exchange<D> {
    fn drop(&mut self) {
        self.release();
    }
}

impl Duplex {
    fn of(config: ProtocolConfiguration) -> Self {
        let duplex = messages::FULL_DUPLEX;
        Self { request: config.request_body_mode == duplex, response: config.response_body_mode == duplex }
    }
}

#[cfg(test)]
mod tests;
