//! Alarms of saturation: which saturations a forecast announced, how early, and how often it cried wolf.
//!
//! A saturation begins with the first step at or above the limit after four steps below. It is announced if the
//! probability of one, within the horizon, passed the threshold in one of the steps before. Precision counts the steps
//! below the limit at which the alarm was on.

use std::ops::Range;
use std::time::Duration;

use foreshift_engine::forecast::{HORIZON_STEPS, Quantiles};
use serde::Serialize;

use super::replay::Round;
use super::series::Samples;
use crate::LAST_HORIZON;

/// Steps below the limit before a step that begins a saturation.
const CALM: usize = 4;

/// Precision that a threshold must reach where it is chosen.
pub const LEAST_PRECISION: f64 = 0.7;

/// Probabilities that are tried as thresholds.
const THRESHOLDS: [f64; 17] =
    [0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// The threshold where nothing ever saturated.
const UNKNOWN: f64 = 0.5;

/// How well saturations were announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Alarms {
    /// Share of saturations that were announced; none if there were none.
    pub recall: Option<f64>,
    /// Share of alarmed steps that a saturation followed within the horizon; none without an alarm.
    pub precision: Option<f64>,
    /// Median time from the first alarm to the saturation, in seconds.
    pub median_lead_s: Option<f64>,
    /// Probability from which the alarm is on, chosen on an earlier part.
    pub threshold: f64,
}

/// What saturated, and when.
#[derive(Clone, Debug)]
pub struct Truth {
    saturated: Vec<bool>,
    /// Positions at which saturations begin.
    events: Vec<usize>,
    saturation: f64,
}

impl Truth {
    /// Finds the saturations of a series; those within reach of a gap are left out.
    #[must_use]
    pub fn of(samples: &Samples, saturation: f64) -> Self {
        let saturated: Vec<bool> = samples.iter().map(|sample| sample.1 >= saturation).collect();
        let begins = |&at: &usize| {
            let unbroken = samples[at].0 - samples[at - CALM].0 == CALM as u64;
            unbroken && saturated[at] && !saturated[at - CALM..at].contains(&true)
        };
        let events = (CALM..samples.len()).filter(begins).collect();
        Self { saturated, events, saturation }
    }

    /// Saturations that begin in a part.
    #[must_use]
    pub fn events_in(&self, part: &Range<usize>) -> usize {
        self.events.iter().filter(|event| part.contains(event)).count()
    }

    /// The lowest threshold with [`LEAST_PRECISION`] on these rounds, or else the most precise one.
    #[must_use]
    pub fn threshold(&self, rounds: &[Round], who: usize, head: usize) -> f64 {
        let judged = THRESHOLDS.map(|threshold| {
            let precision = self.alarms(rounds, who, head, threshold, Duration::ZERO).precision;
            (threshold, precision.unwrap_or_default())
        });
        let enough = judged.iter().find(|(_, precision)| *precision >= LEAST_PRECISION);
        let best = judged.iter().max_by(|a, b| a.1.total_cmp(&b.1)).filter(|best| best.1 > 0.0);
        enough.or(best).map_or(UNKNOWN, |&(threshold, _)| threshold)
    }

    /// How well one forecaster's head announced the saturations of these rounds, with the given threshold.
    #[must_use]
    pub fn alarms(
        &self,
        rounds: &[Round],
        who: usize,
        head: usize,
        threshold: f64,
        period: Duration,
    ) -> Alarms {
        let horizon = HORIZON_STEPS.get(head).map_or(LAST_HORIZON, |&steps| steps as usize);
        let on = |round: &Round| {
            !self.saturated[round.at] && exceeds(&round.predictions[who][head], self.saturation) >= threshold
        };
        let alarmed: Vec<usize> = rounds.iter().filter(|round| on(round)).map(|round| round.at).collect();
        let follows =
            |&&at: &&usize| self.saturated[at + 1..].iter().take(horizon).any(|&saturated| saturated);
        let right = alarmed.iter().filter(follows).count();
        let (Some(first), Some(last)) = (rounds.first(), rounds.last()) else {
            return Alarms { threshold, ..Alarms::default() };
        };
        let seen = first.at + horizon..=last.at + 1;
        let events: Vec<usize> = self.events.iter().copied().filter(|event| seen.contains(event)).collect();
        let mut leads: Vec<usize> = events
            .iter()
            .filter_map(|&event| {
                let since = alarmed.partition_point(|&at| at + horizon < event);
                alarmed.get(since).filter(|&&at| at < event).map(|&at| event - at)
            })
            .collect();
        leads.sort_unstable();
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        Alarms {
            recall: share(leads.len(), events.len()),
            precision: share(right, alarmed.len()),
            median_lead_s: leads.get(leads.len() / 2).map(|&steps| steps as f64 * period.as_secs_f64()),
            threshold,
        }
    }
}

