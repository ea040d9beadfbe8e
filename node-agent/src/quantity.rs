//! Amounts as Kubernetes writes them: `16284748Ki`, `2Gi`, `129e6`, `128974848000m`.

/// Suffixes and what they stand for. `m` and `E` are the least and the most of the decimal ones.
const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The amount, zero or more; `None` for what is none.
pub(crate) fn bytes(text: &str) -> Option<f64> {
    let text = text.trim();
    let suffixed = || {
        let (digits, unit) =
            SUFFIXES.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
        Some(digits.parse::<f64>().ok()? * unit)
    };
    // An exponent first: the `E` in `12E2` is none of the suffixes.
    let amount = text.parse::<f64>().ok().or_else(suffixed)?;
    (amount.is_finite() && amount >= 0.0).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_amount_is_understood_and_nothing_else() {
        let cases = [
            ("16284748Ki", Some(16_284_748.0 * 1024.0)),
            ("2Gi", Some(2_147_483_648.0)),
            ("1.5Gi", Some(1_610_612_736.0)),
            ("1000000", Some(1e6)),
            ("129e6", Some(129e6)),
            ("12E2", Some(1200.0)),
            ("12E", Some(12e18)),
            ("128974848000m", Some(128_974_848.0)),
            ("-1Gi", None),
            ("NaN", None),
            ("inf", None),
            ("Gi", None),
            ("plenty", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
