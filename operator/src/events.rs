//! Events for people, one a transition.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::warn;

/// The API rejects longer notes.
const LONGEST_NOTE: usize = 1000;

/// An event is not worth waiting for.
const TIMEOUT: Duration = Duration::from_secs(5);

foreshift_api::vocabulary! {
    /// Reasons of the events that the operator emits. `docs/reference/events.md` is generated from them.
    pub enum EventReason {
        /// Shares began to move away from the lead; the note says why.
        Shifting,
        /// Alternates take a part of the entries, and no share moves any more.
        Shifted,
        /// The lead takes every entry again.
        Returned,
        /// Decisions cannot be made as they should, for example because personas are missing.
        Degraded,
        /// No resource has room: entries are spread by the remaining headroom.
        InsufficientCapacity,
        /// The condition `ForecastTrusted` became `False`: a forecaster below the model is in use.
        ForecastDistrusted,
        /// The condition `Programmed` became `False`: the EndpointSlices are not as planned.
        ProgrammingFailed,
        /// The condition `Contested` became `True`: another writer changes what the route owns.
        Contested,
        /// The condition `HookAnswered` became `False`: an endpoint did not answer the warm-up hook.
        HookFailed,
        /// The condition `ShadowReady` became `False`: an alternate failed its shadow entries.
        ShadowNotReady,
        /// The model became champion.
        Promoted,
        /// The model was rejected; another file under the same name gets a new trial.
        Rejected,
        /// The newest files of the model are missing or failed a check.
        Refused,
    }
}

impl EventReason {
    /// Kind of the object that the event is about.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Promoted | Self::Rejected | Self::Refused => "LoadModel",
            Self::Shifting
            | Self::Shifted
            | Self::Returned
            | Self::Degraded
            | Self::InsufficientCapacity
            | Self::ForecastDistrusted
            | Self::ProgrammingFailed
            | Self::Contested
            | Self::HookFailed
            | Self::ShadowNotReady => "JournalRoute",
        }
    }

    /// Whether the event calls for attention.
    #[must_use]
    pub const fn type_(self) -> EventType {
        match self {
            Self::Shifting | Self::Shifted | Self::Returned | Self::Promoted => EventType::Normal,
            Self::Degraded
            | Self::InsufficientCapacity
            | Self::ForecastDistrusted
            | Self::ProgrammingFailed
            | Self::Contested
            | Self::HookFailed
            | Self::ShadowNotReady
            | Self::Rejected
            | Self::Refused => EventType::Warning,
        }
    }

    /// What the operator was doing.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Shifting | Self::Shifted => "Shift",
            Self::Returned => "Return",
            Self::Degraded | Self::InsufficientCapacity => "Plan",
            Self::ForecastDistrusted
            | Self::ProgrammingFailed
            | Self::Contested
            | Self::HookFailed
            | Self::ShadowNotReady => "Reconcile",
            Self::Promoted => "Promote",
            Self::Rejected => "Reject",
            Self::Refused => "Prove",
        }
    }
}

/// An event whose note is cut to what the API accepts.
#[must_use]
pub fn event(reason: EventReason, note: &str) -> Event {
    Event {
        type_: reason.type_(),
        reason: reason.name().into(),
        note: Some(note.chars().take(LONGEST_NOTE).collect()),
        action: reason.action().into(),
        secondary: None,
    }
}

/// Publishes events of one object. A failure is logged, and the event is not published again.
pub async fn publish(recorder: &Recorder, object: &ObjectReference, events: &[Event]) {
    for event in events {
        match tokio::time::timeout(TIMEOUT, recorder.publish(event, object)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, reason = event.reason, "an event was not published"),
            Err(_) => warn!(reason = event.reason, "an event was not published in time"),
        }
    }
}
