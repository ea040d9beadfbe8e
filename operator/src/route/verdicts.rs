//! What the entry router tells of a route's resources: shadow verdicts open and close the gate of an alternate,
//! outcomes of entries rank it.

use std::time::Duration;

use foreshift_api::{
    JournalRoute,
    journal_route::{ClassOutcome, ShadowVerdict},
    wire::OUTCOME_LIFETIME,
};
use foreshift_engine::{
    resource::Readiness,
    shadow::{Interval, Shadow, Verdict},
};
use foreshift_view::{convert::ToEngine, resources::Measured, time::since_epoch};

use super::validate::ValidRoute;

/// What all replicas of the router together say of one alternate.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    /// Name of the Service.
    pub alternate: String,
    /// What follows.
    pub readiness: Readiness,
    /// The verdict that it follows from, if one still holds.
    pub by: Option<Verdict>,
}

/// Sets the readiness of every alternate and the affinity of every resource from what the router told; `None` for a
/// route without shadow entries.
pub fn judge(
    route: &JournalRoute,
    valid: &ValidRoute,
    measured: &mut [Measured],
    now: Duration,
) -> Option<Vec<Verdicts>> {
    let Some(status) = &route.status else {
        return valid.shadow.map(|shadow| gate(&shadow, &[], measured, now));
    };
    for m in measured.iter_mut() {
        if let Some(affinity) = affinity(&status.outcomes, &m.resource.name, now) {
            m.resource.scores.affinity = affinity;
        }
    }
    valid.shadow.map(|shadow| gate(&shadow, &status.shadow, measured, now))
}

fn gate(shadow: &Shadow, told: &[ShadowVerdict], measured: &mut [Measured], now: Duration) -> Vec<Verdicts> {
    let one = |m: &mut Measured| {
        let name = &m.resource.name;
        let verdicts: Vec<Verdict> = told.iter().filter(|v| v.resource == *name).map(verdict).collect();
        let (readiness, by) = shadow.readiness_of(&verdicts, now);
        m.resource.readiness = readiness;
        Verdicts { alternate: name.clone(), readiness, by }
    };
    measured.iter_mut().skip(1).map(one).collect()
}

/// Mean over classes and observers, weighted by the entries that each rests on; `None` where nothing lately was seen.
fn affinity(outcomes: &[ClassOutcome], resource: &str, now: Duration) -> Option<f64> {
    let recent = |o: &&ClassOutcome| {
        o.resource == resource
            && now.saturating_sub(since_epoch(o.at.0)) < OUTCOME_LIFETIME.get()
            && o.samples > 0
    };
    let (sum, samples) = outcomes.iter().filter(recent).fold((0.0, 0.0), |(sum, samples), o| {
        (sum + o.samples as f64 * f64::from(o.affinity), samples + o.samples as f64)
    });
    (samples > 0.0).then(|| (sum / samples).clamp(0.0, 100.0))
}

fn verdict(told: &ShadowVerdict) -> Verdict {
    Verdict {
        readiness: told.readiness.to_engine(),
        at: since_epoch(told.at.0),
        entries: u32::try_from(told.samples).unwrap_or(0),
        excess_errors: Interval { low: told.excess_errors.low.get(), high: told.excess_errors.high.get() },
        latency_ratio: told.latency_ratio.map_or(Interval { low: 0.0, high: f64::INFINITY }, |ratio| {
            Interval { low: ratio.low.get(), high: ratio.high.get() }
        }),
    }
}

#[cfg(test)]
mod tests {
    use foreshift_api::{
        Decimal,
        journal_route::{Range, ShadowReadiness},
    };
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::fixtures::{NOW, later, measured};

    fn told(resource: &str, observer: &str, readiness: ShadowReadiness, second: i64) -> ShadowVerdict {
        ShadowVerdict {
            resource: resource.into(),
            observer: observer.into(),
            at: Time(later(second)),
            readiness,
            samples: 200,
            latency_ratio: Some(Range { low: Decimal::new(1.1), high: Decimal::new(1.3) }),
            excess_errors: Range::default(),
        }
    }

    fn readiness(told: &[ShadowVerdict], required: bool, second: i64) -> Readiness {
        let shadow = Shadow { required, ..Shadow::default() };
        let mut all = [measured("a"), measured("b")];
        gate(&shadow, told, &mut all, since_epoch(later(second)));
        assert_eq!(all[0].resource.readiness, Readiness::Inconclusive, "the lead is not judged");
        all[1].resource.readiness
    }

    #[test]
    fn one_unfit_verdict_that_holds_closes_the_gate_and_a_fit_one_opens_it() {
        use ShadowReadiness::{Inconclusive, NotReady, Ready};
        let of = |verdicts: &[ShadowReadiness]| {
            let told: Vec<_> =
                verdicts.iter().enumerate().map(|(i, &r)| told("b", &format!("pod-{i}"), r, 0)).collect();
            readiness(&told, false, 60)
        };
        assert_eq!(of(&[]), Readiness::Inconclusive);
        assert_eq!(of(&[Ready, Inconclusive]), Readiness::Ready);
        assert_eq!(of(&[Ready, NotReady]), Readiness::NotReady);
    }

    #[test]
    fn a_verdict_on_another_alternate_or_of_long_ago_says_nothing() {
        let ready = ShadowReadiness::Ready;
        assert_eq!(readiness(&[told("c", "pod", ready, 0)], false, 60), Readiness::Inconclusive);
        assert_eq!(readiness(&[told("b", "pod", ready, 0)], false, 1799), Readiness::Ready);
        assert_eq!(readiness(&[told("b", "pod", ready, 0)], false, 1800), Readiness::Inconclusive);
        assert_eq!(readiness(&[told("b", "pod", ready, 0)], true, 1800), Readiness::NotReady);
    }

    #[test]
    fn affinity_is_the_mean_of_what_was_seen_lately_by_entries() {
        let outcome = |resource: &str, affinity, samples, second| ClassOutcome {
            resource: resource.into(),
            class: "audit".into(),
            observer: "pod".into(),
            at: Time(later(second)),
            affinity,
            samples,
            error_ratio: Decimal::default(),
            mean_service_time: None,
        };
        let outcomes = [outcome("b", 80, 300, 0), outcome("b", 40, 100, 0), outcome("b", 0, 900, -700)];
        assert_eq!(affinity(&outcomes, "b", since_epoch(NOW)), Some(70.0));
        assert_eq!(affinity(&outcomes, "a", since_epoch(NOW)), None);
        assert_eq!(affinity(&outcomes, "b", since_epoch(later(600))), None);
    }
}
