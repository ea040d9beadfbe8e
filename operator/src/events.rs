//! Events for people, one a transition.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::warn;

/// The API refuses longer notes.
const LONGEST_NOTE: usize = 1000;

/// An event is not worth waiting for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An event whose note is cut to what the API takes.
#[must_use]
pub fn event(type_: EventType, reason: &str, action: &str, note: &str) -> Event {
    let note: String = note.chars().take(LONGEST_NOTE).collect();
    Event { type_, reason: reason.into(), note: Some(note), action: action.into(), secondary: None }
}

/// Publishes events of one object; what fails is logged and forgotten.
pub async fn publish(recorder: &Recorder, object: &ObjectReference, events: &[Event]) {
    for event in events {
        match tokio::time::timeout(TIMEOUT, recorder.publish(event, object)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, reason = event.reason, "an event was not published"),
            Err(_) => warn!(reason = event.reason, "an event was not published in time"),
        }
    }
}
