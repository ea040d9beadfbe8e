//! The protocol's words: what is read from Envoy's messages and written into ours.

use std::{collections::BTreeMap, net::SocketAddr};

use http::{HeaderName, HeaderValue as Content, Method, Request, Uri, request::Parts};

use prost_types::{Struct, Value, value::Kind};

use crate::{
    api::grpc::retry_after,
    assign::Refusal,
    proto::ext_proc::{
        BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption,
        HeadersResponse, HttpBody, HttpHeaders, HttpStatus, ImmediateResponse, ProcessingRequest,
        ProcessingResponse, StreamedBodyResponse, TrailersResponse, body_mutation::Mutation,
        processing_response::Response,
    },
};

/// The protocol's key for the endpoints that were picked, in a header and in the metadata.
pub(super) const DESTINATION: &str = "x-gateway-destination-endpoint";
/// The key for who served.
pub(super) const SERVED: &str = "x-gateway-destination-endpoint-served";
/// The namespace of both in the metadata.
pub(super) const NAMESPACE: &str = "envoy.lb";
/// The namespace and key of the only endpoints that may be picked.
pub(super) const SUBSET_NAMESPACE: &str = "envoy.lb.subset_hint";
pub(super) const SUBSET: &str = "x-gateway-destination-endpoint-subset";

/// The mode in which a body's pieces are sent back (`BodySendMode::FULL_DUPLEX_STREAMED`).
pub(super) const FULL_DUPLEX: i32 = 4;

/// What is set replaces what was there (`HeaderAppendAction::OVERWRITE_IF_EXISTS_OR_ADD`).
const OVERWRITE: i32 = 2;

/// The endpoints that may be picked; `None` where the gateway leaves it open. What is no endpoint is none.
pub(super) fn subset(message: &ProcessingRequest) -> Option<Vec<SocketAddr>> {
    let kind = metadata(message, SUBSET_NAMESPACE, SUBSET)?;
    let parse = |text: &str| text.trim().parse().ok();
    Some(match kind {
        Kind::ListValue(list) => list
            .values
            .iter()
            .filter_map(|value| match &value.kind {
                Some(Kind::StringValue(text)) => parse(text),
                _ => None,
            })
            .collect(),
        Kind::StringValue(text) => text.split(',').filter_map(parse).collect(),
        _ => Vec::new(),
    })
}

/// Who served, as the gateway tells.
pub(super) fn served(message: &ProcessingRequest) -> Option<SocketAddr> {
    match metadata(message, NAMESPACE, SERVED)? {
        Kind::StringValue(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn metadata<'a>(message: &'a ProcessingRequest, namespace: &str, key: &str) -> Option<&'a Kind> {
    message.metadata_context.as_ref()?.filter_metadata.get(namespace)?.fields.get(key)?.kind.as_ref()
}

/// The head of a request; what is no head for us is left out.
pub(super) fn head(sent: &HttpHeaders) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    for header in sent.headers.iter().flat_map(|map| &map.headers) {
        let content = content(header);
        if let Some(pseudo) = header.key.strip_prefix(':') {
            match pseudo {
                "path" => head.uri = Uri::try_from(content).unwrap_or_default(),
                "method" => head.method = Method::from_bytes(content).unwrap_or_default(),
                _ => {}
            }
        } else if let Ok(name) = HeaderName::from_bytes(header.key.as_bytes())
            && let Ok(value) = Content::from_bytes(content)
        {
            head.headers.append(name, value);
        }
    }
    head
}

/// The status code of a response.
pub(super) fn status(sent: &HttpHeaders) -> Option<u16> {
    let status = sent.headers.iter().flat_map(|map| &map.headers).find(|header| header.key == ":status")?;
    std::str::from_utf8(content(status)).ok()?.parse().ok()
}

/// New Envoys fill the raw value, old ones the text.
fn content(header: &HeaderValue) -> &[u8] {
    if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value }
}

/// The endpoints that were picked, in both of the protocol's places.
pub(super) fn picked(endpoints: &[SocketAddr]) -> ProcessingResponse {
    let list = endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mutation = HeaderMutation { set_headers: vec![set(DESTINATION, &list)] };
    let common = CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() };
    let fields = BTreeMap::from([(DESTINATION.to_owned(), Value { kind: Some(Kind::StringValue(list)) })]);
    let inner = Value { kind: Some(Kind::StructValue(Struct { fields })) };
    ProcessingResponse {
        dynamic_metadata: Some(Struct { fields: BTreeMap::from([(NAMESPACE.to_owned(), inner)]) }),
        response: Some(Response::RequestHeaders(HeadersResponse { response: Some(common) })),
    }
}

/// Ends the request: 503 where nobody can take it, 429 where it came at a bad time.
pub(super) fn refused(refusal: &Refusal) -> ProcessingResponse {
    let code = match refusal {
        Refusal::NoEndpoint(_) | Refusal::UnknownRoute(_) => 503,
        Refusal::Overloaded(_) => 429,
        Refusal::Invalid(_) => 400,
    };
    let headers = retry_after(refusal)
        .map(|seconds| HeaderMutation { set_headers: vec![set("retry-after", &seconds.to_string())] });
    answer(Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code }),
        headers,
        body: refusal.to_string().into(),
        details: "foreshift".into(),
    }))
}

/// Nothing is changed.
pub(super) fn going_on(of: fn(HeadersResponse) -> Response) -> ProcessingResponse {
    answer(of(HeadersResponse::default()))
}

/// A piece of a body goes on as it is; in full duplex that means to send it back.
pub(super) fn body(of: fn(BodyResponse) -> Response, piece: HttpBody, duplex: bool) -> ProcessingResponse {
    if !duplex {
        return answer(of(BodyResponse::default()));
    }
    let streamed = StreamedBodyResponse {
        body: piece.body,
        end_of_stream: piece.end_of_stream,
        end_of_stream_without_message: piece.end_of_stream_without_message,
        grpc_message_compressed: piece.grpc_message_compressed,
    };
    let common = CommonResponse {
        body_mutation: Some(BodyMutation { mutation: Some(Mutation::StreamedResponse(streamed)) }),
        ..CommonResponse::default()
    };
    answer(of(BodyResponse { response: Some(common) }))
}

/// Trailers go on as they are.
pub(super) fn trailers(of: fn(TrailersResponse) -> Response) -> ProcessingResponse {
    answer(of(TrailersResponse::default()))
}

fn answer(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

fn set(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        }),
        append_action: OVERWRITE,
    }
}
