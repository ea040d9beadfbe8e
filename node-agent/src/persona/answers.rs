//! What is known of the entries that one Service's pods answer on this node.

use std::time::Duration;

use foreshift_api::{Decimal, resource_persona::WorkloadStatus};
use foreshift_engine::persona::{
    affinity::Batch,
    decay::{Decayed, DecayedCount},
};

use crate::entries::Answered;

/// Rates are means that forget half in this time: as calm as the other figures of a Service.
const RATE_HALF_LIFE: Duration = Duration::from_secs(2);

/// Errors are those of the last seconds: what the planner acts on.
const ERROR_HALF_LIFE: Duration = Duration::from_secs(5);

/// As many entries without errors are believed in beforehand.
const ERROR_PRIOR: f64 = 40.0;

/// Without an answer for this long, nothing is known any more.
const SILENT: Duration = Duration::from_secs(15);

/// Entries and errors of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Answers {
    rate: Decayed,
    entries: DecayedCount,
    errors: DecayedCount,
    silent: Option<Duration>,
    /// Why a pod could not be read at the last look.
    pub(super) failure: Option<String>,
}

impl Answers {
    pub(super) fn observe(&mut self, look: &Answered) {
        self.failure.clone_from(&look.failure);
        if look.pods == 0 {
            return;
        }
        self.silent = Some(Duration::ZERO);
        let sum = |of: fn(&Batch) -> f64| -> f64 { look.classes.values().map(of).sum() };
        let (entries, errors) = (sum(|batch| batch.entries), sum(|batch| batch.errors));
        self.rate.observe(entries / look.elapsed.as_secs_f64().max(0.001), look.elapsed, RATE_HALF_LIFE);
        self.entries.observe(entries, look.elapsed, ERROR_HALF_LIFE);
        self.errors.observe(errors, look.elapsed, ERROR_HALF_LIFE);
    }

    /// Time went by, with or without a look.
    pub(super) fn pass(&mut self, elapsed: Duration) {
        match &mut self.silent {
            Some(silent) if *silent + elapsed < SILENT => *silent += elapsed,
            Some(_) => *self = Self { failure: self.failure.take(), ..Self::default() },
            None => {}
        }
    }

    /// Entries a second, as far as they are known.
    pub(super) fn rate(&self) -> Option<f64> {
        let (sum, weight) = self.rate.parts();
        self.silent.map(|_| sum / weight.max(1e-9))
    }

    /// Fills in what is known.
    pub(super) fn tell(&self, row: &mut WorkloadStatus) {
        if let Some(rate) = self.rate() {
            row.entries_per_second = Some(Decimal::rounded(rate, 1));
            let ratio = self.errors.get() / (self.entries.get() + ERROR_PRIOR);
            row.error_ratio = Some(Decimal::rounded(ratio, 3));
        }
    }
}
