//! Seeded episodes of offered load on a node that nears its limit: what public traces do not hold.
//!
//! Each is a smooth mean of some shape, measured with noise and cut off by the limit. Slopes, levels, periods and
//! noise are drawn over one to two orders of magnitude, so that steps of 2 s and of 15 s look the same; every tooth
//! and wave has its own length, because a cycle that fits the window would be learned by heart.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::noise::{Noise, log_uniform};
use crate::windows::Series;

/// Steps of an episode.
pub const LENGTH: usize = 192;

/// Range of mean loads.
const LEVELS: std::ops::Range<f64> = 0.05..2.0;

/// The course of the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One level throughout.
    Constant,
    /// Level, straight way to another level, level, and so on.
    Ramp,
    /// Level, another level within three steps, and so on.
    Flash,
    /// Teeth: a ramp up and a fall.
    Saw,
    /// A ramp that is shed in stages, as when shares are moved.
    Shed,
    /// Spikes that decay.
    Burst,
    /// A wave with an overtone.
    Diurnal,
    /// A level that wanders.
    Drift,
}

/// A series whose mean is known.
#[derive(Clone, Debug)]
pub struct Episode {
    /// The course of the mean.
    pub shape: Shape,
    /// The mean, before noise and limit.
    pub mean: Vec<f64>,
    /// What is observed.
    pub loads: Vec<f64>,
}

/// How the node's limit shows in the observed load.
#[derive(Clone, Copy, Debug)]
enum Limit {
    /// All demand is seen.
    Unseen,
    /// Nothing is seen above the value.
    Hard(f64),
    /// Above 1 only a share of the demand is seen, up to twice the capacity.
    Soft(f64),
}

impl Shape {
    /// All shapes, in the order that [`episodes`] takes turns.
    pub const ALL: [Self; 8] = [
        Self::Constant,
        Self::Ramp,
        Self::Flash,
        Self::Saw,
        Self::Shed,
        Self::Burst,
        Self::Diurnal,
        Self::Drift,
    ];

    /// Lower-case name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Ramp => "ramp",
            Self::Flash => "flash",
            Self::Saw => "saw",
            Self::Shed => "shed",
            Self::Burst => "burst",
            Self::Diurnal => "diurnal",
            Self::Drift => "drift",
        }
    }

    fn mean(self, rng: &mut Pcg64Mcg) -> Vec<f64> {
        let mut path = Path::from(rng.random_range(LEVELS));
        // An idle node comes first now and then: its first entries are a jump from nothing.
        if self != Self::Constant && rng.random_bool(0.15) {
            path = Path::from(0.0);
            path.hold(steps(4.0..40.0, rng));
            path.go(rng.random_range(LEVELS), 1);
        }
        while path.0.len() < LENGTH {
            match self {
                Self::Constant => path.hold(LENGTH),
                Self::Ramp => {
                    path.hold(steps(3.0..80.0, rng));
                    path.go(rng.random_range(LEVELS), steps(5.0..160.0, rng));
                }
                Self::Flash => {
                    path.hold(steps(6.0..100.0, rng));
                    path.go(rng.random_range(LEVELS), rng.random_range(1..=3));
                }
                Self::Saw => path.teeth(rng),
                Self::Shed => path.shed(rng),
                Self::Burst => path.spikes(rng),
                Self::Diurnal => path.waves(rng),
                Self::Drift => path.wander(rng),
            }
        }
        path.0.truncate(LENGTH);
        path.0
    }
}

impl Episode {
    /// An episode of the given shape.
    #[must_use]
    pub fn of(shape: Shape, rng: &mut Pcg64Mcg) -> Self {
        let mean = shape.mean(rng);
        let limit = Limit::any(rng);
        let loads = Noise::any(rng).around(&mean, rng).iter().map(|&load| limit.seen(load)).collect();
        Self { shape, mean, loads }
    }

    /// The observed loads as a series to learn from.
    #[must_use]
    pub fn into_series(self) -> Series {
        Series::new(self.shape.name(), self.loads)
    }
}

/// So many episodes, shape by shape in turn; equal seeds give equal episodes.
pub fn episodes(count: usize, seed: u64) -> impl Iterator<Item = Episode> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    Shape::ALL.into_iter().cycle().take(count).map(move |shape| Episode::of(shape, &mut rng))
}

/// A mean under construction.
struct Path(Vec<f64>);

impl Path {
    fn from(level: f64) -> Self {
        Self(vec![level])
    }

    fn level(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }

    fn hold(&mut self, steps: usize) {
        let level = self.level();
        self.0.extend(std::iter::repeat_n(level, steps));
    }

    fn go(&mut self, level: f64, steps: usize) {
        let (start, count) = (self.level(), steps.max(1));
        self.0.extend((1..=count).map(|step| start + (level - start) * step as f64 / count as f64));
    }

