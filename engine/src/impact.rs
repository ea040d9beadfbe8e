//! What entries of a class really take on each resource: the correction of the predicted impact, and the affinity.
//!
//! A prior (a model's, or one number for all) tells how much work an entry is. The *residual* is what an entry took
//! over what was predicted. Its mean per class and resource corrects the next prediction; how it differs between
//! resources is the affinity. Both are drawn towards "no difference" while entries are few, and fade back to it
//! while none are seen.

mod classes;

use std::time::Duration;

use crate::persona::decay::DecayedCount;
use classes::Classes;
pub use classes::{MOST_CLASSES, OTHER};

/// Seconds of work that an entry counts for, at least and at most, whatever is predicted.
pub(crate) const LEAST_WORK: f64 = 1e-6;
pub(crate) const MOST_WORK: f64 = 1e6;

/// What is learned counts half after this long without entries.
const HALF_LIFE: Duration = Duration::from_mins(10);

/// As many entries without a residual are believed in beforehand.
const PRIOR: f64 = 20.0;

/// An average remembers this many entries at most, so that a busy one learns as fast as a quiet one.
const MEMORY: f64 = 500.0;

/// A single entry says no more than this factor, either way.
const LARGEST_RESIDUAL: f64 = 32.0;

/// Affinity when nothing is known.
const NEUTRAL: f64 = 50.0;

/// What was learned of each class on each resource, by their places.
#[derive(Clone, Debug, Default)]
pub struct Impacts {
    classes: Classes,
    learned: Vec<Class>,
}

/// What entries of a class came to on a resource; those of the past count less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Entries that it rests on.
    pub samples: f64,
    /// Part of them that failed, 0 to 1.
    pub error_ratio: f64,
    /// Mean seconds that those took which did not fail; none where all did.
    pub mean_service_time: Option<f64>,
}

/// What was learned of a class: on all resources, and on each.
#[derive(Clone, Debug, Default)]
struct Class {
    everywhere: Learned,
    resources: Vec<Learned>,
    /// The correction for each resource, side by side: every choice reads them all.
    factors: Vec<f64>,
}

/// Entries, errors, residuals and seconds, all of them fading.
#[derive(Clone, Copy, Debug, Default)]
struct Learned {
    entries: DecayedCount,
    errors: DecayedCount,
    served: DecayedCount,
    residuals: DecayedCount,
    seconds: DecayedCount,
    at: Duration,
}

impl Impacts {
    /// The place of a class, 0 to [`MOST_CLASSES`] - 1. A class that is not known gets one, if there is a free one or
    /// one whose class fell silent; else it is [`OTHER`].
    pub fn admit(&mut self, class: &str, now: Duration) -> usize {
        let learned = &self.learned;
        let silent = |place: usize| {
            learned.get(place).is_none_or(|class| class.everywhere.after(now).entries.get() < 1.0)
        };
        let (place, new) = self.classes.admit(class, silent);
        if new && let Some(class) = self.learned.get_mut(place) {
            *class = Class::default();
        }
        place
    }

    /// The place of a class that was admitted, else [`OTHER`]. Without allocation.
    #[must_use]
    pub fn class(&self, class: &str) -> usize {
        self.classes.place(class)
    }

