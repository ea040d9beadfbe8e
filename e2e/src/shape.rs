//! How the offered rate moves over time, in parts of the lead's capacity. Pure.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The shapes that the demo knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// 20 s at 40 % of the lead's capacity, 90 s up to 160 %, 40 s there, 40 s down, 10 s at 40 %.
    #[default]
    Ramp,
    /// The same story in 85 s: 5 s at 40 %, 65 s up to 160 %, 5 s there, 7 s down, 3 s at 40 %. Most of the time
    /// goes to the rise: a share grows over its warm-up, so a steeper one would show that and not the forecast.
    ShortRamp,
    /// A jump from 40 % to 140 % within 3 s, a minute there, and down within 3 s.
    Flash,
    /// Three teeth of 60 s: up from 40 % to 140 % in 45 s, down in 15 s.
    Saw,
}

/// A piecewise linear rate: `(seconds, parts of the lead's capacity)`, times rising from zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(Vec<(f64, f64)>);

impl Shape {
    /// The curve of this shape.
    #[must_use]
    pub fn curve(self) -> Curve {
        const CALM: f64 = 0.4;
        Curve(match self {
            Self::Ramp => {
                vec![(0.0, CALM), (20.0, CALM), (110.0, 1.6), (150.0, 1.6), (190.0, CALM), (200.0, CALM)]
            }
            Self::ShortRamp => {
                vec![(0.0, CALM), (5.0, CALM), (70.0, 1.6), (75.0, 1.6), (82.0, CALM), (85.0, CALM)]
            }
            Self::Flash => {
                vec![(0.0, CALM), (30.0, CALM), (33.0, 1.4), (93.0, 1.4), (96.0, CALM), (126.0, CALM)]
            }
            Self::Saw => {
                let teeth = [0.0, 60.0, 120.0].map(|t| [(20.0 + t, CALM), (65.0 + t, 1.4)]);
                let mut points = vec![(0.0, CALM)];
                points.extend(teeth.concat());
                points.extend([(200.0, CALM), (210.0, CALM)]);
                points
            }
        })
    }

    /// As on the command line and in the summary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::ShortRamp => "short-ramp",
            Self::Flash => "flash",
            Self::Saw => "saw",
        }
    }

    /// Whether the rate rises slowly enough for a forecast to see it coming, once.
    #[must_use]
    pub fn is_ramp(self) -> bool {
        matches!(self, Self::Ramp | Self::ShortRamp)
    }

    /// How often the rate rises and falls.
    #[must_use]
    pub fn teeth(self) -> u32 {
        if self == Self::Saw { 3 } else { 1 }
    }
}

impl Curve {
    /// The same level for `seconds`.
    #[must_use]
    pub fn flat(seconds: f64, level: f64) -> Self {
        Self(vec![(0.0, level), (seconds, level)])
    }

    /// From `calm` straight up to `peak`: a shortened ramp for tests. Seconds are those of the three parts.
    #[must_use]
    pub fn rise(calm: (f64, f64), up: f64, peak: (f64, f64)) -> Self {
        Self(vec![(0.0, calm.1), (calm.0, calm.1), (calm.0 + up, peak.1), (calm.0 + up + peak.0, peak.1)])
    }

    /// Straight from point to point; times must rise from zero, and levels be above it.
    #[must_use]
    pub fn through(points: Vec<(f64, f64)>) -> Self {
        Self(points)
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.last().map_or(0.0, |point| point.0)
    }

    /// Parts of the lead's capacity that are offered at `t` seconds; zero outside the curve.
    #[must_use]
    pub fn level(&self, t: f64) -> f64 {
        self.segments()
            .find(|s| (s.from..=s.from + s.seconds).contains(&t))
            .map_or(0.0, |s| s.low + s.slope() * (t - s.from))
    }

    /// When each request of an open-loop sender is due, for a lead that carries `capacity` requests a second.
    /// Evenly spaced under the curve: the n-th is due when the area reaches `(n + 1/2) / capacity`.
    pub fn arrivals(&self, capacity: f64) -> impl Iterator<Item = Duration> + use<> {
        let mut segments = self.segments().collect::<Vec<_>>().into_iter();
        let (mut segment, mut passed) = (segments.next(), 0.0);
        (0_u64..).map_while(move |n| {
            let due = (n as f64 + 0.5) / capacity;
            while let Some(s) = &segment
                && passed + s.area() < due
            {
                passed += s.area();
                segment = segments.next();
            }
            segment.as_ref().map(|s| Duration::from_secs_f64(s.from + s.time_of(due - passed)))
        })
    }

