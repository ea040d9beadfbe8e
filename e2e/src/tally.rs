//! What became of the requests: counts, latencies and the ids that were acknowledged.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::ids::IdSet;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Answered 2xx, this long after it was due.
    Acknowledged(Duration),
    /// Not answered in time.
    TimedOut,
    /// Refused, reset, or answered with an error.
    Refused,
    /// Not sent: too many requests were under way already.
    Overflowed,
}

/// Everything that was counted in a run; shared by the sender, which writes, and the sampler, which reads.
#[derive(Debug)]
pub struct Tally {
    batch: u32,
    inner: Mutex<Inner>,
}

/// Counts of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Due, whether they could be sent or not.
    pub sent: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Not answered in time.
    pub timed_out: u64,
    /// Refused.
    pub refused: u64,
    /// Not sent for too many under way.
    pub overflowed: u64,
}

/// What ended since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Counts of the interval.
    pub counts: Counts,
    /// Median latency of what was acknowledged; `None` when nothing was.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub p99_ms: Option<f64>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Total {
    /// Entries in a request.
    pub batch: u32,
    /// Counts of requests.
    pub counts: Counts,
    /// Latency of the acknowledged requests in microseconds, from the time each was due.
    pub latency: Histogram<u64>,
    /// Numbers of the requests that were acknowledged.
    pub acknowledged: IdSet,
}

#[derive(Debug)]
struct Inner {
    counts: Counts,
    seen: Counts,
    latency: Histogram<u64>,
    recent: Histogram<u64>,
    acknowledged: IdSet,
}

impl Tally {
    /// An empty tally for requests of `batch` entries each.
    #[must_use]
    pub fn new(batch: u32) -> Self {
        let inner = Inner {
            counts: Counts::default(),
            seen: Counts::default(),
            latency: latencies(),
            recent: latencies(),
            acknowledged: IdSet::default(),
        };
        Self { batch, inner: Mutex::new(inner) }
    }

    /// A request was due.
    pub fn sent(&self) {
        self.lock().counts.sent += 1;
    }

    /// Request number `request` ended.
    pub fn ended(&self, request: u64, ending: Ending) {
        let mut inner = self.lock();
        match ending {
            Ending::Acknowledged(latency) => {
                inner.counts.acknowledged += 1;
                inner.acknowledged.insert(request);
                let micros = latency.as_micros() as u64;
                inner.latency.saturating_record(micros);
                inner.recent.saturating_record(micros);
            }
            Ending::TimedOut => inner.counts.timed_out += 1,
            Ending::Refused => inner.counts.refused += 1,
            Ending::Overflowed => inner.counts.overflowed += 1,
        }
    }

    /// What ended since the last call.
    pub fn take_recent(&self) -> Recent {
        let mut inner = self.lock();
        let counts = inner.counts.since(inner.seen);
        inner.seen = inner.counts;
        let recent = Recent {
            counts,
            p50_ms: milliseconds(&inner.recent, 0.5),
            p99_ms: milliseconds(&inner.recent, 0.99),
        };
        inner.recent.reset();
        recent
    }

    /// The result so far.
    pub fn total(&self) -> Total {
        let inner = self.lock();
        Total {
            batch: self.batch,
            counts: inner.counts,
            latency: inner.latency.clone(),
            acknowledged: inner.acknowledged.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; and counts stay counts if something did.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Requests that got no acknowledgement.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.timed_out + self.refused + self.overflowed
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            acknowledged: self.acknowledged - earlier.acknowledged,
            timed_out: self.timed_out - earlier.timed_out,
            refused: self.refused - earlier.refused,
            overflowed: self.overflowed - earlier.overflowed,
        }
    }
}

impl Total {
    /// Whether entry number `number` was acknowledged.
    #[must_use]
    pub fn acknowledges(&self, number: u64) -> bool {
        self.acknowledged.contains(number / u64::from(self.batch))
    }

    /// A quantile of latency in milliseconds; `None` when nothing was acknowledged.
    #[must_use]
    pub fn latency_ms(&self, quantile: f64) -> Option<f64> {
        milliseconds(&self.latency, quantile)
    }
}

/// From a microsecond to a minute, three digits.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("constant bounds are valid")
}

fn milliseconds(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_only_what_ended_in_it() {
        let tally = Tally::new(10);
        for request in 0..3 {
            tally.sent();
            tally.ended(request, Ending::Acknowledged(Duration::from_millis(2)));
        }
        assert_eq!(tally.take_recent().counts.acknowledged, 3);
        tally.sent();
        tally.ended(3, Ending::TimedOut);
        let recent = tally.take_recent();
        assert_eq!((recent.counts.sent, recent.counts.failed(), recent.p50_ms), (1, 1, None));
    }

    #[test]
    fn an_acknowledged_request_acknowledges_all_its_entries_and_no_other() {
        let tally = Tally::new(10);
        tally.ended(1, Ending::Acknowledged(Duration::from_millis(2)));
        tally.ended(2, Ending::Refused);
        let total = tally.total();
        assert!(total.acknowledges(10) && total.acknowledges(19));
        assert!(!total.acknowledges(9) && !total.acknowledges(20));
        assert!((total.latency_ms(0.99).unwrap() - 2.0).abs() < 0.01);
    }
}
