//! Which windows may be learned from, which tune and which judge: series split by time and by name, never mixed.
//!
//! A window belongs to a part only if its whole context and all that is forecast from it lie inside; so no load
//! is seen on both sides of a cut.

use std::ops::Range;

use foreshift_predictor::{HEADS, LAST_HORIZON, WINDOW, outcome};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use crate::noise::log_uniform;

/// Shares of a series by time: the first to learn from, the next to tune with, the rest to judge by.
const FIT_SHARE: f64 = 0.6;
const TUNE_SHARE: f64 = 0.1;

/// Least unit of a series, as share of its mean load; a series that hardly moves would weigh without bound.
const LEAST_UNIT: f64 = 0.005;

/// Range of the random factor that puts traces to different levels, far beyond what a node can serve: demand is not
/// bounded by capacity.
const LEVELLING: Range<f64> = 0.1..10.0;

/// Samples that are averaged into one for a trace's coarser views.
const COARSENINGS: [usize; 4] = [1, 2, 3, 5];

/// A part of every series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The gradients see it.
    Fit,
    /// Choices of people and early looks see it.
    Tune,
    /// Both of these: what a cluster may learn from before its newest loads judge.
    Known,
    /// Only reports see it.
    Test,
}

/// Loads on an even grid.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name within its data set.
    pub name: String,
    /// Offered load, oldest first.
    pub loads: Vec<f64>,
    /// Whether the series serves the report alone.
    pub held_out: bool,
    /// Index of the first sample to judge by, where it is not a share of the series but a time that all series of a set
    /// have in common. Outside of the series when it ended before that time, or began after it.
    pub judged_from: Option<i64>,
}

/// Windows that share a weight in training.
#[derive(Debug)]
pub struct Pool {
    /// Each with its unit.
    series: Vec<(f64, Series)>,
    /// Series and end (exclusive) of each window.
    windows: Vec<(usize, usize)>,
    levelled: bool,
    weight: f64,
}

/// The pools a network learns from.
#[derive(Debug, Default)]
pub struct Mixture {
    pools: Vec<Pool>,
}

/// One window with what followed it.
#[derive(Clone, Debug)]
pub struct Example {
    /// Loads, oldest first.
    pub window: [f32; WINDOW],
    /// What came to pass, head by head.
    pub truth: [f64; HEADS],
    /// Mean absolute step of the series, in units of load: what errors are counted in.
    pub unit: f64,
}

impl Series {
    /// Fewest samples of a series with one window in its part to learn from.
    pub const SHORTEST: usize = (WINDOW + LAST_HORIZON) * 10 / 7 + 1;

    /// A series of one's own, by its name.
    #[must_use]
    pub fn new(name: impl Into<String>, loads: Vec<f64>) -> Self {
        Self { name: name.into(), loads, held_out: false, judged_from: None }
    }

    /// Index of the first sample to judge by; see [`Series::judged_from`].
    #[must_use]
    pub fn cut(&self) -> i64 {
        self.judged_from.unwrap_or(((FIT_SHARE + TUNE_SHARE) * self.loads.len() as f64) as i64)
    }

    /// The samples of a part; a series that is held out has nothing but test samples, from its end as any other.
    #[must_use]
    pub fn range(&self, part: Part) -> Range<usize> {
        let count = self.loads.len();
        let tune = usize::try_from(self.cut()).unwrap_or(0).min(count);
        let known =
            if self.judged_from.is_some() { tune as f64 / (FIT_SHARE + TUNE_SHARE) } else { count as f64 };
        let fit = (FIT_SHARE * known) as usize;
        match part {
            Part::Test => tune..self.loads.len(),
            _ if self.held_out => 0..0,
            Part::Fit => 0..fit,
            Part::Tune => fit..tune,
            Part::Known => 0..tune,
        }
    }