    /// The classes and their places.
    pub fn classes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.classes.iter()
    }

    /// Predicted work of an entry on a resource, in seconds of one core: `prior` times what was learned. Zero where the
    /// prior is no positive number, which [`crate::assign::assign_entry`] takes for "unknown".
    #[must_use]
    pub fn predict(&self, class: usize, resource: usize, prior: f64) -> f64 {
        if prior > 0.0 { (prior * self.factor(class, resource)).min(MOST_WORK) } else { 0.0 }
    }

    /// Learns from an entry that took `service` seconds where `prior` were predicted (without the correction), or
    /// failed (`None`). A failure says nothing of how fast the resource is. `service` is what
    /// [`crate::assign::Candidates::finish`] answers.
    pub fn observe(
        &mut self,
        class: usize,
        resource: usize,
        prior: f64,
        service: Option<f64>,
        now: Duration,
    ) {
        let class = if class < MOST_CLASSES { class } else { OTHER };
        if self.learned.len() <= class {
            self.learned.resize_with(class + 1, Class::default);
        }
        let class = &mut self.learned[class];
        if class.resources.len() <= resource {
            class.resources.resize(resource + 1, Learned::default());
            class.factors.resize(resource + 1, 1.0);
        }
        class.everywhere.observe(prior, service, now);
        class.resources[resource].observe(prior, service, now);
        class.correct(resource);
    }

    /// Brings what is known to `now`; to be called once a tick.
    pub fn fade(&mut self, now: Duration) {
        for class in &mut self.learned {
            class.everywhere = class.everywhere.after(now);
            for resource in 0..class.resources.len() {
                class.resources[resource] = class.resources[resource].after(now);
                class.correct(resource);
            }
        }
    }

    /// Another resource is at this place now.
    pub fn forget(&mut self, resource: usize) {
        for class in &mut self.learned {
            if let Some(learned) = class.resources.get_mut(resource) {
                *learned = Learned::default();
                class.correct(resource);
            }
        }
    }

    /// How well a resource handles a class against the others, 0 to 100: 50 as they do, 67 where an entry is done in
    /// half of their time, 33 where it takes twice as long. Time is that of a success: with errors an entry must be
    /// done again. Of entries of ten minutes ago half are counted.
    #[must_use]
    pub fn affinity(&self, class: usize, resource: usize) -> f64 {
        let Some((class, own)) =
            self.learned.get(class).and_then(|class| Some((class, class.resources.get(resource)?)))
        else {
            return NEUTRAL;
        };
        let others = class.others(resource);
        let sure = |entries: f64| entries / (entries + PRIOR);
        let both = |entries: fn(&Learned) -> f64| sure(entries(own)) * sure(entries(&others));
        let faster = match (own.mean(), others.mean()) {
            (Some(own), Some(others)) => (others.max(1e-3) / own.max(1e-3)).powf(both(|l| l.served.get())),
            _ => 1.0,
        };
        let safer = (own.successes() / others.successes()).powf(both(|l| l.entries.get()));
        let ratio = faster * safer;
        100.0 * ratio / (1.0 + ratio)
    }

    /// Entries that the affinity rests on, those of the past counted less.
    #[must_use]
    pub fn samples(&self, class: usize, resource: usize) -> f64 {
        self.learned
            .get(class)
            .and_then(|class| class.resources.get(resource))
            .map_or(0.0, |learned| learned.entries.get())
    }

    /// What entries of a class came to on a resource; none where none were seen.
    #[must_use]
    pub fn outcome(&self, class: usize, resource: usize) -> Option<Outcome> {
        let learned = self.learned.get(class)?.resources.get(resource)?;
        let (samples, served) = (learned.entries.get(), learned.served.get());
        (samples > 0.0).then(|| Outcome {
            samples,
            error_ratio: (learned.errors.get() / samples).clamp(0.0, 1.0),
            mean_service_time: (served > 0.0).then(|| learned.seconds.get() / served),
        })
    }

    fn factor(&self, class: usize, resource: usize) -> f64 {
        let class = self.learned.get(class).or(self.learned.first());
        class.map_or(1.0, |class| match class.factors.get(resource) {
            Some(&factor) => factor,
            None => class.everywhere.shrunk(1.0),
        })
    }
}

impl Class {
    /// The resource's own mean residual, drawn towards that of the class, which is drawn towards none.
    fn correct(&mut self, resource: usize) {
        self.factors[resource] = self.resources[resource].shrunk(self.everywhere.shrunk(1.0));
    }

    /// What was learned of the class on the other resources.
    fn others(&self, resource: usize) -> Learned {
        let mut sum = Learned::default();
        for (i, learned) in self.resources.iter().enumerate() {
            if i != resource {
                sum.add(learned);
            }
        }
        sum
    }
}

