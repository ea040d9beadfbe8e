//! Demand on which a forecast has to prove useful: bursts made of real arrivals, and scripted ramps.
//!
//! The protocol of bursts is that of the study which set the goals. Entries arrive as in a real trace, in its order, and cost
//! what recorded entries cost. The node is a fluid queue: what it cannot serve within a step waits. It saturates in
//! *utilisation*; whoever forecasts sees *offered demand*, the queue and the predicted work that arrived, off by 10 %.

use std::ops::Range;

use foreshift_engine::forecast::Quantiles;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_pcg::Pcg64Mcg;

use crate::contest::Round;
use crate::windows::Series;

/// Seconds of a step of the ramps.
pub const STEP: u64 = 15;

/// Load from which work is in excess, and the share of steps with such loads, as in the study.
pub const FULL: f64 = 0.95;
const OVERLOADED: f64 = 0.043;

/// Error of the predicted work of a step, as deviation of the logarithm.
const PREDICTION_ERROR: f64 = 0.1;

/// Steps of a day of requests a minute, and the entries of a step: of 15, 30, 60 and 120 the most with which the load that
/// is observed announces no more than one saturation in twenty where thresholds are chosen, as in the study.
const DAY: usize = 1440;
const ENTRIES: f64 = 30.0;

/// Times that a short trace is gone through, each time with other costs.
const REPEATED: usize = 12;

/// Share of the work that may be shifted.
const SHIFTED: f64 = 0.08;

/// Steps until a shift takes effect, and the head that forecasts so far.
const DELAY: usize = 2;
const DELAY_HEAD: usize = 1;

/// What came to a node, step by step, in units of its capacity.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Share of the capacity that was in use.
    pub utilisation: Vec<f64>,
    /// Queued and arriving predicted work.
    pub offered: Vec<f64>,
    /// Arrivals times the mean cost.
    pub by_rate: Vec<f64>,
    /// Work that arrived.
    pub arrived: Vec<f64>,
    /// Predicted work that arrived.
    pub predicted: Vec<f64>,
    queue: f64,
}

impl Demand {
    /// Requests a minute, day by day, each day with as many entries and with a node of its own size.
    ///
    /// `part` is the share of the trace that is taken; `costs` are those that entries may have.
    #[must_use]
    pub fn web(requests: &Series, part: &Range<f64>, costs: &[f64], seed: u64) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut demand = Self::default();
        for day in cut(requests, part).chunks_exact(DAY) {
            let mean = (day.iter().sum::<f64>() / DAY as f64).max(f64::MIN_POSITIVE);
            let entries: Vec<usize> = day
                .iter()
                .map(|load| {
                    Poisson::new(ENTRIES * load / mean).map_or(0.0, |count| count.sample(&mut rng)) as usize
                })
                .collect();
            demand.serve(&entries, costs, &mut rng);
        }
        demand
    }

    /// Arrivals as they are counted, over and over with other costs, at one node.
    #[must_use]
    pub fn batches(arrivals: &Series, part: &Range<f64>, costs: &[f64], seed: u64) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        // Loads of the trace are counts over a capacity; the smallest above zero is one arrival.
        let one = arrivals.loads.iter().copied().filter(|load| *load > 0.0).fold(f64::INFINITY, f64::min);
        let counts: Vec<usize> =
            cut(arrivals, part).iter().map(|load| (load / one).round() as usize).collect();
        let mut demand = Self::default();
        demand.serve(&counts.repeat(REPEATED), costs, &mut rng);
        demand
    }

    /// Goes on with so many entries a step, at a node that is as small as to be overloaded as often as in the study.
    fn serve(&mut self, entries: &[usize], costs: &[f64], rng: &mut Pcg64Mcg) {
        let work: Vec<f64> =
            entries.iter().map(|&count| (0..count).filter_map(|_| costs.choose(rng)).sum()).collect();
        let mut sorted = work.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let limit = sorted.get(((1.0 - OVERLOADED) * sorted.len() as f64) as usize).copied();
        let capacity = limit.unwrap_or_default().max(f64::MIN_POSITIVE) / FULL;
        let mean_cost = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
        for (work, &count) in work.iter().map(|work| work / capacity).zip(entries) {
            let error: f64 = StandardNormal.sample(rng);
            let predicted = work * (PREDICTION_ERROR * error).exp();
            self.offered.push(self.queue + predicted);
            self.predicted.push(predicted);
            self.arrived.push(work);
            self.by_rate.push(count as f64 * mean_cost / capacity);
            let served = (self.queue + work).min(1.0);
            self.queue += work - served;
            self.utilisation.push(served);
        }
    }
}

