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

/// Probabilities that are tried as thresholds: so many, evenly spread in log-odds up to [`SUREST`] either side of a half.
const THRESHOLDS: u32 = 37;
const SUREST: f64 = 4.5;

/// The threshold where nothing ever saturated.
const UNKNOWN: f64 = 0.5;

/// How much calls for an alarm after each sample: its position, and a probability or a load.
pub type Calls = [(usize, f64)];

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
        Self { saturated, events }
    }

    /// Saturations that begin in a part.
    #[must_use]
    pub fn events_in(&self, part: &Range<usize>) -> usize {
        self.events.iter().filter(|event| part.contains(event)).count()
    }

    /// The lowest of the candidates with this precision, or else the most precise one; candidates in rising order.
    #[must_use]
    pub fn threshold(&self, calls: &Calls, horizon: usize, candidates: &[f64], least_precision: f64) -> f64 {
        let judge = |&threshold: &f64| {
            let precision = self.alarms(calls, horizon, threshold, Duration::ZERO).precision;
            (threshold, precision.unwrap_or_default())
        };
        let judged: Vec<(f64, f64)> = candidates.iter().map(judge).collect();
        let enough = judged.iter().find(|(_, precision)| *precision >= least_precision);
        let best = judged.iter().max_by(|a, b| a.1.total_cmp(&b.1)).filter(|best| best.1 > 0.0);
        enough.or(best).map_or(UNKNOWN, |&(threshold, _)| threshold)
    }

    /// How well these calls announced the saturations within so many steps, with the given threshold.
    #[must_use]
    pub fn alarms(&self, calls: &Calls, horizon: usize, threshold: f64, period: Duration) -> Alarms {
        let on = |&&(at, call): &&(usize, f64)| !self.saturated[at] && call >= threshold;
        let alarmed: Vec<usize> = calls.iter().filter(on).map(|&(at, _)| at).collect();
        let follows =
            |&&at: &&usize| self.saturated[at + 1..].iter().take(horizon).any(|&saturated| saturated);
        let right = alarmed.iter().filter(follows).count();
        let (Some(&(first, _)), Some(&(last, _))) = (calls.first(), calls.last()) else {
            return Alarms { threshold, ..Alarms::default() };
        };
        let seen = first + horizon..=last + 1;
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

/// Steps within which a saturation must follow what a head says.
#[must_use]
pub fn horizon(head: usize) -> usize {
    HORIZON_STEPS.get(head).map_or(LAST_HORIZON, |&steps| steps as usize)
}

/// Probability of passing `limit` that one forecaster's head gave in each round.
#[must_use]
pub fn probabilities(rounds: &[Round], who: usize, head: usize, limit: f64) -> Vec<(usize, f64)> {
    rounds.iter().map(|round| (round.at, exceeds(&round.predictions[who][head], limit))).collect()
}

/// The probabilities that are tried as thresholds, in rising order.
#[must_use]
pub fn thresholds() -> Vec<f64> {
    let step = 2.0 * SUREST / f64::from(THRESHOLDS - 1);
    (0..THRESHOLDS).map(|at| 1.0 / (1.0 + (SUREST - step * f64::from(at)).exp())).collect()
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

    fn alarms(alarmed: &[usize], samples: &Samples, period_s: u64) -> Alarms {
        let calls = probabilities(&rounds(alarmed), WHO, PEAK, 0.9);
        Truth::of(samples, 0.9).alarms(&calls, horizon(PEAK), 0.5, Duration::from_secs(period_s))
    }

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
        let alarms = alarms(&[14, 15, 30], &samples(), 15);
        assert_eq!(alarms.recall, Some(0.5));
        assert_eq!(alarms.median_lead_s, Some(90.0));
        assert!(alarms.precision.is_some_and(|precision| (precision - 2.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn an_alarm_during_saturation_is_no_news() {
        let alarms = alarms(&[20, 21, 22], &samples(), 1);
        assert_eq!((alarms.recall, alarms.precision), (Some(0.0), None));
    }

    #[test]
    fn a_series_that_never_saturates_has_no_recall() {
        let calm: Vec<(u64, f64)> = (0..80).map(|step| (step, 0.4)).collect();
        assert_eq!(alarms(&[], &calm, 1).recall, None);
        let calls = probabilities(&rounds(&[]), WHO, PEAK, 0.9);
        let threshold = Truth::of(&calm, 0.9).threshold(&calls, 8, &thresholds(), LEAST_PRECISION);
        assert!((threshold - UNKNOWN).abs() < 1e-12);
    }

    #[test]
    fn the_threshold_is_the_lowest_that_is_precise_enough() {
        let truth = Truth::of(&samples(), 0.9);
        // One saturation is announced by 0.6; 0.4 and 0.3 cry wolf.
        let calls: Vec<(usize, f64)> = vec![(5, 0.3), (15, 0.6), (16, 0.5), (30, 0.4), (35, 0.4)];
        let chosen = |least| truth.threshold(&calls, 8, &[0.2, 0.35, 0.45, 0.55], least);
        assert!((chosen(0.7) - 0.45).abs() < 1e-12 && (chosen(0.5) - 0.35).abs() < 1e-12);
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
