//! Rows of `status.shadow` and `status.outcomes`: which there are, when they are worth a write, and those of others.

use std::{cmp::Reverse, time::Duration};

use foreshift_api::{
    Decimal, JournalRoute,
    journal_route::{ClassOutcome, Range, ShadowVerdict},
    wire::{CLASS_LENGTH, MOST_OUTCOMES, MOST_VERDICTS, OUTCOME_LIFETIME},
};
use foreshift_engine::shadow::{Interval, Verdict};
use foreshift_view::convert::ToApi;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::assigner::{ClassSeen, Seen};

/// Rows of outcomes that one replica tells of; the classes with the most entries come first.
const MOST_OWN_OUTCOMES: usize = 64;

const _: () = assert!(foreshift_frontends::assign::LONGEST_CLASS == CLASS_LENGTH);

/// By then an outcome is written again, and sooner if it moved.
const TOLD_ANEW_AFTER: Duration = Duration::from_secs(OUTCOME_LIFETIME.get().as_secs() / 2);
const SHORTEST: Duration = Duration::from_mins(1);

/// What is no more than noise: points of affinity, and part of the entries that failed.
const SAME_AFFINITY: i32 = 5;
const SAME_ERRORS: f64 = 0.05;

/// The rows of one replica at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    at: Duration,
    shadow: Vec<ShadowVerdict>,
    outcomes: Vec<ClassOutcome>,
}

impl Rows {
    /// What the replica `observer` has to tell.
    #[must_use]
    pub fn of(seen: &Seen, observer: &str) -> Self {
        let shadow = seen.alternates.iter().filter_map(|alternate| {
            alternate.verdict.as_ref().map(|verdict| told(&alternate.alternate, verdict, observer))
        });
        Self { at: seen.at, shadow: shadow.collect(), outcomes: outcomes(seen, observer) }
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shadow.is_empty() && self.outcomes.is_empty()
    }

    /// Whether it is worth a write after `before` was written.
    #[must_use]
    pub fn is_due(&self, before: &Self) -> bool {
        if self.shadow != before.shadow {
            return true;
        }
        let since = self.at.saturating_sub(before.at);
        let moved = self.outcomes.len() != before.outcomes.len()
            || self.outcomes.iter().zip(&before.outcomes).any(|(now, before)| differs(now, before));
        (moved && since >= SHORTEST) || (!self.outcomes.is_empty() && since >= TOLD_ANEW_AFTER)
    }
}

/// The rows of all replicas: `own`, and those of others that still hold and are of a resource of the route.
#[must_use]
pub fn merged(route: &JournalRoute, own: &Rows, observer: &str) -> (Vec<ShadowVerdict>, Vec<ClassOutcome>) {
    let spec = &route.spec;
    let is_named = |name: &str| {
        spec.lead.service == name || spec.alternates.iter().any(|alternate| alternate.service == name)
    };
    let young = |at: &Time, most: Duration| own.at.saturating_sub(at.0.as_duration().unsigned_abs()) < most;
    let holds_for = spec.shadow.as_ref().map_or(Duration::ZERO, |shadow| shadow.every.get() * 3);
    let status = route.status.as_ref();
    let (mut shadow, mut outcomes) = (own.shadow.clone(), own.outcomes.clone());
    shadow.extend(
        status
            .iter()
            .flat_map(|status| &status.shadow)
            .filter(|row| row.observer != observer && is_named(&row.resource) && young(&row.at, holds_for))
            .cloned(),
    );
    outcomes.extend(
        status
            .iter()
            .flat_map(|status| &status.outcomes)
            .filter(|row| {
                row.observer != observer && is_named(&row.resource) && young(&row.at, OUTCOME_LIFETIME.get())
            })
            .cloned(),
    );
    shadow.truncate(MOST_VERDICTS);
    outcomes.truncate(MOST_OUTCOMES);
    (shadow, outcomes)
}

