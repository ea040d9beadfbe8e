//! Fresh pods on nodes at rest: the same start for every run.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use foreshift_api::{JournalRoute, Percent, journal_route::Strategy};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    drive::Driver,
    error::{Error, Result},
    gauge::{self, Gauge},
    route,
    stage::JournalPod,
};

/// Seconds at rest before a run that acts on forecasts: the forecaster's short window must show little else.
const FORECAST_REST: u32 = 15;
/// Seconds at rest before any other run, which decides by present load alone.
const REST: u32 = 5;
/// Readiness of a pod is probed every five seconds, so its node may have been at rest for nearly as long.
const UNNOTICED: u32 = 4;
/// Load over the idle one that counts as rest.
const MARGIN: f64 = 0.1;
/// From ready pods to rest.
const WITHIN: Duration = Duration::from_secs(90);

/// Seconds for which the nodes are at rest before a run of `route`.
#[must_use]
pub fn seconds_before(route: &JournalRoute) -> u32 {
    let spec = &route.spec;
    let all_on_the_lead = spec.limits.min_lead_share == Percent::from_permille(1000);
    if spec.forecast.strategy == Strategy::Reactive || all_on_the_lead { REST } else { FORECAST_REST }
}

impl Driver {
    /// No route, empty journals, and nodes at rest for as long as a forecast needs.
    pub async fn fresh_stage(&self) -> Result<Vec<JournalPod>> {
        self.fresh(FORECAST_REST).await
    }

    /// The same for as long as a run of `route` needs.
    pub async fn fresh_stage_before(&self, route: &JournalRoute) -> Result<Vec<JournalPod>> {
        self.fresh(seconds_before(route)).await
    }

    async fn fresh(&self, rest: u32) -> Result<Vec<JournalPod>> {
        route::delete(self.stage.client()).await?;
        let calm = self.capacity.idle_load + MARGIN;
        let (mut gauges, mut quiet) = (self.gauges()?, Quiet::default());
        let mut seconds = seconds().await;
        let mut renewal = pin!(self.stage.renew_pods());
        let pods = loop {
            tokio::select! {
                pods = &mut renewal => break pods?,
                _ = seconds.tick() => quiet.saw(self.highest_load(&mut gauges).await? <= calm),
            }
        };
        quiet.pods_are_ready();
        let deadline = Instant::now() + WITHIN;
        loop {
            seconds.tick().await;
            let highest = self.highest_load(&mut gauges).await?;
            quiet.saw(highest <= calm);
            if quiet.seconds >= rest {
                return Ok(pods);
            }
            if Instant::now() > deadline {
                let what =
                    format!("the nodes to come to rest (load {highest:.2}; at rest it is {calm:.2} or less)");
                return Err(Error::Timeout { what, after: WITHIN });
            }
        }
    }

    /// Load of the busiest node, and of the lead's as its agent published it last.
    async fn highest_load(&self, gauges: &mut [Gauge; 3]) -> Result<f64> {
        let personas = gauge::by_node(route::personas(self.stage.client()).await?);
        let published = gauge::persona_load(&personas, gauges[0].node()).unwrap_or(0.0);
        let loads = gauges.each_mut().map(|gauge| gauge.read(&personas).load);
        Ok(loads.into_iter().fold(published, f64::max))
    }
}

/// For how long all nodes have been at rest.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    seconds: u32,
}

impl Quiet {
    fn saw(&mut self, at_rest: bool) {
        self.seconds = if at_rest { self.seconds + 1 } else { 0 };
    }

    /// What counts from before this moment is the time in which readiness was not noticed yet.
    fn pods_are_ready(&mut self) {
        self.seconds = self.seconds.min(UNNOTICED);
    }
}

/// Seconds from now on; the first tick of an interval comes at once, and ends none.
async fn seconds() -> Interval {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds.tick().await;
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Run;

    #[test]
    fn only_runs_that_act_on_forecasts_wait_for_the_forecasters_window() {
        let before = |run: Run| seconds_before(&run.route().unwrap());
        assert_eq!([Run::LeadOnly, Run::Reactive].map(before), [REST, REST]);
        assert_eq!([Run::Foreshift, Run::KeptAlive].map(before), [FORECAST_REST, FORECAST_REST]);
    }

    #[test]
    fn a_busy_second_starts_the_rest_anew() {
        let mut quiet = Quiet::default();
        for at_rest in [true, true, false, true] {
            quiet.saw(at_rest);
        }
        assert_eq!(quiet.seconds, 1);
    }

    #[test]
    fn rest_before_the_pods_are_ready_counts_for_as_long_as_readiness_can_go_unnoticed() {
        let mut quiet = Quiet { seconds: 40 };
        quiet.pods_are_ready();
        assert_eq!(quiet.seconds, UNNOTICED);
        let mut quiet = Quiet { seconds: 2 };
        quiet.pods_are_ready();
        assert_eq!(quiet.seconds, 2);
    }
}
