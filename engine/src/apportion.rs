//! Fractions to permille by largest remainder: the parts always sum to exactly 1000.

/// Turns weights into permille. Negative and non-finite weights count as zero; if all are zero the first takes
/// everything. Ties go to the earlier part, so equal input gives equal output.
#[must_use]
pub fn permille(weights: &[f64]) -> Vec<u16> {
    whole(weights, 1000).into_iter().map(|n| n as u16).collect()
}

/// Splits `total` whole units in proportion to `weights` (Hamilton's method).
#[must_use]
pub fn whole(weights: &[f64], total: u32) -> Vec<u32> {
    let clean: Vec<f64> =
        weights.iter().map(|w| if w.is_finite() { w.clamp(0.0, f64::from(u32::MAX)) } else { 0.0 }).collect();
    let sum: f64 = clean.iter().sum();
    let mut parts = vec![0; clean.len()];
    if parts.is_empty() {
        return parts;
    }
    if sum <= 0.0 {
        parts[0] = total;
        return parts;
    }
    let exact: Vec<f64> = clean.iter().map(|w| w / sum * f64::from(total)).collect();
    for (part, exact) in parts.iter_mut().zip(&exact) {
        *part = (exact.floor() as u32).min(total);
    }
    let mut order: Vec<usize> = (0..parts.len()).filter(|&i| clean[i] > 0.0).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let missing = total.saturating_sub(parts.iter().sum());
    for &i in order.iter().cycle().take(missing as usize) {
        parts[i] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_remainder_gets_the_odd_unit() {
        assert_eq!(permille(&[1.0, 1.0, 1.0]), [334, 333, 333]);
        assert_eq!(permille(&[0.5, 0.3, 0.2]), [500, 300, 200]);
        assert_eq!(permille(&[0.0, 0.0]), [1000, 0]);
        assert_eq!(permille(&[]), Vec::<u16>::new());
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole_whatever_the_weights(weights in prop::collection::vec(prop::num::f64::ANY, 1..40)) {
            prop_assert_eq!(permille(&weights).iter().map(|&p| u32::from(p)).sum::<u32>(), 1000);
        }

        #[test]
        fn a_part_is_less_than_one_unit_from_its_exact_value(weights in prop::collection::vec(0.0..10.0f64, 1..20)) {
            let sum: f64 = weights.iter().sum();
            prop_assume!(sum > 1e-6);
            for (part, weight) in permille(&weights).iter().zip(&weights) {
                prop_assert!((f64::from(*part) - weight / sum * 1000.0).abs() < 1.0 + 1e-6);
            }
        }
    }
}
