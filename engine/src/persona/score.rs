//! Scores of a node, 0 to 100, higher is better.

use super::{
    load::{Limit, Usage},
    ratio,
};

/// The score of what is not known, and of a node that is neither better nor worse than the reference.
pub const NEUTRAL: f64 = 50.0;

/// Restarts (decayed) that halve the stability score.
const HALVING_RESTARTS: f64 = 4.0;

/// The four scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// See [`capacity`].
    pub capacity: f64,
    /// See [`stability`].
    pub stability: f64,
    /// See [`super::affinity`]; [`NEUTRAL`] where no entries are seen.
    pub affinity: f64,
    /// See [`cost`].
    pub cost: f64,
}

/// The slow signals behind the stability score, each a decayed average or count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steadiness {
    /// Part of the time in which the node was Ready, 0 to 1.
    pub ready_ratio: f64,
    /// Errors over entries of the observed workloads, 0 to 1.
    pub error_ratio: f64,
    /// See [`contention`], 0 to 1.
    pub contention: f64,
    /// Restarts and OOM kills, 0 or more.
    pub restarts: f64,
}

/// What a node costs for an hour, as far as it is known; all in one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// The node.
    pub node: Option<f64>,
    /// Licences that run on it.
    pub licences: Option<f64>,
    /// A kilowatt-hour of energy.
    pub kilowatt_hour: Option<f64>,
}

/// Electrical power as a straight line between idle and busy (Fan, Weber and Barroso, ISCA 2007).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerModel {
    /// Watts of an idle node.
    pub idle: f64,
    /// Watts of a node whose CPUs are all busy.
    pub busy: f64,
}

/// 100 x headroom of the limiting dimension; CPU pressure, throttling and `disk` pressure each take up to half of it.
///
/// Waiting for disks is no dimension that limits: a node whose work always waits for one `fsync` can have plenty left.
#[must_use]
pub fn capacity(limit: Limit, cpu: &Usage, disk: Option<f64>) -> f64 {
    let waits = [cpu.pressure, cpu.throttled, disk].map(|part| 1.0 - ratio(part.unwrap_or(0.0)) / 2.0);
    100.0 * (1.0 - ratio(limit.load)) * waits.iter().product::<f64>()
}

/// How much the node's work stood in its own way: the worst of CPU pressure, throttling and memory pressure.
#[must_use]
pub fn contention(cpu: &Usage, memory: &Usage) -> f64 {
    [cpu.pressure, cpu.throttled, memory.pressure].into_iter().flatten().map(ratio).fold(0.0, f64::max)
}

/// 100 for a node that is always Ready, without errors and restarts; the signals multiply, since any one of
/// them is enough to make a node unsteady. Full contention costs half: it slows work but does not lose it.
#[must_use]
pub fn stability(signals: &Steadiness) -> f64 {
    let restarts = if signals.restarts > 0.0 { signals.restarts } else { 0.0 };
    100.0
        * ratio(signals.ready_ratio)
        * (1.0 - ratio(signals.error_ratio))
        * (1.0 - ratio(signals.contention) / 2.0)
        * (1.0 / (1.0 + restarts / HALVING_RESTARTS))
}

/// 50 at the reference, 67 at half of it, 33 at the double, 100 for free; [`NEUTRAL`] where one is not known.
#[must_use]
pub fn cost(hourly: Option<f64>, reference: Option<f64>) -> f64 {
    match (hourly, reference) {
        (Some(hourly), Some(reference)) if hourly >= 0.0 && reference > 0.0 => {
            100.0 * (1.0 - ratio(hourly / (hourly + reference)))
        }
        _ => NEUTRAL,
    }
}

impl PowerModel {
    /// Watts at a CPU utilisation between 0 and 1.
    #[must_use]
    pub fn watts(&self, utilisation: f64) -> f64 {
        self.idle + (self.busy - self.idle) * ratio(utilisation)
    }
}