    fn teeth(&mut self, rng: &mut Pcg64Mcg) {
        let (low, high) = (rng.random_range(0.05..0.8), rng.random_range(0.6..2.0));
        let (period, rise) = (log_uniform(4.0..96.0, rng), rng.random_range(0.3..0.98));
        for _ in 0..rng.random_range(2..6) {
            let tooth = period * rng.random_range(0.8..1.2);
            self.go(high * rng.random_range(0.85..1.15), (tooth * rise) as usize);
            self.go(low * rng.random_range(0.85..1.15), (tooth * (1.0 - rise)) as usize);
        }
    }

    /// Demand grows while stages of it are taken away, at any level: the forecast is of what happens if nobody acts.
    fn shed(&mut self, rng: &mut Pcg64Mcg) {
        let (mut offered, slope) = (rng.random_range(0.05..0.9), log_uniform(0.004..0.1, rng));
        let (top, often) = (rng.random_range(1.0..2.5), log_uniform(0.01..0.2, rng));
        let (mut share, stage) = (1.0, rng.random_range(0.05..0.2));
        self.go(offered, 4);
        for _ in 0..rng.random_range(40..120) {
            offered = (offered + slope).min(top);
            if rng.random_bool(often) && share > 2.0 * stage {
                share -= stage;
            }
            self.0.push(offered * share);
        }
    }

    fn spikes(&mut self, rng: &mut Pcg64Mcg) {
        let base = self.level().min(1.0);
        self.go(base, 2);
        self.hold(steps(4.0..60.0, rng));
        let (height, decay) = (rng.random_range(0.2..1.5), log_uniform(1.0..20.0, rng));
        let tail = (1..(4.0 * decay) as usize + 2).map(|age| base + height * (-(age as f64) / decay).exp());
        self.0.push(base + height);
        self.0.extend(tail);
    }

    fn waves(&mut self, rng: &mut Pcg64Mcg) {
        let (height, overtone) = (rng.random_range(0.1..0.7), rng.random_range(0.0..0.4));
        let (mut phase, shift) = (rng.random_range(0.0..1.0), rng.random_range(0.0..1.0));
        let base = height * (1.0 + overtone) + rng.random_range(0.05..0.6);
        let period = log_uniform(24.0..600.0, rng);
        while self.0.len() < LENGTH {
            // Half a wave at a time, each of its own length.
            let turn = 1.0 / (period * rng.random_range(0.85..1.15));
            for _ in 0..(0.5 / turn) as usize {
                phase += turn;
                let wave = |turns: f64| (std::f64::consts::TAU * turns).sin();
                self.0.push(base + height * (wave(phase) + overtone * wave(2.0 * phase + shift)));
            }
        }
        // The start level is no part of the wave.
        self.0.remove(0);
    }

    fn wander(&mut self, rng: &mut Pcg64Mcg) {
        let (pace, memory) = (log_uniform(0.001..0.04, rng), rng.random_range(0.0..0.97));
        let (home, pull) = (rng.random_range(LEVELS), log_uniform(0.001..0.05, rng));
        let mut velocity = 0.0;
        for _ in 0..LENGTH {
            velocity = memory * velocity + (1.0 - memory) * rng.random_range(-3.0..3.0) * pace;
            self.0.push((self.level() + velocity + pull * (home - self.level())).max(0.0));
        }
    }
}

impl Limit {
    fn any(rng: &mut Pcg64Mcg) -> Self {
        match rng.random_range(0..10) {
            0..7 => Self::Unseen,
            7..9 => Self::Hard(rng.random_range(1.0..2.0)),
            _ => Self::Soft(rng.random_range(0.2..0.8)),
        }
    }

    fn seen(self, load: f64) -> f64 {
        match self {
            Self::Unseen => load,
            Self::Hard(most) => load.min(most),
            Self::Soft(share) => load.min(1.0 + share * (load - 1.0).max(0.0)).min(2.0),
        }
    }
}

fn steps(range: std::ops::Range<f64>, rng: &mut Pcg64Mcg) -> usize {
    log_uniform(range, rng) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_fills_its_length_with_sensible_loads() {
        for episode in episodes(400, 9) {
            let (shape, loads) = (episode.shape, &episode.loads);
            assert_eq!((loads.len(), episode.mean.len()), (LENGTH, LENGTH), "{shape:?}");
            assert!(loads.iter().all(|load| (0.0..20.0).contains(load)), "{shape:?}: {loads:?}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_episodes_twice() {
        let loads = |seed| episodes(16, seed).map(|episode| episode.loads).collect::<Vec<_>>();
        assert!(loads(1) == loads(1) && loads(1) != loads(2));
    }

    #[test]
    fn a_limit_hides_demand() {
        assert!((Limit::Hard(1.2).seen(1.7) - 1.2).abs() < 1e-12);
        assert!((Limit::Soft(0.5).seen(1.6) - 1.3).abs() < 1e-12);
        assert!((Limit::Soft(0.5).seen(0.7) - 0.7).abs() < 1e-12);
    }
}
