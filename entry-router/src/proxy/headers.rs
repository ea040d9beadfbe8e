//! Heads of requests and answers between two connections: what passes, what stays behind, what is added.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TE},
    request,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::snapshot::Protocol;

/// The same at every retry: clients give it, else the router does.
pub(crate) const ENTRY_ID: HeaderName = HeaderName::from_static("x-entry-id");

/// Removes what concerns the client's connection only.
pub(super) fn strip_request(head: &mut request::Parts) {
    strip(&mut head.headers);
    // Whoever reads the body answers it, and that is the router.
    head.headers.remove(EXPECT);
}

/// Whether it is the head of a gRPC call, as a client sent it.
pub(crate) fn is_call(head: &request::Parts) -> bool {
    let is_grpc = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    head.version == Version::HTTP_2 && head.headers.get(CONTENT_TYPE).is_some_and(is_grpc)
}

/// Makes it a head of this protocol, whatever it was before.
pub(crate) fn speak(head: &mut request::Parts, protocol: Protocol) {
    match protocol {
        Protocol::Http1 => speak_http1(head),
        Protocol::Http2 => speak_http2(head),
    }
}

fn speak_http1(head: &mut request::Parts) {
    head.headers.remove(TE);
    if !head.headers.contains_key(HOST)
        && let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
    {
        head.headers.insert(HOST, host);
    }
    if head.uri.authority().is_some() {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    }
    head.version = Version::HTTP_11;
}

/// The host is part of the target there, and trailers are passed on.
fn speak_http2(head: &mut request::Parts) {
    let host = head.headers.remove(HOST);
    let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut target = std::mem::take(&mut head.uri).into_parts();
    target.authority = named.or(target.authority).or(Some(Authority::from_static("localhost")));
    target.scheme = Some(Scheme::HTTP);
    target.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    head.uri = Uri::from_parts(target).unwrap_or_else(|_| Uri::from_static("http://localhost/"));
    head.headers.insert(TE, HeaderValue::from_static("trailers"));
    head.version = Version::HTTP_2;
}

/// Bytes of a head, near enough to hold it against a limit.
pub(super) fn size(head: &request::Parts) -> usize {
    // A colon, a space and the end of the line.
    const AROUND: usize = 4;
    let path = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND).sum::<usize>() + path
}

/// Removes what belongs to one connection, and what `Connection` names.
pub(super) fn strip(headers: &mut HeaderMap) {
    // One look at each header that is there: most heads have none of these.
    let mut leaving: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    if leaving.contains(&CONNECTION) {
        let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        leaving.extend(named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()));
    }
    for name in leaving {
        headers.remove(name);
    }
}

/// Whether it belongs to one connection (RFC 9110, section 7.6.1).
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn what_belongs_to_one_connection_stays_there() {
        let (mut head, ()) = Request::post("http://journal.shop/insert?x=1")
            .version(Version::HTTP_2)
            .header("connection", "close, X-Mine")
            .header("x-mine", "1")
            .header("te", "trailers")
            .header("transfer-encoding", "chunked")
            .header("expect", "100-continue")
            .header("x-entry-id", "7")
            .body(())
            .unwrap()
            .into_parts();
        strip_request(&mut head);
        for _ in 0..2 {
            speak(&mut head, Protocol::Http1);
            let names: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["x-entry-id", "host"]);
            assert_eq!((head.uri.to_string().as_str(), head.version), ("/insert?x=1", Version::HTTP_11));
            assert_eq!(head.headers[HOST], "journal.shop");
            // To another resource after that one failed.
            speak(&mut head, Protocol::Http2);
            assert!(!head.headers.contains_key(HOST));
            assert_eq!(head.headers[TE], "trailers");
            assert_eq!(
                (head.uri.to_string().as_str(), head.version),
                ("http://journal.shop/insert?x=1", Version::HTTP_2)
            );
        }
    }

    #[test]
    fn the_size_of_a_head_is_that_of_its_path_and_its_lines() {
        let (head, ()) =
            Request::get("/a?b").header("x-a", "12").header("x-b", "").body(()).unwrap().into_parts();
        assert_eq!(size(&head), "/a?b".len() + "x-a: 12\r\n".len() + "x-b: \r\n".len());
    }

    #[test]
    fn a_host_that_the_client_names_stays() {
        let (mut head, ()) = Request::get("/").header(HOST, "one").body(()).unwrap().into_parts();
        speak(&mut head, Protocol::Http1);
        assert_eq!(head.headers[HOST], "one");
    }
}