    /// The same series with so many samples averaged into one.
    #[must_use]
    pub fn coarser(&self, factor: usize) -> Self {
        let average = |chunk: &[f64]| chunk.iter().sum::<f64>() / chunk.len() as f64;
        Self {
            loads: self.loads.chunks_exact(factor.max(1)).map(average).collect(),
            // Rounded down: the sample that the cut falls into judges.
            judged_from: self.judged_from.map(|cut| cut.div_euclid(factor.max(1) as i64)),
            ..self.clone()
        }
    }

    /// Ends (exclusive) of the windows that lie in a range together with what is forecast from them.
    #[must_use]
    pub fn window_ends(range: &Range<usize>) -> Range<usize> {
        let first = range.start + WINDOW;
        first..(range.end + 1).saturating_sub(LAST_HORIZON).max(first)
    }

    /// Mean absolute step over the fit part, in units of load: the yardstick of this series' errors.
    #[must_use]
    pub fn unit(&self) -> f64 {
        let fit = &self.loads[..(FIT_SHARE * self.loads.len() as f64) as usize];
        let steps = fit.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>();
        let count = fit.len().max(2) as f64;
        (steps / (count - 1.0)).max(LEAST_UNIT * fit.iter().sum::<f64>() / count).max(1e-6)
    }

    /// The window that ends at `end` (exclusive) and what followed.
    #[must_use]
    pub fn example(&self, end: usize, unit: f64) -> Option<Example> {
        let start = end.checked_sub(WINDOW)?;
        let past: &[f64; WINDOW] = self.loads.get(start..end)?.first_chunk()?;
        let truth = outcome(&self.loads[end..])?;
        Some(Example { window: past.map(|load| load as f32), truth, unit })
    }
}

impl Pool {
    /// The windows of one part of some traces, at weight 1.
    ///
    /// A trace's step and unit say nothing about a node, so it is also seen at coarser steps, and each sample is moved
    /// to a random level.
    #[must_use]
    pub fn of_traces(series: &[Series], part: Part) -> Self {
        let views =
            series.iter().flat_map(|series| COARSENINGS.map(|factor| series.coarser(factor))).collect();
        Self { levelled: true, ..Self::of(views, |series| series.range(part)) }
    }

    /// The newest windows to learn from of some series, so many in all, at weight 1 and as they are.
    #[must_use]
    pub fn newest(series: &[Series], most: usize) -> Self {
        let mut pool = Self::of(series.to_vec(), |series| series.range(Part::Known));
        // Newest by their distance from the cut, which is the same time for all series.
        let cut = |index: usize| pool.series[index].1.cut();
        pool.windows.sort_by_key(|&(index, at)| (cut(index) - at as i64, index));
        pool.windows.truncate(most);
        pool
    }

    /// All windows of some episodes, at weight 1.
    #[must_use]
    pub fn of_episodes(series: Vec<Series>) -> Self {
        Self::of(series, |series| 0..series.loads.len())
    }

    /// The same pool with another share of the samples, against those of other pools.
    #[must_use]
    pub fn weighing(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    fn of(series: Vec<Series>, range: impl Fn(&Series) -> Range<usize>) -> Self {
        let ends = series.iter().map(|series| Series::window_ends(&range(series))).enumerate();
        let windows = ends.flat_map(|(index, ends)| ends.map(move |end| (index, end))).collect();
        let series = series.into_iter().map(|series| (series.unit(), series)).collect();
        Self { series, windows, levelled: false, weight: 1.0 }
    }

    /// See [`Pool::weighing`].
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Windows in the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there is nothing to learn from.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    fn draw(&self, rng: &mut Pcg64Mcg) -> Option<Example> {
        let &(series, end) = self.windows.get(rng.random_range(0..self.windows.len()))?;
        let (unit, series) = &self.series[series];
        let example = series.example(end, *unit)?;
        if !self.levelled {
            return Some(example);
        }
        let level = log_uniform(LEVELLING, rng);
        Some(Example {
            window: example.window.map(|load| load * level as f32),
            truth: example.truth.map(|load| load * level),
            unit: example.unit * level,
        })
    }
}

impl Mixture {
    /// A mixture of the pools that hold anything.
    #[must_use]
    pub fn new(pools: Vec<Pool>) -> Self {
        Self { pools: pools.into_iter().filter(|pool| !pool.is_empty()).collect() }
    }

