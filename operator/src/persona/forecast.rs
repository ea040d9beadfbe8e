//! `status.forecast` of every persona: where the node's load goes while the present shares go on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foreshift_api::{
    Decimal, ResourcePersona, Span, apply,
    resource_persona::{Horizon, NodeForecast},
};
use foreshift_engine::{
    demand::Series,
    forecast::{HORIZON_STEPS, Quantile, Rung},
};
use foreshift_predictor::{Forecaster, WINDOW};
use foreshift_view::{convert::ToApi, time::elapsed};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{Errand, name};
use crate::models::Models;

/// Load from which a node counts as saturated where no route says otherwise.
const SATURATION: f64 = 0.9;

/// Never written more often; a node that stands below [`BUSY`] less often still.
const BUSY_EVERY: Duration = Duration::from_secs(5);
const QUIET_EVERY: Duration = Duration::from_secs(10);
const BUSY: f64 = 0.3;

/// People do not see less.
const VISIBLE: f64 = 0.02;

/// Forecasters of all nodes, about 10 KB each.
#[derive(Debug, Default)]
pub struct Forecasts(HashMap<String, Node>);

#[derive(Debug)]
struct Node {
    forecaster: Forecaster,
    period: Duration,
    written: Option<(NodeForecast, Timestamp)>,
}

impl Forecasts {
    /// Follows every node's window; answers the forecasts that people would see move.
    pub fn due(&mut self, personas: &[Arc<ResourcePersona>], models: &Models, now: Timestamp) -> Vec<Errand> {
        self.0.retain(|node, _| personas.iter().any(|persona| name(persona) == node));
        personas.iter().filter_map(|persona| self.one(persona, models, now)).collect()
    }

    /// The write to a node failed.
    pub fn retry(&mut self, node: &str) {
        if let Some(node) = self.0.get_mut(node) {
            node.written = None;
        }
    }

    fn one(&mut self, persona: &ResourcePersona, models: &Models, now: Timestamp) -> Option<Errand> {
        let status = persona.status.as_ref()?;
        let window = &status.history.as_ref()?.coarse;
        let period = window.period.get();
        if period.is_zero() || window.load.is_empty() {
            return None;
        }
        let node = persona.metadata.name.as_ref()?;
        let entry = self.0.entry(node.clone()).or_insert_with(|| Node::new(period));
        if entry.period != period {
            *entry = Node::new(period);
        }
        let values = window.load.iter().map(|&permille| f64::from(permille) / 1000.0).collect();
        feed(&mut entry.forecaster, &Series { step: window.step, values });
        let load = status.capacity.as_ref().map_or(0.0, |capacity| capacity.load.get());
        let every = if load > BUSY { BUSY_EVERY } else { QUIET_EVERY };
        let forecast = entry.forecast(models);
        let shown = entry.written.as_ref().map(|(forecast, _)| forecast).or(status.forecast.as_ref());
        let early = entry.written.as_ref().is_some_and(|&(_, at)| elapsed(at, now) < every);
        if early || shown.is_some_and(|shown| !moved(shown, &forecast)) {
            return None;
        }
        let mut body = apply::frame_of(persona);
        body["status"] = json!({ "forecast": forecast });
        entry.written = Some((forecast, now));
        Some(Errand { node: node.clone(), body, status: true })
    }
}

impl Node {
    fn new(period: Duration) -> Self {
        Self { forecaster: Forecaster::new(period), period, written: None }
    }

    fn forecast(&mut self, models: &Models) -> NodeForecast {
        let (forecast, trust) = self.forecaster.forecast(models.model.as_deref(), Rung::Model);
        let horizons = HORIZON_STEPS.iter().zip(&forecast.steps).map(|(&steps, quantiles)| Horizon {
            after: Span::from_secs((self.period * steps).as_secs()),
            p50: Decimal::rounded(quantiles.p50, 2),
            p90: Decimal::rounded(quantiles.p90, 2),
            p99: Decimal::rounded(quantiles.p99, 2),
        });
        NodeForecast {
            forecaster: forecast.rung.to_api(),
            model_digest: models.digest(forecast.rung),
            horizons: horizons.collect(),
            saturation_in: forecast
                .reaches(SATURATION, Quantile::P90)
                .map(|after| Span::from_secs(after.as_secs())),
            skill: trust.skill.map(|skill| Decimal::rounded(skill, 2)),
        }
    }
}

/// Feeds what is new of a window; a window out of reach of what is known replaces it whole.
pub fn feed(forecaster: &mut Forecaster, series: &Series) {
    feed_each(forecaster, series, |_| ());
}

