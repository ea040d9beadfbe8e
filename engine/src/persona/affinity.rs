//! Affinity by observation: what entries of each class took on a node, and how that compares with other nodes.
//!
//! The law is that of [`crate::impact`], for batches: 50 where a node does as the others do, 67 where a success
//! takes half of their time, 33 where it takes twice as long, drawn to 50 while entries are few or long ago.

use std::{collections::BTreeMap, time::Duration};

use super::{decay::DecayedCount, score::NEUTRAL, within};
use crate::impact::{LEAST_WORK, MOST_CLASSES, MOST_WORK};

/// Name of the class of all entries that have none of their own.
pub const OTHER: &str = "other";

/// Longest name of a class, in bytes; a longer one counts as [`OTHER`].
pub const CLASS_BYTES: usize = 64;

/// What is learned counts half after this long.
pub const HALF_LIFE: Duration = Duration::from_mins(5);

/// As many entries without a difference are believed in beforehand.
const PRIOR: f64 = 20.0;

/// Entries (decayed) below which a class gives up its place.
const SILENT: f64 = 1.0;

/// Entries of one class that were answered between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batch {
    /// All of them.
    pub entries: f64,
    /// Those that failed.
    pub errors: f64,
    /// Seconds that the others took together: a fast error is no fast success.
    pub seconds: f64,
}

/// Entries of one class that were answered lately; those of the past count less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    entries: DecayedCount,
    errors: DecayedCount,
    seconds: DecayedCount,
}

/// What is learned of a node: at most [`MOST_CLASSES`] classes, [`OTHER`] among them.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    classes: BTreeMap<String, Tally>,
}

impl Batch {
    /// The same within what can be; nothing where the time is not known, which would pass for no time at all.
    fn sound(self) -> Self {
        if !self.seconds.is_finite() {
            return Self::default();
        }
        let entries = within(self.entries, 0.0, 1e12, 0.0);
        let errors = within(self.errors, 0.0, entries, 0.0);
        let served = entries - errors;
        Self { entries, errors, seconds: within(self.seconds, served * LEAST_WORK, served * MOST_WORK, 0.0) }
    }
}

impl Tally {
    /// From what was published of it.
    #[must_use]
    pub fn resumed(entries: f64, error_ratio: f64, mean: Option<f64>) -> Self {
        let mut tally = Self::default();
        let errors = entries * error_ratio;
        tally.add(match mean {
            Some(mean) => Batch { entries, errors, seconds: mean * (entries - errors) }.sound(),
            None => Batch { entries: errors, errors, seconds: 0.0 }.sound(),
        });
        tally
    }

    /// Entries, 0 or more.
    #[must_use]
    pub fn entries(&self) -> f64 {
        self.entries.get()
    }

    /// Part of the entries that failed, 0 to 1.
    #[must_use]
    pub fn error_ratio(&self) -> f64 {
        if self.entries.get() > 0.0 { (self.errors.get() / self.entries.get()).min(1.0) } else { 0.0 }
    }

    /// Seconds that a success took on average; `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let served = self.entries.get() - self.errors.get();
        (served > 1e-9).then(|| self.seconds.get() / served)
    }

    /// Seconds until an entry has succeeded when those that fail are sent again; `None` without any success.
    #[must_use]
    pub fn time_to_success(&self) -> Option<f64> {
        self.mean().map(|mean| mean / self.successes())
    }

    /// 0 to 100 against nodes where a success takes `reference` seconds; without such nodes only errors count.
    #[must_use]
    pub fn affinity(&self, reference: Option<f64>) -> f64 {
        let sure = self.entries.get() / (self.entries.get() + PRIOR);
        let reference = reference.filter(|seconds| *seconds > 0.0 && seconds.is_finite());
        let ratio = match (reference, self.time_to_success()) {
            (Some(others), Some(own)) => others.max(LEAST_WORK) / own.max(LEAST_WORK),
            _ => self.successes(),
        };
        let ratio = ratio.clamp(1e-6, 1e6).powf(sure);
        100.0 * ratio / (1.0 + ratio)
    }

    /// Part of the entries that did not fail, above 0 to 1.
    fn successes(&self) -> f64 {
        1.0 - self.errors.get() / (self.entries.get() + 1.0)
    }

    fn add(&mut self, batch: Batch) {
        let count = |sum: &mut DecayedCount, value: f64| *sum = DecayedCount::new(sum.get() + value);
        count(&mut self.entries, batch.entries);
        count(&mut self.errors, batch.errors);
        count(&mut self.seconds, batch.seconds);
    }

    fn fade(&mut self, elapsed: Duration) {
        for sum in [&mut self.entries, &mut self.errors, &mut self.seconds] {
            sum.observe(0.0, elapsed, HALF_LIFE);
        }
    }
}