    /// A random window: first the pool by weight, then any of its windows. `None` if there are none at all.
    pub fn draw(&self, rng: &mut Pcg64Mcg) -> Option<Example> {
        let total: f64 = self.pools.iter().map(|pool| pool.weight).sum();
        let mut ticket = rng.random_range(0.0..1.0) * total;
        for pool in &self.pools {
            ticket -= pool.weight;
            if ticket < 0.0 {
                return pool.draw(rng);
            }
        }
        self.pools.last()?.draw(rng)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn series(held_out: bool) -> Series {
        Series { held_out, ..Series::new("s", (0..500).map(f64::from).collect()) }
    }

    /// All samples that a window of a part touches, context and truth.
    fn touched(series: &Series, part: Part) -> Range<usize> {
        let ends = Series::window_ends(&series.range(part));
        ends.start - WINDOW..ends.end - 1 + LAST_HORIZON
    }

    #[test]
    fn no_sample_is_seen_on_both_sides_of_a_cut() {
        let series = series(false);
        assert_eq!(touched(&series, Part::Fit), 0..300);
        assert_eq!(touched(&series, Part::Tune), 300..350);
        assert_eq!(touched(&series, Part::Test), 350..500);
    }

    #[test]
    fn a_cut_in_time_puts_whole_pieces_on_either_side_of_it() {
        for (judged_from, fit, known, test) in [
            (350, 0..300, 0..350, 350..500),
            (140, 0..120, 0..140, 140..500),
            (-20, 0..0, 0..0, 0..500),
            (900, 0..428, 0..500, 500..500),
        ] {
            let series = Series { judged_from: Some(judged_from), ..series(false) };
            let ranges = [Part::Fit, Part::Known, Part::Test].map(|part| series.range(part));
            assert_eq!(ranges, [fit, known, test], "{judged_from}");
        }
        let late = Series { judged_from: Some(351), ..series(false) };
        assert_eq!(late.coarser(2).range(Part::Test), 175..250, "the sample of both sides judges");
    }

    #[test]
    fn the_newest_windows_are_those_just_before_the_cut() {
        let old = Series { judged_from: Some(600), ..series(false) };
        let new = Series { judged_from: Some(400), ..series(false) };
        let pool = Pool::newest(&[old, new], 100);
        assert!(
            pool.windows.iter().all(|&(index, _)| index == 1),
            "the old piece ended 100 samples before the cut"
        );
        assert_eq!(pool.windows[0], (1, 392));
    }

    #[test]
    fn a_series_that_is_held_out_teaches_nothing() {
        assert!(Pool::of_traces(&[series(true)], Part::Fit).is_empty());
        assert_eq!(touched(&series(true), Part::Test), 350..500);
    }

    #[test]
    fn an_example_is_a_window_and_what_followed() {
        let example = series(false).example(100, 1.0).unwrap();
        assert_eq!((example.window[0] as u32, example.window[WINDOW - 1] as u32), (68, 99));
        assert_eq!(example.truth.map(|load| load as u32), [100, 101, 103, 107, 107]);
        assert!(series(false).example(493, 1.0).is_none(), "nothing follows the last loads");
    }

    #[test]
    fn a_series_too_short_for_a_window_has_none() {
        let series = Series { loads: vec![1.0; 30], ..series(false) };
        assert!(Series::window_ends(&series.range(Part::Fit)).is_empty());
    }

    #[test]
    fn pools_are_drawn_by_weight() {
        let flat = |load: f64| Series { loads: vec![load; 100], ..series(false) };
        let pools = [(0.2, 3.0), (0.9, 1.0)];
        let mixture = Mixture::new(
            pools.map(|(load, weight)| Pool::of_episodes(vec![flat(load)]).weighing(weight)).into(),
        );
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let low = (0..4000).filter(|_| mixture.draw(&mut rng).unwrap().window[0] < 0.5).count();
        assert!((2850..3150).contains(&low), "{low} of 4000");
        assert!(Mixture::default().draw(&mut rng).is_none());
    }
}
