//! Conditions of a `ResourcePersona`.

use super::{ConditionStatus, words};

crate::vocabulary! {
    /// Condition types of a `ResourcePersona`.
    pub enum PersonaCondition {
        /// The node is Ready and the agent samples it.
        Ready,
        /// The load of the limiting dimension is at saturation; `False` is the healthy status.
        Saturating,
        /// The metrics of the observed pods are read; only where a route has `spec.observation`.
        Observed,
    }
}

crate::vocabulary! {
    /// Reasons of the conditions of a `ResourcePersona`.
    pub enum PersonaReason {
        /// The agent samples the node every second.
        Sampled,
        /// The Node is not Ready.
        NodeNotReady,
        /// The agent cannot sample the node; the message says why.
        NotSampled,
        /// The load of the limiting dimension is at or above saturation.
        Full,
        /// The load of the limiting dimension is below saturation.
        Headroom,
        /// The metrics of all observed pods are read.
        Read,
        /// The metrics of an observed pod cannot be read; the message says which and why.
        NotRead,
    }
}

impl PersonaReason {
    /// The condition that it belongs to.
    #[must_use]
    pub const fn condition(self) -> PersonaCondition {
        match self {
            Self::Sampled | Self::NodeNotReady | Self::NotSampled => PersonaCondition::Ready,
            Self::Full | Self::Headroom => PersonaCondition::Saturating,
            Self::Read | Self::NotRead => PersonaCondition::Observed,
        }
    }

    /// The status that it implies.
    #[must_use]
    pub const fn status(self) -> ConditionStatus {
        match self {
            Self::Sampled | Self::Full | Self::Read => ConditionStatus::True,
            Self::NodeNotReady | Self::NotSampled | Self::Headroom | Self::NotRead => ConditionStatus::False,
        }
    }
}

words!(PersonaCondition, PersonaReason);
