//! Numbers that a scenario may hold; what cannot be is refused where it stands, so that the error knows its line.

use serde::{Deserialize, Deserializer, de};

/// A finite number, 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Level(f64);

/// A finite number above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Positive(f64);

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Level {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Positive {
    /// One.
    pub const ONE: Self = Self(1.0);

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Ratio {
    /// One half.
    pub const HALF: Self = Self(0.5);

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, |n| n >= 0.0, "a number, 0 or more").map(Self)
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, |n| n > 0.0, "a number above 0").map(Self)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, |n| (0.0..=1.0).contains(&n), "a number from 0 to 1").map(Self)
    }
}

fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    may_be: impl Fn(f64) -> bool,
    expected: &'static str,
) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if number.is_finite() && may_be(number) {
        Ok(number)
    } else {
        Err(de::Error::invalid_value(de::Unexpected::Float(number), &expected))
    }
}
