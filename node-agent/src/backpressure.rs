//! What the API server asks of its clients when it has too much to do: `Retry-After`.
//!
//! The layer sits below everything that calls the server. Nothing passes it before the time that the server asked for; who
//! has newer things to say by then asks [`Backpressure::until`] and waits by itself. The client's own retries must be off:
//! they would send once more what is old by then.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode, header};
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service};

/// A server that asks for more than this is asked again then: nobody else would notice that it had meant less.
pub const LONGEST: Duration = Duration::from_mins(10);

/// The time before which the server wants no call; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Backpressure(Arc<Mutex<Option<Instant>>>);

/// A service whose calls wait as long as its server asks for.
#[derive(Clone, Debug)]
pub struct Heeding<S> {
    inner: S,
    backpressure: Backpressure,
}

impl Backpressure {
    /// When the server may be called again; `None` where that is now.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    async fn passed(&self) {
        while let Some(until) = self.until() {
            sleep_until(until).await;
        }
    }

    fn heed<B>(&self, response: &Response<B>) {
        let Some(wait) = asked_for(response) else { return };
        let until = Instant::now() + wait;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = (*kept).max(Some(until));
    }
}

/// How long a server that has too much to do wants to be left alone. Kubernetes writes seconds, never a date.
fn asked_for<B>(response: &Response<B>) -> Option<Duration> {
    let status = response.status();
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

impl<S> Layer<S> for Backpressure {
    type Service = Heeding<S>;

    fn layer(&self, inner: S) -> Heeding<S> {
        Heeding { inner, backpressure: self.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Heeding<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // Sends nothing before it is polled.
        let call = self.inner.call(request);
        let backpressure = self.backpressure.clone();
        async move {
            backpressure.passed().await;
            let response = call.await?;
            backpressure.heed(&response);
            Ok(response)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(code: u16, retry_after: &str) -> Option<u64> {
        let response = Response::builder().status(code).header(header::RETRY_AFTER, retry_after);
        asked_for(&response.body(()).unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_of_a_busy_server_are_heeded_within_a_bound_and_nothing_else_is() {
        let cases = [
            (429, "7", Some(7)),
            (503, " 1 ", Some(1)),
            (429, "99999999999", Some(600)),
            (429, "18446744073709551616", None),
            (429, "Fri, 31 Dec 1999 23:59:59 GMT", None),
            (429, "-1", None),
            (429, "", None),
            (200, "7", None),
            (403, "7", None),
        ];
        for (code, text, expected) in cases {
            assert_eq!(asked(code, text), expected, "{code} {text}");
        }
        assert_eq!(asked_for(&Response::builder().status(429).body(()).unwrap()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_asked_for_counts_for_all_who_share_it() {
        let backpressure = Backpressure::default();
        let shared = backpressure.clone();
        let busy = |seconds: &str| {
            let response = Response::builder().status(429).header(header::RETRY_AFTER, seconds);
            response.body(()).unwrap()
        };
        let began = Instant::now();
        backpressure.passed().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        backpressure.heed(&busy("9"));
        backpressure.heed(&busy("2"));
        shared.passed().await;
        assert_eq!(began.elapsed().as_secs(), 9);
        assert_eq!(shared.until(), None);
    }
}
