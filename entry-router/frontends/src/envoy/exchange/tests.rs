//! Tables of the protocol, message by message.

use std::time::Duration;

use prost_types::{ListValue, Struct, Value, value::Kind};

use super::*;
use crate::{
    fixtures::{Closed, Fixed},
    proto::ext_proc::{
        HeaderMap, HeaderValue, HttpBody, HttpTrailers, ImmediateResponse, Metadata, body_mutation::Mutation,
    },
};

fn exchange(route: &str) -> (Arc<Fixed>, Exchange<Fixed>) {
    let assigner = Arc::new(Fixed::default());
    (assigner.clone(), Exchange::new(assigner, route.into()))
}

fn sent(headers: &[(&str, &str)]) -> HttpHeaders {
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).into(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    HttpHeaders {
        headers: Some(HeaderMap { headers: headers.iter().map(header).collect() }),
        ..HttpHeaders::default()
    }
}

fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

fn with_metadata(message: ProcessingRequest, namespace: &str, key: &str, kind: Kind) -> ProcessingRequest {
    let fields = [(key.to_owned(), Value { kind: Some(kind) })].into();
    let filter_metadata = [(namespace.to_owned(), Struct { fields })].into();
    ProcessingRequest { metadata_context: Some(Metadata { filter_metadata }), ..message }
}

fn post() -> ProcessingRequest {
    message(Request::RequestHeaders(sent(&[
        (":method", "POST"),
        (":path", "/upload"),
        ("x-entry-type", "audit"),
        ("content-length", "512"),
    ])))
}

/// The endpoints of an answer, which must be the same in the header and in the metadata.
fn picked(answer: &ProcessingResponse) -> String {
    let Some(Response::RequestHeaders(headers)) = &answer.response else { panic!("{answer:?}") };
    let mutation = headers.response.as_ref().unwrap().header_mutation.as_ref().unwrap();
    let header = mutation.set_headers[0].header.as_ref().unwrap();
    assert_eq!(header.key, messages::DESTINATION);
    let namespace = &answer.dynamic_metadata.as_ref().unwrap().fields[messages::NAMESPACE];
    let Some(Kind::StructValue(inner)) = &namespace.kind else { panic!("{namespace:?}") };
    let Some(Kind::StringValue(told)) = &inner.fields[messages::DESTINATION].kind else {
        panic!("{inner:?}")
    };
    assert_eq!(told.as_bytes(), header.raw_value);
    told.clone()
}

