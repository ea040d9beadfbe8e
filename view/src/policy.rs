//! What the spec of a route asks of the engine.

use std::time::Duration;

use foreshift_api::{JournalRouteSpec, journal_route as api};
use foreshift_engine::{
    forecast::Quantile,
    policy::{FailurePolicy, Limits, Objective, Policy, WarmUp, Weights},
    shadow::Shadow,
};

/// What a spec asks of the engine.
#[must_use]
pub fn policy(spec: &JournalRouteSpec) -> Policy {
    let (objective, default) = (&spec.objective, Policy::default());
    let least = Duration::from_secs(1);
    Policy {
        objective: Objective {
            lead_load: objective.lead_load.get(),
            alternate_load: objective.alternate_load.get(),
            saturation: objective.saturation.get(),
            horizon: objective.horizon.get().map_or(default.objective.horizon, |horizon| horizon.max(least)),
            quantile: match objective.quantile {
                api::Quantile::P50 => Quantile::P50,
                api::Quantile::P90 => Quantile::P90,
                api::Quantile::P99 => Quantile::P99,
            },
        },
        weights: Weights {
            affinity: f64::from(spec.weights.affinity),
            stability: f64::from(spec.weights.stability),
            cost: f64::from(spec.weights.cost),
        },
        limits: Limits {
            min_lead_share: spec.limits.min_lead_share.permille(),
            max_step: spec.limits.max_step.permille(),
            hold_down: spec.limits.hold_down.get(),
            max_share_per_alternate: spec.limits.max_share_per_alternate.permille(),
        },
        warm_up: WarmUp {
            duration: spec.warm_up.duration.get(),
            minimum: spec.warm_up.minimum_share.fraction(),
            aggression: spec.warm_up.aggression.get(),
        },
        failure: match spec.failure_policy {
            api::FailurePolicy::FailOpen => FailurePolicy::FailOpen,
            api::FailurePolicy::LeadOnly => FailurePolicy::LeadOnly,
        },
    }
}

/// How a spec asks to try alternates.
#[must_use]
pub fn shadow(spec: &api::Shadow) -> Shadow {
    Shadow {
        every: spec.every.get(),
        duration: spec.duration.get(),
        percent: f64::from(spec.percent),
        min_entries: u32::try_from(spec.min_entries).unwrap_or(1),
        max_error_ratio: spec.max_error_ratio.get(),
        max_latency_ratio: spec.max_latency_ratio.get(),
        required: spec.required,
    }
}
