//! From the wall clock of Kubernetes to the engine's durations.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The engine's clock: time since 1970.
#[must_use]
pub fn since_epoch(now: Timestamp) -> Duration {
    now.as_duration().unsigned_abs()
}

/// Time from `then` to `now`; zero if `then` lies ahead, as it does under clock skew.
#[must_use]
pub fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
