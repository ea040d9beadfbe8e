//! Damped-trend exponential smoothing (Gardner and `McKenzie`, 1985): the challenger that the network has to beat.

use crate::PointForecast;

/// Factors of the smoothing, each in `0.0..=1.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Weight of a new load in the level.
    pub level: f64,
    /// Weight of a new slope in the trend.
    pub trend: f64,
    /// Share of the trend that goes on from one step to the next.
    pub damping: f64,
}

impl Default for Smoothing {
    /// The best of a grid on the training part of the synthetic saturation episodes (see the trainer's report).
    fn default() -> Self {
        Self { level: 0.4, trend: 0.1, damping: 0.95 }
    }
}

/// A level and a fading trend.
#[derive(Clone, Copy, Debug)]
pub struct Holt {
    smoothing: Smoothing,
    state: Option<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    level: f64,
    trend: f64,
}

impl Holt {
    /// A smoother that has seen nothing.
    #[must_use]
    pub fn new(smoothing: Smoothing) -> Self {
        Self { smoothing, state: None }
    }
}

impl PointForecast for Holt {
    fn observe(&mut self, load: f64) {
        let Smoothing { level: alpha, trend: beta, damping } = self.smoothing;
        let Some(State { level, trend }) = self.state else {
            self.state = Some(State { level: load, trend: 0.0 });
            return;
        };
        let expected = level + damping * trend;
        let next = expected + alpha * (load - expected);
        self.state =
            Some(State { level: next, trend: damping * trend + beta * (next - level - damping * trend) });
    }

    fn ahead(&self, steps: u32) -> f64 {
        let Some(State { level, trend }) = self.state else { return 0.0 };
        let mut sum = 0.0;
        let mut share = 1.0;
        for _ in 0..steps {
            share *= self.smoothing.damping;
            sum += share;
        }
        (level + sum * trend).max(0.0)
    }

    fn restart(&mut self) {
        self.state = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(loads: impl IntoIterator<Item = f64>) -> Holt {
        let mut holt = Holt::new(Smoothing::default());
        loads.into_iter().for_each(|load| holt.observe(load));
        holt
    }

    #[test]
    fn a_constant_load_is_forecast_as_itself() {
        let holt = after([0.7; 20]);
        assert!((holt.ahead(8) - 0.7).abs() < 1e-12);
    }

    #[test]
    fn a_ramp_is_carried_on_but_less_than_in_full() {
        let holt = after((0..60).map(|step| 0.4 + 0.02 * f64::from(step)));
        let last = 0.4 + 0.02 * 59.0;
        assert!(holt.ahead(8) > last + 0.02, "{}", holt.ahead(8));
        assert!(holt.ahead(8) < last + 0.16, "{}", holt.ahead(8));
    }

    #[test]
    fn a_falling_load_is_never_forecast_below_zero() {
        let holt = after((0..40).map(|step| 1.0 - 0.025 * f64::from(step)));
        assert!(holt.ahead(8) >= 0.0);
    }
}
