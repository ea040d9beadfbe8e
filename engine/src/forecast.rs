//! What a forecast is: quantiles of offered load at a few horizons, and who made it.

use std::time::Duration;

/// Steps ahead at which every forecaster answers; one step is the series' period.
pub const HORIZON_STEPS: [u32; 4] = [1, 2, 4, 8];

/// Quantiles of a load (1.0 = the capacity of the limiting dimension), `p50 <= p90 <= p99`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Which quantile a route plans with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantile {
    /// Median: moves late, moves little.
    P50,
    /// The default: one tick in ten may be higher.
    #[default]
    P90,
    /// Cautious: moves early, moves more.
    P99,
}

/// The ladder of forecasters, best first; each rung is the fallback of the one above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The ONNX network.
    Model,
    /// Damped Holt smoothing with empirical residual quantiles.
    Holt,
    /// The last value plus a margin.
    LastValue,
    /// No forecast: only observed saturation moves anything.
    Reactive,
}

/// A forecast of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Length of one step.
    pub period: Duration,
    /// The last observed value of the series.
    pub last: f64,
    /// What the series is at now, a single burst left out: the median of the last few values.
    pub level: f64,
    /// Quantiles after [`HORIZON_STEPS`] steps.
    pub steps: [Quantiles; 4],
    /// Quantiles of the highest value within the last horizon.
    pub peak: Quantiles,
    /// Who made it.
    pub rung: Rung,
}

impl Quantiles {
    /// The same value at every quantile.
    #[must_use]
    pub fn certain(value: f64) -> Self {
        Self { p50: value, p90: value, p99: value }
    }

    /// One of the three.
    #[must_use]
    pub fn get(&self, quantile: Quantile) -> f64 {
        match quantile {
            Quantile::P50 => self.p50,
            Quantile::P90 => self.p90,
            Quantile::P99 => self.p99,
        }
    }

    fn lerp(self, other: Self, t: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * t;
        Self { p50: mix(self.p50, other.p50), p90: mix(self.p90, other.p90), p99: mix(self.p99, other.p99) }
    }
}

impl Forecast {
    /// A forecast that says "as now", with no spread; what the reactive rung plans with.
    #[must_use]
    pub fn observed(last: f64, period: Duration) -> Self {
        let now = Quantiles::certain(last);
        Self { period, last, level: last, steps: [now; 4], peak: now, rung: Rung::Reactive }
    }

    /// Quantiles `after` from now: linear between horizons, flat beyond the last.
    #[must_use]
    pub fn at(&self, after: Duration) -> Quantiles {
        let steps = after.as_secs_f64() / self.period.as_secs_f64().max(1e-3);
        let mut before = (0.0, Quantiles::certain(self.last));
        for (&horizon, &quantiles) in HORIZON_STEPS.iter().zip(&self.steps) {
            let horizon = f64::from(horizon);
            if steps <= horizon {
                return before.1.lerp(quantiles, (steps - before.0) / (horizon - before.0));
            }
            before = (horizon, quantiles);
        }
        before.1
    }

    /// This forecast of long steps, going on from where one of short steps ends. A long step is a mean, and `age` ago the
    /// newest one ended, so that alone it would begin where the load was long before now.
    #[must_use]
    pub fn going_on_from(self, fine: &Self, age: Duration) -> Self {
        if fine.rung == Rung::Reactive || self.rung == Rung::Reactive {
            return self;
        }
        let reach = fine.reach();
        let shift = fine.at(reach).p50 - self.at(age.saturating_add(reach)).p50;
        let lift = |load: f64| (load + shift).max(0.0);
        let moved = |q: Quantiles| Quantiles { p50: lift(q.p50), p90: lift(q.p90), p99: lift(q.p99) };
        Self {
            last: lift(self.last),
            level: lift(self.level),
            steps: self.steps.map(moved),
            peak: moved(self.peak),
            ..self
        }
    }

    /// How far ahead it looks.
    #[must_use]
    pub fn reach(&self) -> Duration {
        self.period.saturating_mul(HORIZON_STEPS[HORIZON_STEPS.len() - 1])
    }

    /// The first moment at which the quantile reaches `level`, if it does within the last horizon.
    #[must_use]
    pub fn reaches(&self, level: f64, quantile: Quantile) -> Option<Duration> {
        if self.last >= level {
            return Some(Duration::ZERO);
        }
        let mut before = (0.0, self.last);
        for (&horizon, quantiles) in HORIZON_STEPS.iter().zip(&self.steps) {
            let here = (f64::from(horizon), quantiles.get(quantile));
            if here.1 >= level {
                let t = (level - before.1) / (here.1 - before.1).max(f64::EPSILON);
                return Some(self.period.mul_f64(before.0 + (here.0 - before.0) * t.clamp(0.0, 1.0)));
            }
            before = here;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_of_long_steps_goes_on_from_where_one_of_short_steps_ends() {
        let quantiles = |p50| Quantiles { p50, p90: p50 + 0.1, p99: p50 + 0.2 };
        let forecast = |seconds, value: f64, rise: f64| Forecast {
            steps: [1.0, 2.0, 4.0, 8.0].map(|step| quantiles(value + rise * step)),
            rung: Rung::Holt,
            ..Forecast::observed(value, Duration::from_secs(seconds))
        };
        let (fine, old) = (forecast(2, 0.6, 0.02), forecast(15, 0.4, 0.0));
        let coarse = old.clone().going_on_from(&fine, Duration::from_secs(10));
        assert!((coarse.at(Duration::from_mins(1)).p50 - 0.76).abs() < 1e-9, "{coarse:?}");
        assert!((coarse.at(Duration::from_mins(1)).p90 - 0.86).abs() < 1e-9);
        let reactive = Forecast::observed(0.6, Duration::from_secs(2));
        assert_eq!(old.clone().going_on_from(&reactive, Duration::ZERO), old);
    }
}