/// Probability that a load passes `limit`, read off its quantiles: straight lines in the logarithm between them.
#[must_use]
pub fn exceeds(quantiles: &Quantiles, limit: f64) -> f64 {
    let Quantiles { p50, p90, p99 } = *quantiles;
    let (near, far) = ((p90 - p50).max(1e-9), (p99 - p90).max(1e-9));
    if limit <= p50 {
        // Mirrored around the median.
        return 1.0 - 0.5 * (0.2_f64).powf((p50 - limit) / near);
    }
    if limit <= p90 {
        return 0.5 * (0.2_f64).powf((limit - p50) / near);
    }
    0.1 * (0.1_f64).powf((limit - p90) / far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::replay::CONTESTANTS;
    use crate::{HEADS, Prediction};
    use foreshift_engine::forecast::Rung;

    const WHO: usize = 1;
    const PEAK: usize = HEADS - 1;

    /// Two saturations, at 20 and at 50.
    fn samples() -> Vec<(u64, f64)> {
        let load = |step: u64| if matches!(step, 20..25 | 50..53) { 1.0 } else { 0.5 };
        (0..80).map(|step| (step, load(step))).collect()
    }

    fn rounds(alarmed: &[usize]) -> Vec<Round> {
        let round = |at: usize| {
            let p50 = if alarmed.contains(&at) { 1.2 } else { 0.2 };
            let quantiles = Quantiles { p50, p90: p50 + 0.1, p99: p50 + 0.2 };
            let predictions: [Prediction; CONTESTANTS.len()] = [[quantiles; HEADS]; CONTESTANTS.len()];
            Round { at, truth: [0.0; HEADS], predictions, rung: Rung::Model }
        };
        (0..70).map(round).collect()
    }

    #[test]
    fn an_alarm_counts_within_the_horizon_and_its_first_step_is_the_lead() {
        let truth = Truth::of(&samples(), 0.9);
        let alarms = truth.alarms(&rounds(&[14, 15, 30]), WHO, PEAK, 0.5, Duration::from_secs(15));
        assert_eq!(alarms.recall, Some(0.5));
        assert_eq!(alarms.median_lead_s, Some(90.0));
        assert!(alarms.precision.is_some_and(|precision| (precision - 2.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn an_alarm_during_saturation_is_no_news() {
        let truth = Truth::of(&samples(), 0.9);
        let alarms = truth.alarms(&rounds(&[20, 21, 22]), WHO, PEAK, 0.5, Duration::from_secs(1));
        assert_eq!((alarms.recall, alarms.precision), (Some(0.0), None));
    }

    #[test]
    fn a_series_that_never_saturates_has_no_recall() {
        let calm: Vec<(u64, f64)> = (0..80).map(|step| (step, 0.4)).collect();
        let truth = Truth::of(&calm, 0.9);
        assert_eq!(truth.alarms(&rounds(&[]), WHO, PEAK, 0.5, Duration::ZERO).recall, None);
        assert!((truth.threshold(&rounds(&[]), WHO, PEAK) - UNKNOWN).abs() < 1e-12);
    }

    #[test]
    fn the_probability_falls_with_the_limit_and_meets_the_quantiles() {
        let quantiles = Quantiles { p50: 0.5, p90: 0.7, p99: 1.0 };
        for (limit, expected) in [(0.5, 0.5), (0.7, 0.1), (1.0, 0.01)] {
            assert!((exceeds(&quantiles, limit) - expected).abs() < 1e-9);
        }
        let falling: Vec<f64> = (0..200).map(|step| exceeds(&quantiles, f64::from(step) / 100.0)).collect();
        assert!(falling.windows(2).all(|pair| pair[0] >= pair[1]));
    }
}
