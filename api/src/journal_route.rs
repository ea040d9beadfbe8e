//! `JournalRoute`: a lead, its alternates, and how entries may move between them.

mod decision;
mod observation;
mod observed;
mod spec;
mod status;

pub use decision::{Forecaster, Freshness, Phase, Suppression, Trigger, Trouble};
pub use observation::{ClassReference, Observation};
pub use observed::{ClassOutcome, Range, ShadowReadiness, ShadowVerdict};
pub use spec::{
    Classify, FailurePolicy, ForecastSpec, HeaderMatch, HeaderName, Hook, HorizonLimit, HttpRouteTarget,
    JournalRoute, JournalRouteSpec, Limits, Mode, Objective, Quantile, ResourceRef, Shadow, Strategy, Target,
    WarmUp, Weights,
};
pub use status::{JournalRouteStatus, LastDecision, ResourceShare, ScoreParts};
