//! Conditions of a `LoadModel`.

use super::{ConditionStatus, words};

crate::vocabulary! {
    /// Condition types of a `LoadModel`.
    pub enum ModelCondition {
        /// The newest files were found and passed every check.
        Sound,
    }
}

crate::vocabulary! {
    /// Reasons of the conditions of a `LoadModel`.
    pub enum ModelReason {
        /// The model passed every check in a separate process.
        Proved,
        /// The newest files are missing or failed a check; the message says why.
        Refused,
    }
}

impl ModelReason {
    /// The condition that it belongs to.
    #[must_use]
    pub const fn condition(self) -> ModelCondition {
        match self {
            Self::Proved | Self::Refused => ModelCondition::Sound,
        }
    }

    /// The status that it implies.
    #[must_use]
    pub const fn status(self) -> ConditionStatus {
        match self {
            Self::Proved => ConditionStatus::True,
            Self::Refused => ConditionStatus::False,
        }
    }
}

words!(ModelCondition, ModelReason);
