//! Every write goes through here: only while this replica leads, and never for longer than five seconds.

use std::time::Duration;

use crate::{lease::Leadership, metrics::Metrics};

/// A request to an API server that has silently died would otherwise hang for minutes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The lease went to another replica.
    #[error("another replica leads now")]
    NotLeading,
    /// No answer.
    #[error("the API server did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The API server refused.
    #[error("{}", told(.0))]
    Api(#[source] Box<kube::Error>),
}

/// Sends writes, if this replica leads.
#[derive(Clone)]
pub struct Gate {
    leadership: Leadership,
    metrics: Metrics,
}

impl Gate {
    /// A gate that opens while the lease is held.
    #[must_use]
    pub fn new(leadership: Leadership, metrics: Metrics) -> Self {
        Self { leadership, metrics }
    }

    /// Whether this replica leads at this moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.leadership.is_held()
    }

    /// Makes one call; `object` is its kind in the metrics.
    ///
    /// # Errors
    /// [`WriteError`], each variant.
    pub async fn send<T>(
        &self,
        object: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.is_open() {
            return Err(WriteError::NotLeading);
        }
        let result = match tokio::time::timeout(TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|error| WriteError::Api(Box::new(error))),
            Err(_) => Err(WriteError::Timeout),
        };
        self.metrics.wrote(object, result.as_ref().map_or_else(WriteError::kind, |_| "ok"));
        result
    }
}

impl WriteError {
    /// Whether the API server answered that the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(error) if matches!(error.as_ref(), kube::Error::Api(status) if status.is_not_found()))
    }

    /// A label for metrics: few values, never the text.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::Timeout => "timeout",
            Self::Api(error) => match error.as_ref() {
                kube::Error::Api(status) if status.is_conflict() => "conflict",
                kube::Error::Api(status) if status.is_forbidden() => "forbidden",
                kube::Error::Api(status) if status.is_not_found() => "not_found",
                kube::Error::Api(status) if status.is_invalid() => "invalid",
                kube::Error::Api(_) => "api",
                _ => "transport",
            },
        }
    }
}

fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server refused: {} ({})", status.message, status.code),
        other => format!("the API server was not reached: {other}"),
    }
}
