//! How much work an entry of a class and a size is, before anything is known of where it goes: a straight line over
//! its length, fitted to what entries took. A batch is the sum of its entries, each of their mean length; how many
//! they are is guessed from its length as long as nobody has counted them.

/// Requests remembered: those of the past fade as new ones come.
const MEMORY: f64 = 2000.0;

/// One request says no more than this factor of what was predicted, either way.
const LARGEST_RESIDUAL: f64 = 8.0;

/// How much one request brings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    /// Length of its body, where that is known.
    pub(super) bytes: Option<u64>,
    pub(super) entries: Entries,
}

/// The entries of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entries {
    One,
    /// A batch that has not passed yet.
    Uncounted,
    /// A batch of so many.
    Counted(u64),
}

/// Fading sums of a regression of seconds over bytes, both of single entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prior {
    entries: f64,
    bytes: f64,
    seconds: f64,
    bytes_squared: f64,
    product: f64,
    batches: Batches,
}

/// Fading sums over batches that were counted.
#[derive(Clone, Copy, Debug, Default)]
struct Batches {
    count: f64,
    entries: f64,
    bytes: f64,
}

impl Prior {
    /// Seconds of one core, the mean where the length is not known; zero while nothing was learned.
    pub(super) fn predict(&self, size: Size) -> f64 {
        if self.entries <= 0.0 {
            return 0.0;
        }
        let entries = self.batches.entries(size);
        let (mean_bytes, mean) = (self.bytes / self.entries, self.seconds / self.entries);
        let Some(bytes) = size.bytes else { return entries * mean };
        let slope = self.slope(mean_bytes, mean);
        // No entry is free, and one far from all others is no less work than a tenth of the mean.
        (entries * mean + slope * (bytes as f64 - entries * mean_bytes)).max(entries * mean / 10.0)
    }

    /// Learns that it took `seconds`.
    pub(super) fn observe(&mut self, size: Size, seconds: f64) {
        if !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        let expected = self.predict(size);
        let seconds = if expected > 0.0 {
            seconds.clamp(expected / LARGEST_RESIDUAL, expected * LARGEST_RESIDUAL)
        } else {
            seconds
        };
        let entries = self.batches.entries(size);
        let mean_bytes = if self.entries > 0.0 { self.bytes / self.entries } else { 0.0 };
        let bytes = size.bytes.map_or(entries * mean_bytes, |bytes| bytes as f64);
        let (each, keep) = (bytes / entries, 1.0 - 1.0 / MEMORY);
        let add = |sum: &mut f64, value: f64| *sum = *sum * keep + value;
        add(&mut self.entries, entries);
        add(&mut self.bytes, bytes);
        add(&mut self.seconds, seconds);
        add(&mut self.bytes_squared, bytes * each);
        add(&mut self.product, each * seconds);
        if let (Entries::Counted(_), Some(bytes)) = (size.entries, size.bytes) {
            add(&mut self.batches.count, 1.0);
            add(&mut self.batches.entries, entries);
            add(&mut self.batches.bytes, bytes as f64);
        }
    }

    /// Seconds a byte: never less than none, and no more than all of the mean's work being the bytes'.
    fn slope(&self, mean_bytes: f64, mean: f64) -> f64 {
        let variance = self.bytes_squared / self.entries - mean_bytes * mean_bytes;
        let covariance = self.product / self.entries - mean_bytes * mean;
        // Lengths that differ by less than a percent say nothing of what a byte costs.
        if variance <= 1e-4 * mean_bytes * mean_bytes || mean_bytes <= 0.0 {
            return 0.0;
        }
        (covariance / variance).clamp(0.0, mean / mean_bytes)
    }
}

impl Batches {
    /// At least one. A batch that nobody has counted holds as many for its length as others did.
    fn entries(&self, size: Size) -> f64 {
        match (size.entries, size.bytes) {
            (Entries::One, _) => 1.0,
            (Entries::Counted(entries), _) => entries.max(1) as f64,
            (Entries::Uncounted, _) if self.entries <= 0.0 => 1.0,
            (Entries::Uncounted, None) => (self.entries / self.count).max(1.0),
            (Entries::Uncounted, Some(bytes)) => (bytes as f64 * self.entries / self.bytes.max(1.0)).max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: u64) -> Size {
        Size { bytes: Some(bytes), entries: Entries::One }
    }

    fn batch(bytes: u64, entries: Entries) -> Size {
        Size { bytes: Some(bytes), entries }
    }

    const UNKNOWN: Size = Size { bytes: None, entries: Entries::One };

    fn near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 0.05, "{value} is not {expected}");
    }

    #[test]
    fn a_line_over_the_length_is_found() {
        let mut prior = Prior::default();
        assert_eq!(prior.predict(one(1)), 0.0);
        for n in 0..500_u64 {
            let bytes = (n % 10) * 1000;
            prior.observe(one(bytes), 0.001 + 2e-6 * bytes as f64);
        }
        for bytes in [0, 1000, 9000, 50_000] {
            near(prior.predict(one(bytes)), 0.001 + 2e-6 * bytes as f64);
        }
        near(prior.predict(UNKNOWN), 0.01);
    }

    #[test]
    fn equal_lengths_have_one_mean_and_one_wild_entry_moves_it_little() {
        let mut prior = Prior::default();
        for _ in 0..200 {
            prior.observe(one(1024), 0.002);
        }
        prior.observe(one(1024), 1000.0);
        let predicted = prior.predict(one(4096));
        assert!((0.002..0.0022).contains(&predicted), "{predicted}");
    }

    #[test]
    fn a_batch_is_the_sum_of_its_entries_whether_they_were_counted_or_are_guessed() {
        let mut prior = Prior::default();
        let work = |entries: u64, bytes: u64| 0.001 * entries as f64 + 1e-6 * bytes as f64;
        for n in 0..1000_u64 {
            let (entries, each) = (1 + n % 50, 100 * (1 + n % 7));
            let bytes = entries * each;
            prior.observe(batch(bytes, Entries::Counted(entries)), work(entries, bytes));
        }
        near(prior.predict(batch(20_000, Entries::Counted(10))), work(10, 20_000));
        near(prior.predict(batch(4000, Entries::Counted(40))), work(40, 4000));
        near(prior.predict(one(300)), work(1, 300));
        // Four hundred bytes an entry are the mean.
        near(prior.predict(batch(40_000, Entries::Uncounted)), work(100, 40_000));
        near(prior.predict(Size { bytes: None, entries: Entries::Uncounted }), work(25, 25 * 400));
    }

    #[test]
    fn whatever_is_observed_a_prediction_is_a_number_above_zero() {
        let mut prior = Prior::default();
        let sizes = [None, Some(0), Some(1), Some(1024), Some(u64::MAX)].map(|bytes| {
            [Entries::One, Entries::Uncounted, Entries::Counted(0), Entries::Counted(u64::MAX)]
                .map(|entries| Size { bytes, entries })
        });
        for size in sizes.as_flattened() {
            for seconds in [1.0, f64::NAN, 1e-9, -1.0, 1e9] {
                prior.observe(*size, seconds);
                for asked in sizes.as_flattened() {
                    let predicted = prior.predict(*asked);
                    assert!(predicted.is_finite() && predicted > 0.0, "{size:?} {seconds} {predicted}");
                }
            }
        }
    }
}