fn refused(answer: ProcessingResponse) -> ImmediateResponse {
    match answer.response {
        Some(Response::ImmediateResponse(immediate)) => immediate,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_endpoints_are_told_in_order_in_the_header_and_in_the_metadata() {
    let (_, mut exchange) = exchange("shop/journal");
    let answer = exchange.answer(post(), Instant::now()).unwrap();
    assert_eq!(picked(&answer), "10.0.0.1:80,10.0.0.2:80");
    assert_eq!(exchange.assigned.as_ref().unwrap().0.reason, "POST /upload audit");
}

#[test]
fn only_endpoints_of_the_subset_are_picked() {
    let of = |texts: &[&str]| {
        let values = texts.iter().map(|&text| Value { kind: Some(Kind::StringValue(text.into())) });
        Kind::ListValue(ListValue { values: values.collect() })
    };
    let hinted = |kind| with_metadata(post(), messages::SUBSET_NAMESPACE, messages::SUBSET, kind);
    let answered = |kind| exchange("shop/journal").1.answer(hinted(kind), Instant::now()).unwrap();
    assert_eq!(picked(&answered(of(&["10.0.0.2:80", "10.9.9.9:80", "nonsense"]))), "10.0.0.2:80");
    assert_eq!(
        picked(&answered(Kind::StringValue("10.0.0.2:80, 10.0.0.1:80".into()))),
        "10.0.0.1:80,10.0.0.2:80"
    );
    for none in [of(&[]), of(&["10.9.9.9:80"]), Kind::BoolValue(true)] {
        assert_eq!(refused(answered(none)).status.unwrap().code, 503);
    }
}

#[test]
fn a_refusal_ends_the_request_with_its_status_and_a_sentence() {
    let cases = [("shop/empty", 503, true), ("shop/full", 429, true), ("shop/unknown", 503, false)];
    for (route, code, again) in cases {
        let (assigner, mut exchange) = exchange(route);
        let immediate = refused(exchange.answer(post(), Instant::now()).unwrap());
        assert_eq!(immediate.status.unwrap().code, code, "{route}");
        assert_eq!(immediate.headers.is_some(), again, "{route}");
        assert!(!immediate.body.is_empty());
        drop(exchange);
        assert!(assigner.closed().is_empty());
    }
}

#[test]
fn who_served_is_who_the_outcome_is_counted_for() {
    let (assigner, mut exchange) = exchange("shop/journal");
    let now = Instant::now();
    exchange.answer(post(), now);
    let response = message(Request::ResponseHeaders(sent(&[(":status", "200")])));
    let echoed = Kind::StringValue("10.0.0.2:80".into());
    let response = with_metadata(response, messages::NAMESPACE, messages::SERVED, echoed);
    let answer = exchange.answer(response, now + Duration::from_millis(40)).unwrap();
    assert!(matches!(answer.response, Some(Response::ResponseHeaders(_))));
    drop(exchange);
    let outcome = Outcome::Acknowledged(Duration::from_millis(40));
    assert_eq!(assigner.closed(), [Closed { ticket: 0, endpoint: "10.0.0.2:80".parse().ok(), outcome }]);
}

#[test]
fn errors_and_refusals_of_the_resource_are_failures_and_other_answers_are_not() {
    for (status, failed) in [("204", false), ("404", false), ("429", true), ("503", true), ("", true)] {
        let (assigner, mut exchange) = exchange("shop/journal");
        exchange.answer(post(), Instant::now());
        exchange.answer(message(Request::ResponseHeaders(sent(&[(":status", status)]))), Instant::now());
        assert_eq!(assigner.closed()[0].outcome == Outcome::Failed, failed, "{status}");
        assert_eq!(
            assigner.closed()[0].endpoint,
            "10.0.0.1:80".parse().ok(),
            "the first one, where nobody is named"
        );
    }
}

#[test]
fn a_stream_that_ends_early_releases_what_it_holds() {
    let (assigner, mut exchange) = exchange("shop/journal");
    exchange.answer(post(), Instant::now());
    drop(exchange);
    assert_eq!(assigner.closed(), [Closed { ticket: 0, endpoint: None, outcome: Outcome::Released }]);
}

#[test]
fn bodies_and_trailers_go_on_unchanged_in_every_mode() {
    let piece = || HttpBody { body: b"MESSAGE=x".to_vec(), end_of_stream: true, ..HttpBody::default() };
    let answered = |mode: i32| {
        let config = ProtocolConfiguration { request_body_mode: mode, ..ProtocolConfiguration::default() };
        let (_, mut exchange) = exchange("shop/journal");
        exchange.answer(ProcessingRequest { protocol_config: Some(config), ..post() }, Instant::now());
        match exchange.answer(message(Request::RequestBody(piece())), Instant::now()).unwrap().response {
            Some(Response::RequestBody(body)) => body.response.and_then(|common| common.body_mutation),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answered(1), None, "streamed: there is nothing to say");
    match answered(messages::FULL_DUPLEX).and_then(|body| body.mutation) {
        Some(Mutation::StreamedResponse(back)) => {
            assert_eq!((back.body, back.end_of_stream), (piece().body, true));
        }
        other => panic!("{other:?}"),
    }
    let (_, mut exchange) = exchange("shop/journal");
    let trailers = message(Request::RequestTrailers(HttpTrailers::default()));
    let answer = exchange.answer(trailers, Instant::now()).unwrap();
    assert!(matches!(answer.response, Some(Response::RequestTrailers(_))));
}

#[test]
fn who_only_observes_gets_no_answer_and_no_entry_is_counted() {
    let (assigner, mut exchange) = exchange("shop/journal");
    let observed = ProcessingRequest { observability_mode: true, ..post() };
    assert!(exchange.answer(observed, Instant::now()).is_none());
    assert!(exchange.answer(ProcessingRequest::default(), Instant::now()).is_none());
    assert_eq!(assigner.assigned(), 0);
}