/// A verdict as the row of one observer.
#[must_use]
pub fn told(alternate: &str, verdict: &Verdict, observer: &str) -> ShadowVerdict {
    ShadowVerdict {
        resource: alternate.into(),
        observer: observer.into(),
        at: time(verdict.at),
        readiness: verdict.readiness.to_api(),
        samples: verdict.entries.into(),
        latency_ratio: verdict.latency_ratio.high.is_finite().then(|| range(verdict.latency_ratio)),
        excess_errors: range(verdict.excess_errors),
    }
}

/// What was seen of each class on each resource, as the rows of one observer.
#[must_use]
pub fn outcomes(seen: &Seen, observer: &str) -> Vec<ClassOutcome> {
    let mut outcomes: Vec<ClassOutcome> = seen
        .classes
        .iter()
        .filter(|class| class.outcome.samples >= 1.0 && class.class.chars().count() <= CLASS_LENGTH)
        .map(|class| outcome(class, observer, seen.at))
        .collect();
    outcomes.sort_by_key(|row| Reverse(row.samples));
    outcomes.truncate(MOST_OWN_OUTCOMES);
    outcomes.sort_by(|a, b| (&a.resource, &a.class).cmp(&(&b.resource, &b.class)));
    outcomes
}

fn outcome(seen: &ClassSeen, observer: &str, at: Duration) -> ClassOutcome {
    ClassOutcome {
        resource: seen.resource.to_string(),
        class: seen.class.clone(),
        observer: observer.into(),
        at: time(at),
        affinity: seen.affinity.round() as i32,
        samples: seen.outcome.samples.round() as i64,
        error_ratio: Decimal::rounded(seen.outcome.error_ratio, 4),
        mean_service_time: seen.outcome.mean_service_time.map(|seconds| Decimal::rounded(seconds, 6)),
    }
}

fn differs(a: &ClassOutcome, b: &ClassOutcome) -> bool {
    (&a.resource, &a.class) != (&b.resource, &b.class)
        || a.affinity.abs_diff(b.affinity) >= SAME_AFFINITY.unsigned_abs()
        || (a.error_ratio.get() - b.error_ratio.get()).abs() >= SAME_ERRORS
}

fn range(interval: Interval) -> Range {
    Range { low: Decimal::rounded(interval.low, 4), high: Decimal::rounded(interval.high, 4) }
}

