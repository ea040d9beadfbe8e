//! Words of the engine as the API shows them, and back. Every match is exhaustive: a word that one side adds does not
//! compile until the other has it.

use foreshift_api::journal_route as api;
use foreshift_engine::{decision, forecast, resource};

/// A word of the engine that the API shows.
pub trait ToApi {
    /// The type of the API.
    type Api;

    /// The word as the API shows it.
    fn to_api(self) -> Self::Api;
}

/// A word of the API that the engine understands.
pub trait ToEngine {
    /// The type of the engine.
    type Engine;

    /// The word as the engine knows it.
    fn to_engine(self) -> Self::Engine;
}

macro_rules! same_words {
    ($($engine:ty => $api:ty: $($word:ident),+;)+) => {
        $(impl ToApi for $engine {
            type Api = $api;

            fn to_api(self) -> $api {
                match self { $(Self::$word => <$api>::$word),+ }
            }
        })+
    };
}

same_words! {
    decision::Phase => api::Phase: Steady, WarmingUp, Shifting, Shifted, Returning, Degraded;
    decision::Trigger => api::Trigger:
        Forecast, Saturation, Headroom, Rebalance, Membership, Silence, WarmUp;
    decision::Suppression => api::Suppression:
        Hits, HoldDown, Settling, DeadBand, StalePersona, NoPersonas;
    decision::Trouble => api::Trouble: Failing, Unanswered, Silent;
    resource::Freshness => api::Freshness: Fresh, Aged, Absent;
    resource::Readiness => api::ShadowReadiness: Ready, NotReady, Inconclusive;
    forecast::Rung => api::Forecaster: Model, Holt, LastValue, Reactive;
}

impl ToEngine for api::Phase {
    type Engine = decision::Phase;

    /// A route that observes or is suspended moves nothing.
    fn to_engine(self) -> decision::Phase {
        match self {
            Self::Steady | Self::Observing | Self::Suspended => decision::Phase::Steady,
            Self::WarmingUp => decision::Phase::WarmingUp,
            Self::Shifting => decision::Phase::Shifting,
            Self::Shifted => decision::Phase::Shifted,
            Self::Returning => decision::Phase::Returning,
            Self::Degraded => decision::Phase::Degraded,
        }
    }
}

impl ToEngine for api::ShadowReadiness {
    type Engine = resource::Readiness;

    fn to_engine(self) -> resource::Readiness {
        match self {
            Self::Ready => resource::Readiness::Ready,
            Self::NotReady => resource::Readiness::NotReady,
            Self::Inconclusive => resource::Readiness::Inconclusive,
        }
    }
}