impl Outcomes {
    /// Entries of `class` were answered. A class that is new takes the place of one that fell silent; where there is
    /// none, its entries are those of [`OTHER`].
    pub fn observe(&mut self, class: &str, batch: Batch) {
        let batch = batch.sound();
        if batch.entries > 0.0 {
            self.place(class).add(batch);
        }
    }

    /// Goes on with what was known of a class.
    pub fn resume(&mut self, class: &str, tally: Tally) {
        *self.place(class) = tally;
    }

    /// Time went by: what is known counts less, and what is hardly known any more is forgotten.
    pub fn fade(&mut self, elapsed: Duration) {
        self.classes.retain(|_, tally| {
            tally.fade(elapsed);
            tally.entries() >= SILENT / 100.0
        });
    }

    /// The classes by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.classes.iter().map(|(class, tally)| (class.as_str(), tally))
    }

    fn place(&mut self, class: &str) -> &mut Tally {
        let named = !class.is_empty() && class.len() <= CLASS_BYTES && class != OTHER;
        let class = if named && self.admits(class) { class } else { OTHER };
        if !self.classes.contains_key(class) {
            self.classes.insert(class.to_owned(), Tally::default());
        }
        self.classes.entry(class.to_owned()).or_default()
    }

    fn admits(&mut self, class: &str) -> bool {
        let named = self.classes.len() - usize::from(self.classes.contains_key(OTHER));
        if self.classes.contains_key(class) || named + 1 < MOST_CLASSES {
            return true;
        }
        let silent = self.classes.iter().filter(|(name, tally)| *name != OTHER && tally.entries() < SILENT);
        let Some(silent) = silent.map(|(name, _)| name.clone()).next() else { return false };
        self.classes.remove(&silent);
        true
    }
}

