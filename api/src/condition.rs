//! Conditions of the resources: their types and reasons, and the one way to set them.
//!
//! A reason belongs to exactly one condition and implies its status, so that a writer cannot combine words that do
//! not fit. `docs/reference/conditions.md` is generated from the enums here.

mod model;
mod persona;
mod route;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub use model::{ModelCondition, ModelReason};
pub use persona::{PersonaCondition, PersonaReason};
pub use route::{RouteCondition, RouteReason};

crate::vocabulary! {
    /// Status of a condition.
    pub enum ConditionStatus {
        /// The condition holds.
        True,
        /// The condition does not hold.
        False,
        /// It cannot be determined whether the condition holds.
        Unknown,
    }
}

/// The type of a condition of one kind of resource.
pub trait ConditionType: Copy + Eq + 'static {
    /// Every type, in the order in which they are documented.
    const ALL: &'static [Self];

    /// `type` of the condition.
    fn name(self) -> &'static str;

    /// What the condition states when it is `True`.
    fn description(self) -> &'static str;
}

/// Why a condition has its status.
pub trait Reason: Copy + Eq + 'static {
    /// The conditions that reasons of this kind belong to.
    type Type: ConditionType;

    /// Every reason, in the order in which they are documented.
    const ALL: &'static [Self];

    /// `reason` of the condition.
    fn name(self) -> &'static str;

    /// What the reason means.
    fn description(self) -> &'static str;

    /// The condition that it belongs to.
    fn condition(self) -> Self::Type;

    /// The status that it implies.
    fn status(self) -> ConditionStatus;

    /// The reason of a condition; `None` if another version wrote one that is unknown here.
    #[must_use]
    fn of(condition: &Condition) -> Option<Self> {
        let named = |reason: &&Self| reason.name() == condition.reason;
        let typed = |reason: &&Self| reason.condition().name() == condition.type_;
        Self::ALL.iter().filter(typed).find(named).copied()
    }
}

impl ConditionStatus {
    /// The status of a condition; a text that is none of the three counts as `Unknown`.
    #[must_use]
    pub fn of(condition: &Condition) -> Self {
        let same = |status: &&Self| status.name() == condition.status;
        Self::ALL.iter().find(same).copied().unwrap_or(Self::Unknown)
    }
}

/// Sets the condition that `reason` belongs to. `lastTransitionTime` becomes `now` if the status changes, and stays
/// otherwise.
pub fn set_condition<R: Reason>(
    conditions: &mut Vec<Condition>,
    reason: R,
    message: impl Into<String>,
    observed_generation: Option<i64>,
    now: &Time,
) {
    let mut next = Condition {
        type_: reason.condition().name().into(),
        status: reason.status().name().into(),
        reason: reason.name().into(),
        message: message.into(),
        observed_generation,
        last_transition_time: now.clone(),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == next.type_) {
        None => conditions.push(next),
        Some(before) => {
            if before.status == next.status {
                next.last_transition_time = before.last_transition_time.clone();
            }
            *before = next;
        }
    }
}

/// The condition of one type, if it is set.
pub fn find_condition<T: ConditionType>(conditions: &[Condition], type_: T) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.name())
}

/// Whether a condition is set and `True`.
pub fn is_true<T: ConditionType>(conditions: &[Condition], type_: T) -> bool {
    find_condition(conditions, type_).is_some_and(|found| ConditionStatus::of(found) == ConditionStatus::True)
}

/// Appends the types and their meaning to the description of a `conditions` field.
pub(crate) fn types_of<T: ConditionType>(field: &mut schemars::Schema) {
    let types = T::ALL.iter().map(|type_| (type_.name(), type_.description()));
    crate::vocabulary::append(field, "Types:", types);
}

/// Implements the traits by the inherent items that [`vocabulary!`](crate::vocabulary) generates.
macro_rules! words {
    ($type:ident, $reason:ident) => {
        impl super::ConditionType for $type {
            const ALL: &'static [Self] = $type::ALL;

            fn name(self) -> &'static str {
                $type::name(self)
            }

            fn description(self) -> &'static str {
                $type::description(self)
            }
        }

        impl super::Reason for $reason {
            type Type = $type;
            const ALL: &'static [Self] = $reason::ALL;

            fn name(self) -> &'static str {
                $reason::name(self)
            }

            fn description(self) -> &'static str {
                $reason::description(self)
            }

            fn condition(self) -> $type {
                $reason::condition(self)
            }

            fn status(self) -> super::ConditionStatus {
                $reason::status(self)
            }
        }
    };
}
use words;

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_transition_time_stays_until_the_status_changes() {
        let mut conditions = Vec::new();
        for (second, reason, turned) in [
            (1, RouteReason::Programmed, 1),
            (2, RouteReason::InForce, 1),
            (3, RouteReason::Observing, 3),
            (4, RouteReason::WriteFailed, 3),
        ] {
            set_condition(&mut conditions, reason, reason.description(), Some(second), &at(second));
            let [found] = &conditions[..] else { panic!("one condition") };
            assert_eq!(found.last_transition_time, at(turned), "{reason}");
            assert_eq!((found.observed_generation, RouteReason::of(found)), (Some(second), Some(reason)));
        }
    }

    #[test]
    fn conditions_of_other_types_are_left_alone() {
        let mut conditions = Vec::new();
        set_condition(&mut conditions, RouteReason::Accepted, "", None, &at(1));
        set_condition(&mut conditions, RouteReason::WriteFailed, "", None, &at(2));
        assert!(is_true(&conditions, RouteCondition::Accepted));
        assert!(!is_true(&conditions, RouteCondition::Programmed));
        assert!(find_condition(&conditions, RouteCondition::Contested).is_none());
    }

    #[test]
    fn every_condition_has_a_reason_and_another_status_is_possible() {
        fn check<R: Reason>() {
            for &type_ in R::Type::ALL {
                let of: Vec<R> =
                    R::ALL.iter().copied().filter(|reason| reason.condition() == type_).collect();
                let is = |status| of.iter().any(|reason| reason.status() == status);
                assert!(is(ConditionStatus::True) && is(ConditionStatus::False), "{}", type_.name());
            }
        }
        check::<RouteReason>();
        check::<ModelReason>();
        check::<PersonaReason>();
    }
}
