//! Empirical quantiles of what a forecast missed lately, head by head.

use std::collections::VecDeque;

use crate::{HEADS, LEVELS, push_bounded};

/// Misses kept per head: some three minutes at a step of two seconds.
const REMEMBERED: usize = 96;

/// Misses from which an empirical quantile is taken; with fewer the 90th percentile is one or two of them.
const ENOUGH: usize = 24;

/// Rings of recent misses, each also in order of size, so that a quantile costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Margins {
    rings: [VecDeque<f32>; HEADS],
    sorted: [Vec<f32>; HEADS],
}

impl Margins {
    /// Takes what came minus what was expected, head by head.
    pub(crate) fn learn(&mut self, misses: [f64; HEADS]) {
        for ((ring, sorted), miss) in self.rings.iter_mut().zip(&mut self.sorted).zip(misses) {
            let place = |sorted: &[f32], miss: f32| sorted.partition_point(|&other| other < miss);
            if let Some(old) = push_bounded(ring, REMEMBERED, miss as f32) {
                sorted.remove(place(sorted, old).min(sorted.len() - 1));
            }
            sorted.insert(place(sorted, miss as f32), miss as f32);
        }
    }

    /// What to add to a point forecast for each quantile; `None` while too few misses are known.
    pub(crate) fn of(&self, head: usize) -> Option<[f64; LEVELS.len()]> {
        let sorted = &self.sorted[head];
        (sorted.len() >= ENOUGH).then(|| LEVELS.map(|level| quantile(sorted, level)))
    }
}

/// Empirical quantile of a sorted, non-empty sample, between neighbours in proportion.
pub(crate) fn quantile(sorted: &[f32], level: f64) -> f64 {
    let position = level * (sorted.len() - 1) as f64;
    let below = position.floor();
    let at = |index: usize| f64::from(sorted[index.min(sorted.len() - 1)]);
    let (low, high) = (at(below as usize), at(below as usize + 1));
    low + (high - low) * (position - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_follows_the_ring() {
        let mut margins = Margins::default();
        for step in 0_u32..500 {
            margins.learn([f64::from(step * 617 % 101) / 8.0; HEADS]);
            let mut expected: Vec<f32> = margins.rings[2].iter().copied().collect();
            expected.sort_unstable_by(f32::total_cmp);
            assert_eq!(margins.sorted[2], expected);
        }
        assert!(margins.of(0).is_some_and(|[p50, p90, p99]| p50 < p90 && p90 < p99));
    }
}