/// Affinity of a node: the mean over its classes, weighted by their entries; [`NEUTRAL`] without any.
#[must_use]
pub fn mean(classes: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let (sum, weight) = classes
        .into_iter()
        .filter(|(score, entries)| score.is_finite() && *entries > 0.0)
        .fold((0.0, 0.0), |(sum, weight), (score, entries)| (sum + score * entries, weight + entries));
    if weight > 0.0 { within(sum / weight, 0.0, 100.0, NEUTRAL) } else { NEUTRAL }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(entries: f64, errors: f64, seconds: f64) -> Tally {
        let mut outcomes = Outcomes::default();
        outcomes.observe("a", Batch { entries, errors, seconds });
        outcomes.iter().next().map_or_else(Tally::default, |(_, tally)| *tally)
    }

    fn near(value: f64, expected: f64, within: f64) {
        assert!((value - expected).abs() < within, "{value} is not {expected}");
    }

    #[test]
    fn twice_as_fast_is_two_thirds_and_twice_as_slow_is_one_third() {
        let node = tally(2000.0, 0.0, 20.0);
        near(node.affinity(Some(0.02)), 200.0 / 3.0, 0.5);
        near(node.affinity(Some(0.005)), 100.0 / 3.0, 0.5);
        near(node.affinity(Some(0.01)), NEUTRAL, 1e-9);
        assert_eq!(node.affinity(None), NEUTRAL, "nobody to compare with");
        near(tally(2.0, 0.0, 0.02).affinity(Some(0.02)), NEUTRAL, 2.0);
    }

    #[test]
    fn errors_are_never_fast() {
        let honest = tally(2000.0, 0.0, 20.0);
        let failing = tally(4000.0, 2000.0, 20.0);
        assert_eq!(failing.mean(), honest.mean(), "the time of errors is not that of successes");
        near(failing.affinity(Some(0.01)), 100.0 / 3.0, 0.5);
        assert!(failing.affinity(None) < 40.0, "also without a reference");
        assert!(tally(2000.0, 2000.0, 0.0).affinity(Some(0.01)) < 1.0, "nothing succeeds");
    }

    #[test]
    fn a_flood_of_classes_ends_in_other_and_a_silent_class_gives_up_its_place() {
        let mut outcomes = Outcomes::default();
        let one = Batch { entries: 10.0, errors: 0.0, seconds: 1.0 };
        for n in 0..500 {
            outcomes.observe(&format!("class-{n:03}"), one);
        }
        outcomes.observe(&"x".repeat(CLASS_BYTES + 1), one);
        outcomes.observe("", one);
        assert_eq!(outcomes.iter().count(), MOST_CLASSES);
        let other = outcomes.iter().find(|(class, _)| *class == OTHER).map(|(_, tally)| tally.entries());
        near(other.unwrap_or(0.0), f64::from((500 - 31 + 2) * 10), 1e-6);
        outcomes.fade(4 * HALF_LIFE);
        outcomes.observe("late", one);
        assert!(outcomes.iter().any(|(class, _)| class == "late") && outcomes.iter().count() <= MOST_CLASSES);
    }

    #[test]
    fn what_is_not_seen_any_more_fades_and_is_forgotten() {
        let mut outcomes = Outcomes::default();
        outcomes.observe("a", Batch { entries: 400.0, errors: 0.0, seconds: 4.0 });
        outcomes.fade(HALF_LIFE);
        let (_, half) = outcomes.iter().next().expect("it is known");
        near(half.entries(), 200.0, 1e-6);
        near(half.mean().unwrap_or(0.0), 0.01, 1e-9);
        outcomes.fade(20 * HALF_LIFE);
        assert_eq!(outcomes.iter().count(), 0);
    }

    #[test]
    fn what_was_published_is_where_it_goes_on() {
        let tally = Tally::resumed(100.0, 0.25, Some(0.02));
        near(tally.entries(), 100.0, 1e-9);
        near(tally.error_ratio(), 0.25, 1e-9);
        near(tally.mean().unwrap_or(0.0), 0.02, 1e-9);
        for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
            let tally = Tally::resumed(nonsense, nonsense, Some(nonsense));
            assert!(tally.entries().is_finite() && (0.0..=1.0).contains(&tally.error_ratio()));
        }
    }

    #[test]
    fn a_node_is_the_mean_of_its_classes_by_entries() {
        assert_eq!(mean([]), NEUTRAL);
        assert_eq!(mean([(80.0, 3.0), (40.0, 1.0), (f64::NAN, 9.0), (0.0, 0.0)]), 70.0);
    }

    proptest! {
        #[test]
        fn no_numbers_make_a_score_that_is_none(
            batches in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>(), 0_u64..1000), 0..20),
            reference: Option<f64>,
        ) {
            let mut outcomes = Outcomes::default();
            for (entries, errors, seconds, elapsed) in batches {
                outcomes.observe("a", Batch { entries, errors, seconds });
                outcomes.fade(Duration::from_secs(elapsed));
            }
            for (_, tally) in outcomes.iter() {
                prop_assert!((0.0..=100.0).contains(&tally.affinity(reference)));
                prop_assert!((0.0..=1.0).contains(&tally.error_ratio()));
                prop_assert!(tally.time_to_success().is_none_or(|seconds| seconds >= 0.0 && seconds.is_finite()));
            }
        }
    }
}
