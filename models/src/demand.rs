//! Demand on which a forecast has to prove useful: bursts made of real arrivals, and scripted ramps.
//!
//! Arrivals of the azure-llm trace come in blocks drawn with repetition from one part of it, so that validation and test
//! share no second; costs are drawn for each arrival. A step is 15 s.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, StandardNormal};
use rand_pcg::Pcg64Mcg;

use crate::contest::{LAST_VALUE, Round};
use crate::windows::Series;

/// Seconds of a step, and of a block of arrivals.
pub const STEP: usize = 15;
const BLOCK: usize = 180;

/// Steps of a drawn series.
const LENGTH: usize = 6_000;

/// Spread of the cost of an entry, as deviation of the logarithm.
const COST_SPREAD: f64 = 0.8;

/// Share of the steps above [`FULL`], as in the study that set the goals.
const OVERLOADED: f64 = 0.043;

/// Load from which work is in excess.
pub const FULL: f64 = 0.95;

/// Share of the work that may be shifted, and steps until a shift takes effect (30 s).
const SHIFTED: f64 = 0.08;
const DELAY_HEAD: usize = 1;
const DELAY: usize = 2;

/// Offered load in steps of 15 s from arrivals in seconds; `part` is the share of the trace that is drawn from.
#[must_use]
pub fn bursty(arrivals: &Series, part: std::ops::Range<f64>, seed: u64) -> Series {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let at = |share: f64| (share * arrivals.loads.len() as f64) as usize;
    let source = &arrivals.loads[at(part.start)..at(part.end)];
    // Loads of the trace are counts over a capacity; the smallest above zero is one arrival.
    let one = source.iter().copied().filter(|load| *load > 0.0).fold(f64::INFINITY, f64::min);
    let mut seconds = Vec::with_capacity(LENGTH * STEP + BLOCK);
    while seconds.len() < LENGTH * STEP {
        let start = rng.random_range(0..source.len().saturating_sub(BLOCK).max(1));
        for load in source.iter().skip(start).take(BLOCK) {
            let count = (load / one).round() as usize;
            let costs = (0..count)
                .map(|_| LogNormal::new(0.0, COST_SPREAD).map_or(1.0, |cost| cost.sample(&mut rng)));
            seconds.push(costs.sum::<f64>());
        }
    }
    let mut loads: Vec<f64> =
        seconds.chunks_exact(STEP).take(LENGTH).map(|chunk| chunk.iter().sum()).collect();
    let mut sorted = loads.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let capacity = sorted[((1.0 - OVERLOADED) * sorted.len() as f64) as usize] / FULL;
    for load in &mut loads {
        *load /= capacity;
    }
    Series::new("bursty demand", loads)
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

/// Work beyond [`FULL`] that is left when 8 % of it are shifted by a forecast that takes effect after 30 s, over what is left
/// when they are shifted by the last value.
#[must_use]
pub fn excess_over_reactive(loads: &[f64], rounds: &[Round], who: usize) -> f64 {
    let left = |who: usize| {
        let wanted: Vec<(f64, f64)> = rounds
            .iter()
            .filter_map(|round| {
                let came = *loads.get(round.at + DELAY)?;
                let forecast = round.predictions[who][DELAY_HEAD];
                // The reactive rule knows the last value alone, without margins.
                Some((if who == LAST_VALUE { loads[round.at] } else { forecast.p90 }, came))
            })
            .collect();
        excess(&wanted)
    };
    left(who) / left(LAST_VALUE).max(f64::MIN_POSITIVE)
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

    #[test]
    fn demand_is_as_overloaded_as_it_is_said_to_be_and_a_seed_draws_it_twice() {
        let arrivals = Series::new("a", (0..2000).map(|second| f64::from(second % 7)).collect());
        let drawn = bursty(&arrivals, 0.0..0.5, 3);
        let over = drawn.loads.iter().filter(|load| **load > FULL).count() as f64 / drawn.loads.len() as f64;
        assert!((over - OVERLOADED).abs() < 0.002, "{over}");
        assert_eq!(drawn.loads, bursty(&arrivals, 0.0..0.5, 3).loads);
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
