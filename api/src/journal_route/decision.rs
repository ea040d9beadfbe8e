//! The words of a decision, as the status of a route shows them. The engine has the same words of its decisions;
//! `foreshift_view::convert` maps one to the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Phase of a route.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The lead takes every entry.
    #[default]
    Steady,
    /// An alternate is being brought up to its share.
    WarmingUp,
    /// Shares are moving away from the lead.
    Shifting,
    /// Alternates take a part of the entries; no share moves.
    Shifted,
    /// Shares are coming back to the lead.
    Returning,
    /// Decisions cannot be made as they should; see the conditions.
    Degraded,
    /// `spec.mode` is `Observe`.
    Observing,
    /// `spec.suspend` is set.
    Suspended,
}

/// What triggered a change of shares.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The forecast exceeds the objective.
    Forecast,
    /// Saturation is observed.
    Saturation,
    /// The lead has had room again for a while.
    Headroom,
    /// An alternate is above its objective.
    Rebalance,
    /// A resource was added, was removed or failed its gates.
    Membership,
    /// The personas of an alternate stopped.
    Silence,
    /// The warm-up of an alternate advanced.
    WarmUp,
}

/// What held a change back.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suppression {
    /// Not enough consecutive ticks asked for it yet.
    Hits,
    /// `spec.limits.holdDown` since the last move away from the lead has not passed.
    HoldDown,
    /// The last large step has not taken effect yet.
    Settling,
    /// The change is too small to matter.
    DeadBand,
    /// The persona of the lead is too old.
    StalePersona,
    /// No persona of any resource is available.
    NoPersonas,
}

/// Age of what is known of a resource.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Recent enough to act on.
    Fresh,
    /// Too old to act on: the resource keeps its share and gets no more.
    Aged,
    /// No persona is available.
    #[default]
    Absent,
}

/// Why an alternate is ejected: its share goes to other resources although its endpoints are ready.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Its entries fail.
    Failing,
    /// Its entries are not answered.
    Unanswered,
    /// Its personas stopped while those of other resources go on.
    Silent,
}

/// What made a forecast: the rungs of the ladder, best first.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forecaster {
    /// The load model that `modelDigest` names.
    Model,
    /// Damped Holt smoothing.
    Holt,
    /// The last value plus a margin.
    LastValue,
    /// No forecast; only observed saturation moves entries.
    #[default]
    Reactive,
}
