//! `JournalRoute`: a lead, its alternates, and how entries may move between them.

mod spec;
mod status;

pub use spec::{
    Classify, FailurePolicy, ForecastSpec, HeaderMatch, HeaderName, Hook, HorizonLimit, HttpRouteTarget,
    JournalRoute, JournalRouteSpec, Limits, Mode, Objective, Quantile, ResourceRef, Shadow, Strategy, Target,
    WarmUp, Weights,
};
pub use status::{JournalRouteStatus, LastDecision, Phase, ResourceShare, ScoreParts, condition};