impl Prices {
    /// Price of an hour at `watts`; `None` when nothing is known, not even in part.
    #[must_use]
    pub fn hourly(&self, watts: Option<f64>) -> Option<f64> {
        let energy = watts.zip(self.kilowatt_hour).map(|(watts, price)| watts / 1000.0 * price);
        [self.node, self.licences, energy].into_iter().flatten().reduce(|sum, part| sum + part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::load::limiting, *};

    const STEADY: Steadiness =
        Steadiness { ready_ratio: 1.0, error_ratio: 0.0, contention: 0.0, restarts: 0.0 };

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn headroom_is_the_capacity_score_until_work_waits() {
        let score = |used, pressure, throttled, disk| {
            let cpu = Usage { capacity: 1.0, used, pressure: Some(pressure), throttled: Some(throttled) };
            capacity(limiting(&cpu, &Usage::default(), &Usage::default()), &cpu, disk)
        };
        near(score(0.0, 0.0, 0.0, None), 100.0);
        near(score(0.4, 0.0, 0.0, Some(0.0)), 60.0);
        near(score(0.4, 0.5, 0.0, None), 45.0);
        near(score(0.4, 0.0, 1.0, None), 30.0);
        near(score(0.4, 0.0, 0.0, Some(0.5)), 45.0);
        near(score(1.0, 1.0, 1.0, Some(1.0)), 0.0);
    }

    #[test]
    fn each_slow_signal_alone_lowers_stability() {
        near(stability(&STEADY), 100.0);
        near(stability(&Steadiness { ready_ratio: 0.9, ..STEADY }), 90.0);
        near(stability(&Steadiness { error_ratio: 0.25, ..STEADY }), 75.0);
        near(stability(&Steadiness { contention: 1.0, ..STEADY }), 50.0);
        near(stability(&Steadiness { restarts: 4.0, ..STEADY }), 50.0);
    }

    #[test]
    fn contention_is_the_worst_of_its_signals() {
        let cpu = Usage { pressure: Some(0.2), throttled: Some(0.7), ..Usage::default() };
        let memory = Usage { pressure: Some(0.4), ..Usage::default() };
        near(contention(&cpu, &memory), 0.7);
        near(contention(&Usage::default(), &Usage::default()), 0.0);
    }

    #[test]
    fn cost_is_relative_to_the_reference_and_neutral_without_one() {
        near(cost(Some(0.2), Some(0.2)), 50.0);
        near(cost(Some(0.1), Some(0.2)), 100.0 * 2.0 / 3.0);
        near(cost(Some(0.4), Some(0.2)), 100.0 / 3.0);
        near(cost(Some(0.0), Some(0.2)), 100.0);
        for (hourly, reference) in
            [(None, Some(0.2)), (Some(0.2), None), (Some(0.2), Some(0.0)), (Some(-1.0), Some(1.0))]
        {
            near(cost(hourly, reference), NEUTRAL);
        }
    }

    #[test]
    fn energy_counts_only_with_a_price_and_a_power_model() {
        let power = PowerModel { idle: 100.0, busy: 300.0 };
        near(power.watts(0.5), 200.0);
        let prices = Prices { node: Some(0.2), licences: Some(0.05), kilowatt_hour: Some(0.5) };
        near(prices.hourly(Some(200.0)).unwrap(), 0.35);
        near(prices.hourly(None).unwrap(), 0.25);
        assert_eq!(Prices { kilowatt_hour: Some(0.5), ..Prices::default() }.hourly(None), None);
        assert_eq!(Prices::default().hourly(Some(200.0)), None);
    }

    proptest! {
        #[test]
        fn scores_are_between_0_and_100_for_any_numbers(
            signals: [f64; 4], used: f64, limit: f64, pressure: Option<f64>, throttled: Option<f64>,
            hourly: Option<f64>, reference: Option<f64>, disk: Option<f64>,
        ) {
            let [ready_ratio, error_ratio, contention, restarts] = signals;
            let cpu = Usage { capacity: limit, used, pressure, throttled };
            let scores = [
                capacity(limiting(&cpu, &cpu, &cpu), &cpu, disk),
                stability(&Steadiness { ready_ratio, error_ratio, contention, restarts }),
                cost(hourly, reference),
            ];
            prop_assert!(scores.iter().all(|score| (0.0..=100.0).contains(score)), "{:?}", scores);
        }
    }
}