impl Learned {
    fn observe(&mut self, prior: f64, service: Option<f64>, now: Duration) {
        *self = self.after(now);
        if self.entries.get() >= MEMORY {
            self.scale(MEMORY / (MEMORY + 1.0));
        }
        let count = |sum: &mut DecayedCount, value: f64| *sum = DecayedCount::new(sum.get() + value);
        count(&mut self.entries, 1.0);
        count(&mut self.errors, f64::from(u8::from(service.is_none())));
        let residual = |service: &f64| service / prior;
        if let Some(service) = service.filter(|service| residual(service) >= 0.0) {
            count(&mut self.served, 1.0);
            count(&mut self.residuals, residual(&service).clamp(1.0 / LARGEST_RESIDUAL, LARGEST_RESIDUAL));
            count(&mut self.seconds, service.clamp(LEAST_WORK, MOST_WORK));
        }
    }

    /// The same, as it counts at `now`.
    fn after(mut self, now: Duration) -> Self {
        let since = now.saturating_sub(self.at);
        for sum in self.sums() {
            sum.observe(0.0, since, HALF_LIFE);
        }
        self.at = self.at.max(now);
        self
    }

    fn scale(&mut self, factor: f64) {
        for sum in self.sums() {
            *sum = DecayedCount::new(sum.get() * factor);
        }
    }

    fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, other) in self.sums().into_iter().zip(other.sums()) {
            *sum = DecayedCount::new(sum.get() + other.get());
        }
    }

    fn sums(&mut self) -> [&mut DecayedCount; 5] {
        [&mut self.entries, &mut self.errors, &mut self.served, &mut self.residuals, &mut self.seconds]
    }

    fn mean(&self) -> Option<f64> {
        (self.served.get() > 0.0).then(|| self.residuals.get() / self.served.get())
    }

    fn shrunk(&self, towards: f64) -> f64 {
        (self.residuals.get() + PRIOR * towards) / (self.served.get() + PRIOR)
    }

    /// Part of the entries that did not fail, above 0 to 1.
    fn successes(&self) -> f64 {
        1.0 - self.errors.get() / (self.entries.get() + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREDICTED: f64 = 0.01;
    const SECOND: Duration = Duration::from_secs(1);

    fn learned(entries: &[(usize, usize, Option<f64>)]) -> Impacts {
        let mut impacts = Impacts::default();
        for &(resource, count, service) in entries {
            for _ in 0..count {
                impacts.observe(1, resource, PREDICTED, service, SECOND);
            }
        }
        impacts.fade(SECOND);
        impacts
    }

    fn near(value: f64, expected: f64, within: f64) {
        assert!((value - expected).abs() < within, "{value} is not {expected}");
    }

    #[test]
    fn a_prediction_is_the_prior_until_entries_tell_otherwise() {
        let impacts = learned(&[]);
        near(impacts.predict(1, 0, PREDICTED), PREDICTED, 1e-12);
        let few = learned(&[(0, 1, Some(0.02))]).predict(1, 0, PREDICTED);
        let many = learned(&[(0, 400, Some(0.02))]).predict(1, 0, PREDICTED);
        assert!(few > PREDICTED && few < 0.0115, "{few}");
        near(many, 0.02, 0.0005);
    }

    #[test]
    fn a_resource_without_entries_of_a_class_borrows_from_the_others() {
        let impacts = learned(&[(0, 400, Some(0.03))]);
        near(impacts.predict(1, 7, PREDICTED), 0.03, 0.002);
    }

    #[test]
    fn affinity_is_the_time_of_a_success_against_the_other_resources() {
        let of = |entries: &[(usize, usize, Option<f64>)]| {
            let impacts = learned(entries);
            (impacts.affinity(1, 0), impacts.affinity(1, 1))
        };
        let (slow, fast) = of(&[(0, 400, Some(0.02)), (1, 400, Some(0.01))]);
        near(fast, 200.0 / 3.0, 1.5);
        near(slow, 100.0 / 3.0, 1.5);
        let (few, _) = of(&[(0, 2, Some(0.02)), (1, 400, Some(0.01))]);
        near(few, NEUTRAL, 2.0);
        assert_eq!(of(&[(0, 400, Some(0.02))]), (NEUTRAL, NEUTRAL), "nothing to compare with");
    }

    #[test]
    fn fast_errors_are_errors() {
        let impacts = learned(&[(0, 200, Some(0.01)), (0, 200, None), (1, 400, Some(0.01))]);
        near(impacts.affinity(1, 0), 100.0 / 3.0, 2.0);
        near(impacts.predict(1, 0, PREDICTED), 0.01, 1e-4);
    }

    #[test]
    fn an_outcome_tells_the_time_of_what_was_served_and_counts_what_failed() {
        let impacts = learned(&[(0, 30, Some(0.02)), (0, 10, None), (1, 5, None)]);
        let outcome = impacts.outcome(1, 0).unwrap();
        near(outcome.samples, 40.0, 1e-9);
        near(outcome.error_ratio, 0.25, 1e-9);
        near(outcome.mean_service_time.unwrap(), 0.02, 1e-9);
        assert_eq!(impacts.outcome(1, 1).unwrap().mean_service_time, None);
        assert_eq!((impacts.outcome(1, 2), impacts.outcome(7, 0)), (None, None));
    }

    #[test]
    fn what_is_not_seen_any_more_fades_to_neutral() {
        let mut impacts = learned(&[(0, 400, Some(0.02)), (1, 400, Some(0.01))]);
        let before = impacts.affinity(1, 1);
        impacts.fade(Duration::from_hours(3));
        assert!(before > 65.0);
        near(impacts.affinity(1, 1), NEUTRAL, 0.1);
        near(impacts.predict(1, 0, PREDICTED), PREDICTED, 1e-4);
    }

    #[test]
    fn a_busy_average_follows_within_some_hundred_entries() {
        let impacts = learned(&[(0, 10_000, Some(0.01)), (0, 1500, Some(0.02))]);
        near(impacts.predict(1, 0, PREDICTED), 0.02, 0.002);
    }

    #[test]
    fn a_new_resource_at_an_old_place_starts_afresh() {
        let mut impacts = learned(&[(0, 400, Some(0.02)), (1, 400, Some(0.01))]);
        impacts.forget(1);
        assert_eq!((impacts.samples(1, 1), impacts.affinity(1, 1)), (0.0, NEUTRAL));
    }

    #[test]
    fn the_place_of_a_silent_class_goes_to_a_new_one_without_what_was_learned() {
        let mut impacts = Impacts::default();
        for n in 1..MOST_CLASSES {
            let place = impacts.admit(&format!("class-{n}"), SECOND);
            impacts.observe(place, 0, PREDICTED, Some(0.05), SECOND);
            impacts.observe(place, 0, PREDICTED, Some(0.05), SECOND);
        }
        assert_eq!(impacts.admit("late", SECOND), OTHER);
        let later = Duration::from_hours(2);
        let place = impacts.admit("late", later);
        assert_ne!(place, OTHER);
        near(impacts.predict(place, 0, PREDICTED), PREDICTED, 1e-12);
    }

    proptest! {
        #[test]
        fn whatever_is_observed_affinities_are_scores_and_predictions_are_numbers(
            seen in prop::collection::vec((0..40_usize, 0..4_usize, prop::num::f64::ANY, prop::option::of(prop::num::f64::ANY), any::<u32>()), 0..80),
        ) {
            let mut impacts = Impacts::default();
            for (class, resource, prior, service, at) in seen {
                impacts.observe(class, resource, prior, service, Duration::from_secs(at.into()));
                impacts.fade(Duration::from_secs(at.into()));
                let (affinity, predicted) = (impacts.affinity(class, resource), impacts.predict(class, resource, PREDICTED));
                prop_assert!((0.0..=100.0).contains(&affinity), "{affinity}");
                prop_assert!((1e-6..=1e6).contains(&predicted), "{predicted}");
            }
        }
    }
}