    /// The part of all entries that lies above `level`: the least that must go elsewhere to keep the lead there.
    #[must_use]
    pub fn share_above(&self, level: f64) -> f64 {
        const STEP: f64 = 0.01;
        let levels = (0..(self.seconds() / STEP) as u32).map(|i| self.level((f64::from(i) + 0.5) * STEP));
        let (above, all) = levels.fold((0.0, 0.0), |(above, all), l| (above + (l - level).max(0.0), all + l));
        if all > 0.0 { above / all } else { 0.0 }
    }

    fn segments(&self) -> impl Iterator<Item = Segment> {
        self.0.windows(2).map(|pair| Segment {
            from: pair[0].0,
            seconds: pair[1].0 - pair[0].0,
            low: pair[0].1,
            high: pair[1].1,
        })
    }
}

struct Segment {
    from: f64,
    seconds: f64,
    low: f64,
    high: f64,
}

impl Segment {
    fn slope(&self) -> f64 {
        (self.high - self.low) / self.seconds
    }

    fn area(&self) -> f64 {
        f64::midpoint(self.low, self.high) * self.seconds
    }

    /// Seconds into the segment until `area` has passed: the root of `low x + slope x^2 / 2 = area`, written so
    /// that a flat segment needs no case of its own.
    fn time_of(&self, area: f64) -> f64 {
        2.0 * area / (self.low + (self.low * self.low + 2.0 * self.slope() * area).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_curve_spaces_requests_evenly() {
        let due: Vec<_> = Curve::flat(2.0, 0.5).arrivals(4.0).map(|d| d.as_secs_f64()).collect();
        assert_eq!(due, [0.25, 0.75, 1.25, 1.75]);
    }

    #[test]
    fn the_number_of_requests_is_the_area_under_the_curve() {
        let areas =
            [(Shape::Ramp, 206.0), (Shape::ShortRamp, 83.2), (Shape::Flash, 113.4), (Shape::Saw, 174.0)];
        for (shape, area) in areas {
            let sent = shape.curve().arrivals(100.0).count();
            assert!((sent as f64 - area * 100.0).abs() <= 1.0, "{shape:?}: {sent}");
        }
    }

    #[test]
    fn requests_follow_the_ramp_and_never_go_back_in_time() {
        let due: Vec<_> = Shape::Ramp.curve().arrivals(100.0).collect();
        assert!(due.is_sorted());
        let in_second = |s: u64| due.iter().filter(|d| d.as_secs() == s).count();
        assert_eq!(in_second(5), 40);
        assert!(in_second(65).abs_diff(100) <= 1);
        assert_eq!(in_second(130), 160);
    }

    #[test]
    fn the_short_ramp_tells_the_story_of_the_ramp_in_less_time() {
        let (full, short) = (Shape::Ramp.curve(), Shape::ShortRamp.curve());
        assert_eq!((full.seconds(), short.seconds()), (200.0, 85.0));
        for (in_full, in_short) in [(0.0, 0.0), (65.0, 37.5), (130.0, 72.5), (170.0, 78.5), (200.0, 85.0)] {
            let (there, here) = (full.level(in_full), short.level(in_short));
            assert!((there - here).abs() < 1e-9, "{there} at {in_full} s, {here} at {in_short} s");
        }
    }

    #[test]
    fn a_shape_has_one_name_everywhere() {
        for shape in Shape::value_variants() {
            assert_eq!(serde_json::to_value(shape).unwrap(), shape.name());
            assert_eq!(Shape::from_str(shape.name(), false), Ok(*shape));
        }
    }

    #[test]
    fn what_lies_above_the_objective_must_go_elsewhere() {
        assert!(Curve::flat(10.0, 0.5).share_above(0.75).abs() < 1e-9);
        assert!((Curve::flat(10.0, 1.5).share_above(0.75) - 0.5).abs() < 1e-9);
        // A triangle over 0.75: 0.85 high, 63.75 s up, 40 s there, 28.3 s down; of 206 in all.
        let above = (0.85 * 63.75 / 2.0 + 0.85 * 40.0 + 0.85 * 28.333 / 2.0) / 206.0;
        assert!((Shape::Ramp.curve().share_above(0.75) - above).abs() < 1e-3);
        // The same over 46.0 s, 5 s and 5.0 s; of 83.2 in all.
        let above = (0.85 * 46.042 / 2.0 + 0.85 * 5.0 + 0.85 * 4.958 / 2.0) / 83.2;
        assert!((Shape::ShortRamp.curve().share_above(0.75) - above).abs() < 1e-3);
    }
}
