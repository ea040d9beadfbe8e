//! How something moves over time: demand in parts of the lead's capacity, an antagonist in parts of a node's.

use std::f64::consts::TAU;

use foreshift_api::Span;
use serde::Deserialize;

use crate::scenario::amount::{Level, Ratio};

/// A curve over the time of the scenario.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Shape {
    /// Always the same.
    Constant {
        /// The level.
        level: Level,
    },
    /// A straight line from one level to another; flat before and after.
    Ramp {
        /// Level at the beginning.
        from: Level,
        /// Level at the end.
        to: Level,
        /// When it begins to rise.
        #[serde(default)]
        after: Span,
        /// How long it rises.
        over: Span,
    },
    /// A sudden peak.
    Flash {
        /// Level before and after.
        base: Level,
        /// Level at the peak.
        peak: Level,
        /// When it comes.
        after: Span,
        /// How long it stays.
        lasts: Span,
        /// How long it takes to come and to go.
        #[serde(default)]
        within: Span,
    },
    /// High and low in turn, high first.
    Square {
        /// The low level.
        low: Level,
        /// The high level.
        high: Level,
        /// From one rise to the next.
        period: Span,
        /// Part of the period that is high.
        #[serde(default = "half")]
        duty: Ratio,
        /// When the first rise comes.
        #[serde(default)]
        after: Span,
    },
    /// A wave that begins at its lowest.
    Sine {
        /// The lowest level.
        low: Level,
        /// The highest level.
        high: Level,
        /// From one low to the next.
        period: Span,
    },
    /// Straight lines between points; flat before the first and after the last.
    Points(Vec<Point>),
}

/// A corner of a [`Shape::Points`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// When.
    pub at: Span,
    /// Which level then.
    pub level: Level,
}

impl Shape {
    /// The level at `t` seconds of the scenario; what lies before zero is as at zero.
    #[must_use]
    pub fn at(&self, t: f64) -> f64 {
        let t = t.max(0.0);
        match self {
            Self::Constant { level } => level.get(),
            Self::Ramp { from, to, after, over } => {
                let part = progress(t - seconds(*after), seconds(*over));
                from.get() + (to.get() - from.get()) * part
            }
            Self::Flash { base, peak, after, lasts, within } => {
                let up = progress(t - seconds(*after), seconds(*within));
                let down = progress(t - seconds(*after) - seconds(*lasts), seconds(*within));
                base.get() + (peak.get() - base.get()) * (up - down)
            }
            Self::Square { low, high, period, duty, after } => {
                let t = t - seconds(*after);
                let period = seconds(*period).max(1e-3);
                if t >= 0.0 && t.rem_euclid(period) < duty.get() * period { high.get() } else { low.get() }
            }
            Self::Sine { low, high, period } => {
                let wave = 0.5 - 0.5 * (TAU * t / seconds(*period).max(1e-3)).cos();
                low.get() + (high.get() - low.get()) * wave
            }
            Self::Points(points) => between(points, t),
        }
    }

    /// Whether it is the same for ever.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Constant { .. })
    }
}

fn half() -> Ratio {
    Ratio::HALF
}

fn seconds(span: Span) -> f64 {
    span.get().as_secs_f64()
}

/// How much of a move that takes `over` is done after `elapsed`.
fn progress(elapsed: f64, over: f64) -> f64 {
    if elapsed < 0.0 {
        0.0
    } else if over <= 0.0 {
        1.0
    } else {
        (elapsed / over).min(1.0)
    }
}

fn between(points: &[Point], t: f64) -> f64 {
    let after = points.partition_point(|point| seconds(point.at) <= t);
    match (after.checked_sub(1).and_then(|i| points.get(i)), points.get(after)) {
        (Some(a), Some(b)) => {
            let part = progress(t - seconds(a.at), seconds(b.at) - seconds(a.at));
            a.level.get() + (b.level.get() - a.level.get()) * part
        }
        (Some(only), None) | (None, Some(only)) => only.level.get(),
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        #[serde(with = "serde_yaml::with::singleton_map")]
        shape: Shape,
    }

    fn shape(yaml: &str) -> Shape {
        serde_yaml::from_str::<Holder>(&format!("shape: {yaml}")).unwrap().shape
    }

    #[test]
    fn each_shape_is_what_its_words_say() {
        let cases: [(&str, &[(f64, f64)]); 6] = [
            ("{constant: {level: 0.4}}", &[(0.0, 0.4), (1e6, 0.4)]),
            (
                "{ramp: {from: 0.4, to: 1.0, after: 10s, over: 60s}}",
                &[(0.0, 0.4), (10.0, 0.4), (40.0, 0.7), (70.0, 1.0), (999.0, 1.0)],
            ),
            (
                "{flash: {base: 0.4, peak: 1.4, after: 10s, lasts: 20s, within: 2s}}",
                &[(9.0, 0.4), (11.0, 0.9), (12.0, 1.4), (29.0, 1.4), (31.0, 0.9), (33.0, 0.4)],
            ),
            (
                "{square: {low: 0.0, high: 0.6, period: 20s}}",
                &[(0.0, 0.6), (9.9, 0.6), (10.0, 0.0), (19.9, 0.0), (20.0, 0.6)],
            ),
            ("{sine: {low: 0.2, high: 1.0, period: 100s}}", &[(0.0, 0.2), (50.0, 1.0), (100.0, 0.2)]),
            (
                "{points: [{at: 10s, level: 1.0}, {at: 20s, level: 2.0}]}",
                &[(0.0, 1.0), (15.0, 1.5), (30.0, 2.0)],
            ),
        ];
        for (yaml, points) in cases {
            for &(t, level) in points {
                assert!((shape(yaml).at(t) - level).abs() < 1e-9, "{yaml} at {t}");
            }
        }
    }
}