/// Feeds what is new of a window and calls `fed` after each step; a window that replaces what is known is one step.
pub fn feed_each(forecaster: &mut Forecaster, series: &Series, mut fed: impl FnMut(&mut Forecaster)) {
    let Ok(newest) = u64::try_from(series.step) else { return };
    let first = newest.saturating_sub(series.values.len().saturating_sub(1) as u64);
    match forecaster.last_step() {
        Some(last) if last + 1 >= first && last <= newest + WINDOW as u64 => {
            for (step, &load) in (first..=newest).zip(&series.values).filter(|&(step, _)| step > last) {
                forecaster.observe(step, load);
                fed(forecaster);
            }
        }
        _ => {
            forecaster.seed(newest, &series.values);
            fed(forecaster);
        }
    }
}

fn moved(shown: &NodeForecast, new: &NodeForecast) -> bool {
    let apart = |a: Decimal, b: Decimal| (a.get() - b.get()).abs() >= VISIBLE;
    (shown.forecaster, &shown.model_digest) != (new.forecaster, &new.model_digest)
        || shown.saturation_in.is_some() != new.saturation_in.is_some()
        || shown.horizons.len() != new.horizons.len()
        || shown.horizons.iter().zip(&new.horizons).any(|(shown, new)| {
            shown.after != new.after || apart(shown.p50, new.p50) || apart(shown.p90, new.p90)
        })
}

#[cfg(test)]
mod tests {
    use foreshift_api::journal_route as api;

    use super::*;
    use crate::fixtures::{NOW, later, node};

    fn due(
        forecasts: &mut Forecasts,
        load: impl Fn(i64) -> f64 + 'static,
        now: Timestamp,
    ) -> Option<NodeForecast> {
        let persona = Arc::new(node("n1").with_history(load).persona(now));
        let errand = forecasts.due(&[persona], &Models::default(), now).pop()?;
        assert!(errand.status && errand.body.get("spec").is_none());
        Some(serde_json::from_value(errand.body["status"]["forecast"].clone()).unwrap())
    }

    fn ramp(step: i64) -> f64 {
        0.3 + 0.02 * (step - NOW.as_second() / 15 + 31) as f64
    }

    #[test]
    fn a_ramp_is_seen_a_minute_ahead_from_the_first_persona_on() {
        let forecast = due(&mut Forecasts::default(), ramp, NOW).unwrap();
        assert_eq!(forecast.forecaster, api::Forecaster::Holt);
        let after: Vec<String> = forecast.horizons.iter().map(|h| h.after.to_string()).collect();
        assert_eq!(after, ["15s", "30s", "60s", "2m"]);
        assert!(forecast.horizons[2].p50.get() > ramp(NOW.as_second() / 15), "{forecast:?}");
        assert!(forecast.saturation_in.is_some());
    }

    #[test]
    fn a_forecast_that_stands_still_is_written_once_and_one_that_moves_not_too_often() {
        let mut forecasts = Forecasts::default();
        let flat = |_| 0.5;
        assert!(due(&mut forecasts, flat, NOW).is_some());
        assert!(due(&mut forecasts, flat, later(60)).is_none());
        let mut forecasts = Forecasts::default();
        assert!(due(&mut forecasts, ramp, NOW).is_some());
        assert!(due(&mut forecasts, ramp, later(4)).is_none());
        assert!(due(&mut forecasts, ramp, later(15)).is_some());
    }

    #[test]
    fn a_failed_write_is_due_again() {
        let mut forecasts = Forecasts::default();
        assert!(due(&mut forecasts, |_| 0.5, NOW).is_some());
        forecasts.retry("n1");
        assert!(due(&mut forecasts, |_| 0.5, later(1)).is_some());
    }

    #[test]
    fn only_new_steps_are_fed_and_a_window_out_of_reach_starts_over() {
        let mut forecaster = Forecaster::new(Duration::from_secs(2));
        let series = |step, len| Series { step, values: vec![0.5; len] };
        feed(&mut forecaster, &series(100, 32));
        assert_eq!(forecaster.last_step(), Some(100));
        feed(&mut forecaster, &series(102, 32));
        assert_eq!(forecaster.last_step(), Some(102));
        feed(&mut forecaster, &series(101, 32));
        assert_eq!(forecaster.last_step(), Some(102), "a late window changes nothing");
        feed(&mut forecaster, &series(1000, 32));
        assert_eq!(forecaster.last_step(), Some(1000));
        feed(&mut forecaster, &series(10, 4));
        assert_eq!(forecaster.last_step(), Some(10), "the node's clock was set back");
        feed(&mut forecaster, &series(-5, 4));
        assert_eq!(forecaster.last_step(), Some(10));
    }
}
