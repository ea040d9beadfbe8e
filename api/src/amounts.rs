//! Numbers as people write them in YAML: `"0.75"`, `10%`, `30s`. API conventions forbid floats in a spec.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A decimal number written as a string, for example `"0.75"`; never NaN, never infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Decimal(f64);

/// A share written as `10%`, kept in permille (0 to 1000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

/// A duration written as `30s`, `5m`, `500ms` or `6h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Decimal {
    /// The number; what is not finite becomes zero.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_finite() { value } else { 0.0 })
    }

    /// The number as a float.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number rounded to `digits` decimals, so that a status does not change with every bit of noise.
    #[must_use]
    pub fn rounded(value: f64, digits: i32) -> Self {
        let scale = 10_f64.powi(digits);
        Self::new((value * scale).round() / scale)
    }
}

impl Percent {
    /// From permille, capped at 1000.
    #[must_use]
    pub fn from_permille(permille: u16) -> Self {
        Self(permille.min(1000))
    }

    /// In permille.
    #[must_use]
    pub fn permille(self) -> u16 {
        self.0
    }

    /// As a fraction between 0 and 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl Span {
    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The standard type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(10) {
            write!(f, "{}%", self.0 / 10)
        } else {
            write!(f, "{}.{}%", self.0 / 10, self.0 % 10)
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => write!(f, "0s"),
            m if m.is_multiple_of(3_600_000) => write!(f, "{}h", m / 3_600_000),
            // One minute is `60s`, as printer columns and people name the horizon.
            m if m.is_multiple_of(60_000) && m > 60_000 => write!(f, "{}m", m / 60_000),
            m if m.is_multiple_of(1000) => write!(f, "{}s", m / 1000),
            m => write!(f, "{m}ms"),
        }
    }
}

impl FromStr for Decimal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Self(value)),
            _ => Err(format!("`{text}` is not a decimal number; write for example \"0.75\"")),
        }
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a percentage between 0% and 100%; write for example 10%");
        let number: f64 = text.strip_suffix('%').ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        if !(0.0..=100.0).contains(&number) {
            return Err(wrong());
        }
        Ok(Self((number * 10.0).round() as u16))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration; write for example 30s, 5m or 500ms");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match &text[digits..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(|millis| Self(Duration::from_millis(millis))).ok_or_else(wrong)
    }
}

macro_rules! as_string {
    ($type:ident, $pattern:literal, $max:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "maxLength": $max})
            }
        }
    };
}

as_string!(Decimal, r"^-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?$", 24);
as_string!(Percent, r"^(100(\.0)?|[0-9]{1,2}(\.[0-9])?)%$", 6);
as_string!(Span, r"^[0-9]+(ms|s|m|h)$", 12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_what_they_read() {
        for text in ["0%", "2.5%", "10%", "100%"] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), text);
        }
        for text in ["0s", "500ms", "30s", "60s", "10m", "6h"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["0", "0.75", "-1.5"] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_an_example_of_what_to_write() {
        for text in ["", "10", "101%", "-1%", "x%", "NaN%"] {
            assert!(text.parse::<Percent>().unwrap_err().contains("10%"), "{text}");
        }
        for text in ["", "30", "s", "1d", "-1s", "99999999999999999999s"] {
            assert!(text.parse::<Span>().unwrap_err().contains("30s"), "{text}");
        }
        for text in ["", "NaN", "inf", "a"] {
            assert!(text.parse::<Decimal>().unwrap_err().contains("0.75"), "{text}");
        }
    }
}
