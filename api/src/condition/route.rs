//! Conditions of a `JournalRoute`.

use super::{ConditionStatus, words};

crate::vocabulary! {
    /// Condition types of a `JournalRoute`.
    pub enum RouteCondition {
        /// The spec is valid.
        Accepted,
        /// Every Service that the spec names exists and can be used as it asks.
        ResolvedRefs,
        /// Fresh personas of the lead and of at least one alternate are available.
        PersonasFresh,
        /// The best forecaster that the spec allows is in use.
        ForecastTrusted,
        /// Shadow entries show that every alternate is fit; only on routes with `spec.shadow`.
        ShadowReady,
        /// Every endpoint that was called answered the warm-up hook; only on routes with `spec.warmUp.hook`.
        HookAnswered,
        /// The API server has confirmed the EndpointSlices of the shares in force.
        Programmed,
        /// Another writer keeps changing what the route owns; `False` is the healthy status.
        Contested,
    }
}

crate::vocabulary! {
    /// Reasons of the conditions of a `JournalRoute`.
    pub enum RouteReason {
        /// The spec is valid.
        Accepted,
        /// This version does not support the kind of target that the spec names.
        UnsupportedTarget,
        /// An older route already owns the target.
        TargetTaken,
        /// Every Service exists and can be used as the spec asks.
        Resolved,
        /// The spec is not accepted, so its references were not checked.
        NotAccepted,
        /// A resource has no ready endpoint and gets no entries.
        NoEndpoints,
        /// The target Service does not exist.
        TargetNotFound,
        /// The target Service has a selector, so Kubernetes itself writes its EndpointSlices.
        TargetHasSelector,
        /// The target Service is of type `ExternalName` and has no endpoints.
        TargetIsExternal,
        /// The target Service has no port.
        TargetHasNoPort,
        /// The Service of the lead or of an alternate does not exist.
        ServiceNotFound,
        /// The Service of the lead or of an alternate lacks the port that the spec names.
        PortNotFound,
        /// No port of the target leads to the port of a resource.
        PortNotMatched,
        /// The personas of the lead and of at least one alternate are fresh.
        Fresh,
        /// Personas that a decision needs are aged or absent; the shares stay.
        PersonasMissing,
        /// The model forecasts.
        Model,
        /// The spec asks for no forecast.
        Reactive,
        /// A forecaster below the model is in use; the message says why.
        Fallback,
        /// Shadow entries show that every alternate is fit.
        Ready,
        /// Shadow entries show that an alternate is unfit; it gets no entries.
        NotReady,
        /// Too few shadow entries were seen to judge an alternate.
        Inconclusive,
        /// Every endpoint that was called answered the hook.
        Answered,
        /// The hook is being called; the first share waits for the answers.
        Calling,
        /// An endpoint did not answer the hook; the ramp goes on without it.
        GivenUp,
        /// The EndpointSlices are as planned.
        Programmed,
        /// The current spec is invalid; the last valid one stays in force.
        InForce,
        /// The spec is invalid and no earlier one is known; nothing was written.
        NotValid,
        /// The API server rejected or did not answer a write.
        WriteFailed,
        /// `spec.mode` is `Observe`, so nothing is written.
        Observing,
        /// No endpoint is available to list for the target.
        NothingToList,
        /// Another writer changes the EndpointSlices of the target.
        AnotherWriter,
        /// No other writer changes what the route owns.
        Alone,
    }
}

impl RouteReason {
    /// The condition that it belongs to.
    #[must_use]
    pub const fn condition(self) -> RouteCondition {
        match self {
            Self::Accepted | Self::UnsupportedTarget | Self::TargetTaken => RouteCondition::Accepted,
            Self::Resolved
            | Self::NotAccepted
            | Self::NoEndpoints
            | Self::TargetNotFound
            | Self::TargetHasSelector
            | Self::TargetIsExternal
            | Self::TargetHasNoPort
            | Self::ServiceNotFound
            | Self::PortNotFound
            | Self::PortNotMatched => RouteCondition::ResolvedRefs,
            Self::Fresh | Self::PersonasMissing => RouteCondition::PersonasFresh,
            Self::Model | Self::Reactive | Self::Fallback => RouteCondition::ForecastTrusted,
            Self::Ready | Self::NotReady | Self::Inconclusive => RouteCondition::ShadowReady,
            Self::Answered | Self::Calling | Self::GivenUp => RouteCondition::HookAnswered,
            Self::Programmed
            | Self::InForce
            | Self::NotValid
            | Self::WriteFailed
            | Self::Observing
            | Self::NothingToList => RouteCondition::Programmed,
            Self::AnotherWriter | Self::Alone => RouteCondition::Contested,
        }
    }

    /// The status that it implies.
    #[must_use]
    pub const fn status(self) -> ConditionStatus {
        match self {
            Self::Accepted
            | Self::Resolved
            | Self::Fresh
            | Self::Model
            | Self::Reactive
            | Self::Ready
            | Self::Answered
            | Self::Programmed
            | Self::InForce
            | Self::AnotherWriter => ConditionStatus::True,
            Self::NotAccepted | Self::Inconclusive | Self::Calling => ConditionStatus::Unknown,
            Self::UnsupportedTarget
            | Self::TargetTaken
            | Self::NoEndpoints
            | Self::TargetNotFound
            | Self::TargetHasSelector
            | Self::TargetIsExternal
            | Self::TargetHasNoPort
            | Self::ServiceNotFound
            | Self::PortNotFound
            | Self::PortNotMatched
            | Self::PersonasMissing
            | Self::Fallback
            | Self::NotReady
            | Self::GivenUp
            | Self::NotValid
            | Self::WriteFailed
            | Self::Observing
            | Self::NothingToList
            | Self::Alone => ConditionStatus::False,
        }
    }
}

words!(RouteCondition, RouteReason);
