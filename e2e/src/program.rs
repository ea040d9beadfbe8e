//! What three nodes see during a recording: shapes drawn over wide ranges, another one for each node and part. Pure:
//! equal seeds give equal programs.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::shape::Curve;

/// Seconds of a part.
pub const PART_SECONDS: f64 = 180.0;

/// Every so many parts one goes through a route, so that some of the load is moved by Foreshift.
const ROUTED_EVERY: u32 = 3;

/// Part of the drawn level that alternates carry of their own while a route adds to it.
const BACKGROUND: f64 = 0.3;

/// Levels in parts of a node's capacity. None is zero: an open-loop sender needs a rate.
const LEAST: f64 = 0.05;
const CALM: Range<f64> = 0.1..0.6;
const BUSY: Range<f64> = 0.7..1.7;

/// Seconds between two points of a curve that bends all the time.
const BEND: f64 = 2.0;

/// The course of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// One level throughout.
    Constant,
    /// Calm, straight up, a while there, down.
    Ramp,
    /// The same within seconds.
    Flash,
    /// Teeth, each of its own length.
    Saw,
    /// A sine.
    Wave,
    /// Levels without a pattern, each for a while.
    Steps,
    /// Sudden peaks that die away.
    Spikes,
    /// A level that wanders.
    Wander,
}

/// Three minutes of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Whether the first course goes through a route with the first node as its lead; otherwise each node gets its own.
    pub routed: bool,
    /// What is offered, node by node.
    pub courses: [Course; 3],
}

/// One load.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// How it was drawn.
    pub shape: Drawn,
    /// The rate.
    pub curve: Curve,
}

impl Drawn {
    /// All shapes, in the order in which nodes and parts take turns.
    pub const ALL: [Self; 8] = [
        Self::Ramp,
        Self::Wander,
        Self::Steps,
        Self::Saw,
        Self::Spikes,
        Self::Wave,
        Self::Flash,
        Self::Constant,
    ];

    /// Lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Ramp => "ramp",
            Self::Flash => "flash",
            Self::Saw => "saw",
            Self::Wave => "wave",
            Self::Steps => "steps",
            Self::Spikes => "spikes",
            Self::Wander => "wander",
        }
    }
}

/// So many parts. Every node meets every shape in eight of them.
#[must_use]
pub fn program(parts: u32, seed: u64) -> Vec<Part> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let part = |number: u32| {
        let routed = number % ROUTED_EVERY == ROUTED_EVERY - 1;
        let courses = [0, 1, 2].map(|node| {
            let shape = Drawn::ALL[(3 * number + node) as usize % Drawn::ALL.len()];
            let factor = if routed && node > 0 { BACKGROUND } else { 1.0 };
            Course { shape, curve: curve(shape, factor, &mut rng) }
        });
        Part { routed, courses }
    };
    (0..parts).map(part).collect()
}

fn curve(shape: Drawn, factor: f64, rng: &mut Pcg64Mcg) -> Curve {
    let (calm, busy) = (rng.random_range(CALM), rng.random_range(BUSY));
    let points = match shape {
        Drawn::Constant => vec![(0.0, rng.random_range(CALM.start..BUSY.end))],
        Drawn::Ramp => {
            let (rise, stay, fall) =
                (rng.random_range(20.0..100.0), rng.random_range(5.0..30.0), rng.random_range(5.0..30.0));
            path(rng.random_range(5.0..20.0), &[(0.0, calm), (rise, busy), (stay, busy), (fall, calm)])
        }
        Drawn::Flash => {
            let (jump, stay, rest) =
                (rng.random_range(1.0..4.0), rng.random_range(15.0..50.0), rng.random_range(15.0..30.0));
            let once = [(0.0, calm), (jump, busy), (stay, busy), (jump, calm), (rest, calm)];
            path(rng.random_range(10.0..30.0), &[&once[..], &once[1..]].concat())
        }
        Drawn::Saw => repeated(rng, |rng| {
            vec![(rng.random_range(15.0..60.0), busy), (rng.random_range(2.0..15.0), calm)]
        }),
        Drawn::Steps => repeated(rng, |rng| {
            let level = rng.random_range(CALM.start..BUSY.end);
            vec![(1.0, level), (rng.random_range(8.0..40.0), level)]
        }),
        Drawn::Spikes => repeated(rng, |rng| {
            let rest = rng.random_range(8.0..40.0);
            vec![(rest, calm), (1.0, rng.random_range(BUSY)), (rng.random_range(3.0..20.0), calm)]
        }),
        Drawn::Wave => {
            let middle = f64::midpoint(calm, busy);
            let (period, phase) = (rng.random_range(20.0..150.0), rng.random_range(0.0..1.0));
            let turn = |t: f64| std::f64::consts::TAU * (t / period + phase);
            bends().map(|t| (t, middle + (middle - calm) * turn(t).sin())).collect()
        }
        Drawn::Wander => {
            let (mut level, stride) = (f64::midpoint(calm, busy), rng.random_range(0.02..0.15));
            let mut wander = |t| {
                level = (level + stride * rng.random_range(-1.0..1.0)).clamp(LEAST, BUSY.end);
                (t, level)
            };
            bends().map(&mut wander).collect()
        }
    };
    Curve::through(cut(points.into_iter().map(|(t, level)| (t, (factor * level).max(LEAST))).collect()))
}

/// Points from seconds between them, the first level held for a while before.
fn path(before: f64, legs: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut at = before;
    let first = legs.first().map_or(LEAST, |leg| leg.1);
    let mut points = vec![(0.0, first)];
    points.extend(legs.iter().map(|&(seconds, level)| {
        at += seconds;
        (at, level)
    }));
    points
}

/// Legs, drawn anew until the part is full.
fn repeated(rng: &mut Pcg64Mcg, draw: impl Fn(&mut Pcg64Mcg) -> Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut legs = vec![(0.0, rng.random_range(CALM))];
    while legs.iter().map(|leg| leg.0).sum::<f64>() < PART_SECONDS {
        legs.extend(draw(rng));
    }
    path(1.0, &legs)
}

fn bends() -> impl Iterator<Item = f64> {
    (0..=(PART_SECONDS / BEND) as u32).map(|bend| f64::from(bend) * BEND)
}

/// The same points within the part, which ends on the last level.
fn cut(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.retain(|&(t, _)| t < PART_SECONDS);
    let last = points.last().map_or(LEAST, |point| point.1);
    points.push((PART_SECONDS, last));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_course_fills_its_part_at_levels_that_a_sender_can_keep() {
        for part in program(48, 7) {
            for Course { shape, curve } in part.courses {
                assert!((curve.seconds() - PART_SECONDS).abs() < 1e-9, "{shape:?}");
                for tenth in 0..=1800 {
                    let level = curve.level(f64::from(tenth) / 10.0);
                    assert!((LEAST..2.0).contains(&level), "{shape:?}: {level} at {tenth}");
                }
                assert!(curve.arrivals(50.0).collect::<Vec<_>>().is_sorted(), "{shape:?}");
            }
        }
    }

    #[test]
    fn every_node_meets_every_shape_and_a_seed_gives_the_same_program_twice() {
        let drawn = program(8, 1);
        for node in 0..3 {
            for shape in Drawn::ALL {
                assert!(drawn.iter().any(|part| part.courses[node].shape == shape), "{node} {shape:?}");
            }
        }
        assert!(drawn == program(8, 1) && drawn != program(8, 2));
        assert_eq!(drawn.iter().filter(|part| part.routed).count(), 2);
    }
}
