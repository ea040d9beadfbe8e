//! How much work an entry of a class and a size is, before anything is known of where it goes: a straight line over
//! its length, fitted to what entries took.

/// Entries remembered: those of the past fade as new ones come.
const MEMORY: f64 = 2000.0;

/// One entry says no more than this factor of what was predicted, either way.
const LARGEST_RESIDUAL: f64 = 8.0;

/// Fading sums of a regression of seconds over bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prior {
    entries: f64,
    bytes: f64,
    seconds: f64,
    bytes_squared: f64,
    product: f64,
}

impl Prior {
    /// Seconds of one core for an entry of `bytes`, the mean where its length is not known; zero while nothing was
    /// learned.
    pub(super) fn predict(&self, bytes: Option<u64>) -> f64 {
        if self.entries <= 0.0 {
            return 0.0;
        }
        let (mean_bytes, mean) = (self.bytes / self.entries, self.seconds / self.entries);
        let Some(bytes) = bytes else { return mean };
        let slope = self.slope(mean_bytes, mean);
        // No entry is free, and one far from all others is no less work than a tenth of the mean.
        (mean + slope * (bytes as f64 - mean_bytes)).max(mean / 10.0)
    }

    /// Learns that an entry took `seconds`.
    pub(super) fn observe(&mut self, bytes: Option<u64>, seconds: f64) {
        if !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        let expected = self.predict(bytes);
        let seconds = if expected > 0.0 {
            seconds.clamp(expected / LARGEST_RESIDUAL, expected * LARGEST_RESIDUAL)
        } else {
            seconds
        };
        let bytes = bytes
            .map_or_else(|| if self.entries > 0.0 { self.bytes / self.entries } else { 0.0 }, |b| b as f64);
        let keep = 1.0 - 1.0 / MEMORY;
        let add = |sum: &mut f64, value: f64| *sum = *sum * keep + value;
        add(&mut self.entries, 1.0);
        add(&mut self.bytes, bytes);
        add(&mut self.seconds, seconds);
        add(&mut self.bytes_squared, bytes * bytes);
        add(&mut self.product, bytes * seconds);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_the_length_is_found() {
        let mut prior = Prior::default();
        assert_eq!(prior.predict(Some(1)), 0.0);
        for n in 0..500_u64 {
            let bytes = (n % 10) * 1000;
            prior.observe(Some(bytes), 0.001 + 2e-6 * bytes as f64);
        }
        for bytes in [0, 1000, 9000, 50_000] {
            let (predicted, true_work) = (prior.predict(Some(bytes)), 0.001 + 2e-6 * bytes as f64);
            assert!((predicted / true_work - 1.0).abs() < 0.05, "{bytes}: {predicted} against {true_work}");
        }
        assert!((prior.predict(None) - 0.01).abs() < 1e-3);
    }

    #[test]
    fn equal_lengths_have_one_mean_and_one_wild_entry_moves_it_little() {
        let mut prior = Prior::default();
        for _ in 0..200 {
            prior.observe(Some(1024), 0.002);
        }
        prior.observe(Some(1024), 1000.0);
        let predicted = prior.predict(Some(4096));
        assert!((0.002..0.0022).contains(&predicted), "{predicted}");
    }

    #[test]
    fn whatever_is_observed_a_prediction_is_a_number_above_zero() {
        let mut prior = Prior::default();
        for (bytes, seconds) in
            [(Some(u64::MAX), 1.0), (Some(0), f64::NAN), (None, 1e-9), (Some(1), -1.0), (Some(7), 1e9)]
        {
            prior.observe(bytes, seconds);
            for asked in [None, Some(0), Some(1024), Some(u64::MAX)] {
                let predicted = prior.predict(asked);
                assert!(predicted.is_finite() && predicted > 0.0, "{predicted}");
            }
        }
    }
}