fn cut<'a>(series: &'a Series, part: &Range<f64>) -> &'a [f64] {
    let at = |share: f64| (share * series.loads.len() as f64) as usize;
    &series.loads[at(part.start)..at(part.end)]
}

/// Ramps from 0.4 to 1.05 within 5 to 12 minutes, a plateau, and rest, over and over, with noise.
#[must_use]
pub fn ramps(seed: u64) -> Series {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut loads = Vec::new();
    for _ in 0..60 {
        let (rest, climb) = (rng.random_range(25..50), rng.random_range(20..48));
        let mean = std::iter::repeat_n(0.4, rest)
            .chain((0..climb).map(|step| 0.4 + 0.65 * f64::from(step) / f64::from(climb)))
            .chain(std::iter::repeat_n(1.05, 12));
        for load in mean {
            let noise: f64 = StandardNormal.sample(&mut rng);
            loads.push((load + 0.02 * noise).max(0.0));
        }
    }
    Series::new("ramps", loads)
}

/// Work beyond [`FULL`] that is left when 8 % of it are shifted by a quantile of a forecast, two steps late, over what is left
/// when they are shifted by the last value; `rounds` forecast the predicted work.
#[must_use]
pub fn excess_over_reactive(
    demand: &Demand,
    rounds: &[Round],
    who: usize,
    quantile: fn(&Quantiles) -> f64,
) -> f64 {
    let left = |forecast: &dyn Fn(&Round) -> f64| {
        let came = |round: &Round| demand.arrived.get(round.at + DELAY).copied();
        let wanted: Vec<(f64, f64)> =
            rounds.iter().filter_map(|round| Some((forecast(round), came(round)?))).collect();
        excess(&wanted)
    };
    // The reactive rule knows the last value alone, without margins.
    let reactive = left(&|round| demand.predicted.get(round.at).copied().unwrap_or_default());
    left(&|round| quantile(&round.predictions[who][DELAY_HEAD])) / reactive.max(f64::MIN_POSITIVE)
}

/// Excess left with the threshold at which just [`SHIFTED`] of the work is moved.
fn excess(wanted: &[(f64, f64)]) -> f64 {
    let total: f64 = wanted.iter().map(|(_, came)| came).sum();
    let kept = |threshold: f64, forecast: f64| if forecast > threshold { threshold / forecast } else { 1.0 };
    let shifted = |threshold: f64| {
        wanted.iter().map(|&(forecast, came)| came * (1.0 - kept(threshold, forecast))).sum::<f64>() / total
    };
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if shifted(middle) > SHIFTED { low = middle } else { high = middle }
    }
    wanted.iter().map(|&(forecast, came)| (came * kept(high, forecast) - FULL).max(0.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_demand(seed: u64) -> Demand {
        let requests =
            Series::new("a", (0..2 * DAY).map(|minute| 2.0 + (minute as f64 / 200.0).sin()).collect());
        // Sums of these are hardly ever equal, so that the limit parts the steps where it should.
        Demand::web(&requests, &(0.0..1.0), &[1.03, 2.171, 9.317], seed)
    }

    #[test]
    fn demand_is_as_overloaded_as_it_is_said_to_be_and_a_seed_draws_it_twice() {
        let demand = some_demand(3);
        let over = demand.arrived.iter().filter(|load| **load > FULL).count() as f64;
        assert!((over / demand.arrived.len() as f64 - OVERLOADED).abs() < 0.002, "{over}");
        assert_eq!(demand.offered, some_demand(3).offered);
    }

    #[test]
    fn what_cannot_be_served_waits_and_no_work_is_lost() {
        let demand = some_demand(4);
        let (came, served): (f64, f64) = (demand.arrived.iter().sum(), demand.utilisation.iter().sum());
        assert!((came - served - demand.queue).abs() < 1e-6);
        assert!(demand.utilisation.iter().all(|&share| share <= 1.0));
        let waiting = demand.offered.iter().zip(&demand.predicted).filter(|(offered, came)| offered > came);
        assert!(waiting.count() > 20, "overload leaves a queue behind");
    }

    #[test]
    fn who_knows_what_comes_leaves_less_than_who_knows_what_was() {
        let loads: Vec<f64> = (0..4000).map(|step| 0.5 + 0.6 * f64::from(u8::from(step % 20 < 3))).collect();
        let knowing: Vec<(f64, f64)> = loads.iter().map(|&load| (load, load)).collect();
        let late: Vec<(f64, f64)> =
            loads.iter().skip(DELAY).zip(&loads).map(|(&came, &was)| (was, came)).collect();
        assert!(excess(&knowing) < 0.2 * excess(&late));
    }
}
