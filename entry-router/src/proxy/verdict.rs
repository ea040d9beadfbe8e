//! What an answer tells of the resource that gave it. With gRPC the status of HTTP says nothing: the call's own comes
//! in the head where there is no body, else in the trailers.

use http::{HeaderMap, HeaderName, StatusCode, response};

use crate::assigner::Outcome;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// As the head tells it; with gRPC, [`of_call`] of the trailers may tell more.
pub(crate) fn of(head: &response::Parts) -> Outcome {
    match of_status(head.status) {
        Outcome::Acknowledged => of_call(&head.headers).unwrap_or(Outcome::Acknowledged),
        other => other,
    }
}

/// As the status of a gRPC call tells it, if these headers or trailers have one
/// (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
pub(crate) fn of_call(headers: &HeaderMap) -> Option<Outcome> {
    Some(match call_status(headers)? {
        "0" => Outcome::Acknowledged,
        // Cancelled, not found, no right to: faults of the call.
        "1" | "3" | "5" | "6" | "7" | "9" | "11" | "12" | "16" => Outcome::Refused,
        _ => Outcome::Failed,
    })
}

/// The resource did not take the entry and says so.
pub(super) fn turned_away(head: &response::Parts) -> bool {
    matches!(head.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
        // Unavailable, and out of room.
        || matches!(call_status(&head.headers), Some("14" | "8"))
}

fn of_status(status: StatusCode) -> Outcome {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Outcome::Failed
    } else if status.is_client_error() {
        Outcome::Refused
    } else {
        Outcome::Acknowledged
    }
}

fn call_status(headers: &HeaderMap) -> Option<&str> {
    headers.get(&GRPC_STATUS)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn head(status: u16, call: Option<&str>) -> response::Parts {
        let mut answer = Response::builder().status(status);
        if let Some(call) = call {
            answer = answer.header("grpc-status", call);
        }
        answer.body(()).unwrap().into_parts().0
    }

    #[test]
    fn errors_of_the_entry_say_nothing_of_the_resource() {
        for (status, call, expected) in [
            (200, None, Outcome::Acknowledged),
            (204, None, Outcome::Acknowledged),
            (304, None, Outcome::Acknowledged),
            (400, None, Outcome::Refused),
            (413, None, Outcome::Refused),
            (429, None, Outcome::Failed),
            (500, None, Outcome::Failed),
            (503, None, Outcome::Failed),
            (200, Some("0"), Outcome::Acknowledged),
            (200, Some("3"), Outcome::Refused),
            (200, Some("4"), Outcome::Failed),
            (200, Some("13"), Outcome::Failed),
            (503, Some("0"), Outcome::Failed),
        ] {
            assert_eq!(of(&head(status, call)), expected, "{status} {call:?}");
        }
    }

    #[test]
    fn who_has_no_room_turns_away_in_either_protocol() {
        for (status, call, expected) in [
            (503, None, true),
            (429, None, true),
            (500, None, false),
            (200, None, false),
            (200, Some("14"), true),
            (200, Some("8"), true),
            (200, Some("2"), false),
        ] {
            assert_eq!(turned_away(&head(status, call)), expected, "{status} {call:?}");
        }
    }
}