/// Whole seconds, as the API keeps them.
fn time(since_1970: Duration) -> Time {
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use foreshift_api::journal_route::ShadowReadiness;
    use foreshift_engine::{
        impact::Outcome,
        shadow::{Observation, Shadow, Trial, View},
    };

    use super::*;

    const AT: Duration = Duration::from_hours(500_000);

    fn class(resource: &str, class: &str, samples: f64, affinity: f64) -> ClassSeen {
        let outcome = Outcome { samples, error_ratio: 0.012_34, mean_service_time: Some(0.020_000_4) };
        ClassSeen { resource: resource.into(), class: class.into(), affinity, outcome }
    }

    fn judged(copies: u32, at: Duration) -> View {
        let mut trial = Trial::default();
        for _ in 0..copies {
            trial.observe(Observation::Original(Some(0.01)));
            trial.observe(Observation::Copy(None));
        }
        View {
            alternate: "b".into(),
            is_warm: true,
            primed: (100, 100),
            copies: 0,
            under_way: 0,
            hold: None,
            verdict: Some(trial.judge(&Shadow::default(), at)),
        }
    }

    fn seen(at: Duration, alternates: Vec<View>, classes: Vec<ClassSeen>) -> Seen {
        Seen { at, asked: Some(Shadow::default()), alternates, classes }
    }

    fn route(status: &Rows) -> JournalRoute {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "foreshift.dev/v1alpha1", "kind": "JournalRoute",
            "metadata": {"name": "journal", "namespace": "shop"},
            "spec": {"lead": {"service": "a", "port": 80}, "alternates": [{"service": "b", "port": 80}],
                "target": {"service": "journal"}, "shadow": {}},
            "status": {"shadow": status.shadow, "outcomes": status.outcomes},
        }))
        .unwrap()
    }

    #[test]
    fn rows_tell_verdicts_and_what_entries_took() {
        let rows = Rows::of(&seen(AT, vec![judged(100, AT)], vec![class("a", "audit", 40.4, 61.6)]), "pod");
        let shadow = &rows.shadow[0];
        assert_eq!((shadow.resource.as_str(), shadow.readiness), ("b", ShadowReadiness::NotReady));
        assert_eq!((shadow.samples, shadow.latency_ratio), (100, None));
        let row = &rows.outcomes[0];
        assert_eq!((row.class.as_str(), row.affinity, row.samples), ("audit", 62, 40));
        assert_eq!(
            (row.error_ratio, row.mean_service_time),
            ("0.0123".parse().unwrap(), Some("0.02".parse().unwrap()))
        );
        assert_eq!(row.at, shadow.at);
    }

    #[test]
    fn as_many_rows_as_the_lists_hold_and_those_with_most_entries_first() {
        let classes =
            (0..32).flat_map(|n| ["a", "b", "c"].map(|r| class(r, &format!("c{n}"), f64::from(n), 50.0)));
        let rows = Rows::of(&seen(AT, vec![], classes.collect()), "pod");
        assert_eq!(rows.outcomes.len(), MOST_OWN_OUTCOMES);
        assert!(rows.outcomes.iter().all(|row| row.samples >= 10));
        let long = class("a", &"x".repeat(CLASS_LENGTH + 1), 9.0, 50.0);
        assert!(Rows::of(&seen(AT, vec![], vec![long, class("a", "rare", 0.4, 50.0)]), "pod").is_empty());
    }

    #[test]
    fn a_new_verdict_is_told_at_once_and_outcomes_seldom() {
        let at = |seconds, affinity, copies| {
            let now = AT + Duration::from_secs(seconds);
            let alternates = if copies > 0 { vec![judged(copies, AT)] } else { vec![] };
            Rows::of(&seen(now, alternates, vec![class("a", "audit", 40.0, affinity)]), "pod")
        };
        let before = at(0, 50.0, 0);
        for (rows, expected, why) in [
            (at(5, 50.0, 100), true, "a verdict"),
            (at(5, 90.0, 0), false, "moved, but just told"),
            (at(60, 54.0, 0), false, "noise"),
            (at(60, 55.0, 0), true, "moved"),
            (at(299, 50.0, 0), false, "still believed"),
            (at(300, 50.0, 0), true, "about to be forgotten"),
        ] {
            assert_eq!(rows.is_due(&before), expected, "{why}");
        }
        assert!(!Rows::default().is_due(&Rows::default()));
    }

    #[test]
    fn rows_of_others_stay_while_they_hold_and_those_of_this_replica_are_replaced() {
        let of = |observer: &str, at: Duration| {
            Rows::of(&seen(at, vec![judged(100, at)], vec![class("a", "audit", 40.0, 50.0)]), observer)
        };
        let joined = |rows: [Rows; 3]| Rows {
            at: AT,
            shadow: rows.iter().flat_map(|rows| rows.shadow.clone()).collect(),
            outcomes: rows.iter().flat_map(|rows| rows.outcomes.clone()).collect(),
        };
        let minutes = |n| AT.saturating_sub(Duration::from_mins(n));
        let status = joined([of("me", minutes(5)), of("twin", minutes(9)), of("gone", minutes(31))]);
        let (shadow, outcomes) = merged(&route(&status), &of("me", AT), "me");
        let names = |rows: Vec<(&str, &Time)>| -> Vec<(String, bool)> {
            rows.iter().map(|(name, at)| ((*name).to_owned(), **at == time(AT))).collect()
        };
        let expected = [("me".to_owned(), true), ("twin".to_owned(), false)];
        assert_eq!(names(shadow.iter().map(|row| (row.observer.as_str(), &row.at)).collect()), expected);
        assert_eq!(names(outcomes.iter().map(|row| (row.observer.as_str(), &row.at)).collect()), expected);
    }

    #[test]
    fn rows_of_a_resource_that_the_route_does_not_name_any_more_go() {
        let foreign = Rows::of(&seen(AT, vec![], vec![class("z", "audit", 40.0, 50.0)]), "twin");
        assert_eq!(merged(&route(&foreign), &Rows::default(), "me"), (vec![], vec![]));
    }
}
