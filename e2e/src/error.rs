//! What can go wrong, always with a word on what was attempted and, where it helps, on what to do.

use std::{fmt::Display, future::Future, io, path::PathBuf, time::Duration};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whatever keeps the demo from going on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no, or nothing.
    #[error("{what}: {source}")]
    Kube {
        /// What was asked of it.
        what: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// Something did not happen in time.
    #[error("gave up after {} s: {what}", after.as_secs())]
    Timeout {
        /// What was awaited, and its last known state.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program.
    #[error("`{command}` failed: {why}")]
    Command {
        /// The command line.
        command: String,
        /// What it said.
        why: String,
    },
    /// The cluster or the arguments do not fit; the text says what to do.
    #[error("{0}")]
    Unfit(String),
    /// A picture could not be drawn.
    #[error("{}: {why}", path.display())]
    Plot {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Answers of the API server come within seconds or are errors.
const API_TIMEOUT: Duration = Duration::from_secs(15);

/// Awaits a call to the API server, for a bounded time.
pub async fn ask<T>(what: impl Display, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(API_TIMEOUT, call).await {
        Ok(answer) => {
            answer.map_err(|source| Error::Kube { what: what.to_string(), source: Box::new(source) })
        }
        Err(_) => Err(Error::Timeout { what: what.to_string(), after: API_TIMEOUT }),
    }
}

/// Asks `probe` four times a second until it answers `Ok(Ok(value))`; `Ok(Err(state))` says what is still missing.
pub async fn until<T>(
    what: impl Display,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Result<T, String>>,
) -> Result<T> {
    let began = tokio::time::Instant::now();
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(state) if began.elapsed() >= limit => {
                return Err(Error::Timeout { what: format!("{what} ({state})"), after: limit });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}
