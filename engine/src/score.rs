//! The score of an alternate: `affinity x w + stability x w + cost x w`, over the sum of the weights.

use crate::{policy::Weights, resource::Scores};

/// Weighted mean of the three scores, 0 to 100. Weights that sum to nothing count as equal.
#[must_use]
pub fn calculate_score(scores: &Scores, weights: &Weights) -> f64 {
    let weigh = |w: f64| if w.is_finite() { w.max(0.0) } else { 0.0 };
    let parts = [
        (scores.affinity, weigh(weights.affinity)),
        (scores.stability, weigh(weights.stability)),
        (scores.cost, weigh(weights.cost)),
    ];
    let sum: f64 = parts.iter().map(|p| p.1).sum();
    let mean = |parts: &[(f64, f64)], sum: f64| parts.iter().map(|(score, w)| score * w).sum::<f64>() / sum;
    let score = if sum > 0.0 { mean(&parts, sum) } else { mean(&parts.map(|(s, _)| (s, 1.0)), 3.0) };
    if score.is_finite() { score.clamp(0.0, 100.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ratios_of_the_weights_matter() {
        let scores = Scores { affinity: 80.0, stability: 60.0, cost: 20.0 };
        let score = |a, s, c| calculate_score(&scores, &Weights { affinity: a, stability: s, cost: c });
        assert!((score(50.0, 30.0, 20.0) - 62.0).abs() < 1e-9);
        assert!((score(5.0, 3.0, 2.0) - 62.0).abs() < 1e-9);
        assert!((score(0.0, 0.0, 1.0) - 20.0).abs() < 1e-9);
        assert!((score(0.0, 0.0, 0.0) - 160.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_that_are_none_give_a_score_all_the_same() {
        let scores = Scores { affinity: f64::NAN, stability: 1e300, cost: -5.0 };
        let score = calculate_score(&scores, &Weights { affinity: 1.0, stability: 1.0, cost: f64::NAN });
        assert!((0.0..=100.0).contains(&score));
    }
}
