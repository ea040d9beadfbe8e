//! Forecasts of what is offered to a route's lead, on both grids.

use std::time::Duration;

use foreshift_api::wire;
use foreshift_engine::{
    demand::{Moved, Series, offered},
    forecast::{Forecast, Rung},
    plan::Outlook,
};
use foreshift_predictor::{Forecaster, Model, Trust};
use foreshift_view::resources::{Measured, Track};

use crate::persona::forecast::feed;

/// Step of the fine window of a persona's history.
pub const FINE: Duration = wire::FINE.get();

/// Step of its coarse window.
pub const COARSE: Duration = wire::COARSE.get();

const _: () = assert!(foreshift_predictor::WINDOW == wire::WINDOW);

/// The two forecasters of one lead.
#[derive(Debug)]
pub struct Forecasters {
    lead: String,
    fine: Forecaster,
    coarse: Forecaster,
    offered: Series,
}

/// An alternate in the sum of offered load.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    /// What was measured of it.
    pub measured: &'a Measured,
    /// What its pods use without entries, in cores.
    pub idle: f64,
    /// What an entry takes there over what it takes on the lead.
    pub work: f64,
    /// Whether it has a share now, so that its work must be known before the sum is.
    pub sharing: bool,
}

impl Forecasters {
    /// Forecasters that have seen nothing.
    #[must_use]
    pub fn new(lead: &str) -> Self {
        Self {
            lead: lead.into(),
            fine: Forecaster::new(FINE),
            coarse: Forecaster::new(COARSE),
            offered: Series::default(),
        }
    }

    /// The Service whose offered load they follow.
    #[must_use]
    pub fn lead(&self) -> &str {
        &self.lead
    }

    /// What was offered lately, on the fine grid.
    #[must_use]
    pub fn offered(&self) -> &Series {
        &self.offered
    }

    /// Takes what is new; after a restart, the whole window.
    pub fn follow(&mut self, lead: &Measured, alternates: &[Elsewhere<'_>]) {
        let capacity = lead.resource.capacity;
        self.offered = total(capacity, &lead.fine, alternates, |m| &m.fine);
        feed(&mut self.fine, &self.offered);
        feed(&mut self.coarse, &total(capacity, &lead.coarse, alternates, |m| &m.coarse));
    }

    /// How old the newest step is that was taken; nothing while there is none.
    #[must_use]
    pub fn age(&self, now: Duration) -> Duration {
        let end = |step| FINE.saturating_mul(u32::try_from(step).unwrap_or_default());
        self.fine.last_step().map_or(Duration::ZERO, |step| now.saturating_sub(end(step)))
    }

    /// The forecast by the best rung not above `ceiling`, and why none better acts on the fine grid. `level` stands in
    /// for a series that has no sample yet.
    pub fn outlook(
        &mut self,
        model: Option<&Model>,
        ceiling: Rung,
        level: f64,
        now: Duration,
    ) -> (Outlook, Trust) {
        let one = |forecaster: &mut Forecaster, period| match forecaster.last_step() {
            Some(_) => forecaster.forecast(model, ceiling),
            None => (Forecast::observed(level, period), forecaster.forecast(model, ceiling).1),
        };
        let (fine, trust) = one(&mut self.fine, FINE);
        let (coarse, _) = one(&mut self.coarse, COARSE);
        let end = COARSE.saturating_mul(self.coarse.last_step().unwrap_or_default() as u32);
        let coarse = coarse.going_on_from(&fine, now.saturating_sub(end).min(2 * COARSE));
        (Outlook { fine, coarse }, trust)
    }
}

/// The offered load on one of the grids.
fn total(
    capacity: f64,
    lead: &Track,
    alternates: &[Elsewhere<'_>],
    track: impl Fn(&Measured) -> &Track,
) -> Series {
    let moved = |a: &Elsewhere<'_>| Moved {
        series: track(a.measured).work.clone(),
        idle: a.idle,
        work: a.work,
        sharing: a.sharing,
    };
    offered(&lead.load, capacity, &alternates.iter().map(moved).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{MeasuredWith, measured};

    const NOW: Duration = Duration::from_mins(25);

    #[test]
    fn a_restart_forecasts_at_once_from_the_whole_window() {
        let lead = measured("a").with_load(100, &[0.3; 32]);
        let mut forecasters = Forecasters::new("a");
        forecasters.follow(&lead, &[]);
        let (outlook, trust) = forecasters.outlook(None, Rung::Model, 0.0, NOW);
        assert_eq!(outlook.fine.rung, Rung::Holt);
        assert!((outlook.fine.last - 0.3).abs() < 1e-9);
        assert_eq!(trust.reason.as_deref(), Some("no model is loaded"));
    }

    #[test]
    fn without_history_the_load_of_now_stands_in() {
        let (outlook, _) = Forecasters::new("a").outlook(None, Rung::Model, 0.7, NOW);
        assert_eq!((outlook.fine.rung, outlook.fine.last), (Rung::Reactive, 0.7));
    }

    #[test]
    fn a_forced_last_rung_forecasts_nothing() {
        let mut forecasters = Forecasters::new("a");
        forecasters.follow(&measured("a").with_load(100, &[0.3; 32]), &[]);
        let (outlook, trust) = forecasters.outlook(None, Rung::Reactive, 0.0, NOW);
        assert_eq!((outlook.fine.rung, trust.reason), (Rung::Reactive, None));
    }
}
