//! "As now": the forecast that needs no memory, and the yardstick of every other.

use crate::PointForecast;

/// Repeats the last load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastValue(f64);

impl PointForecast for LastValue {
    fn observe(&mut self, load: f64) {
        self.0 = load;
    }

    fn ahead(&self, _steps: u32) -> f64 {
        self.0
    }

    fn restart(&mut self) {}
}
