//! What a route asks for: objective, weights, limits, warm-up. Plain numbers, no Kubernetes.

use std::time::Duration;

use crate::forecast::Quantile;

/// A route's policy. Defaults are those of the `JournalRoute` resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What the shares are planned for.
    pub objective: Objective,
    /// How much each score counts.
    pub weights: Weights,
    /// How far and how fast shares may move.
    pub limits: Limits,
    /// How an alternate is brought up to its share.
    pub warm_up: WarmUp,
    /// What happens when nothing is known of any resource.
    pub failure: FailurePolicy,
}

/// Loads to keep; 1.0 is the capacity of the limiting dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Load at which the lead is kept at most.
    pub lead_load: f64,
    /// Load to which an alternate is filled at most.
    pub alternate_load: f64,
    /// Load from which a resource counts as saturated.
    pub saturation: f64,
    /// How far ahead shares are planned.
    pub horizon: Duration,
    /// Quantile of the forecast that the plan uses.
    pub quantile: Quantile,
}

/// Weights of the scores; only their ratios matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Weight of affinity.
    pub affinity: f64,
    /// Weight of stability.
    pub stability: f64,
    /// Weight of cost.
    pub cost: f64,
}

/// How far and how fast shares may move; shares in permille.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The lead keeps at least this share while it has endpoints.
    pub min_lead_share: u16,
    /// The lead's share moves at most this much a tick, unless saturation is observed.
    pub max_step: u16,
    /// After a share moved away, nothing comes back for this long.
    pub hold_down: Duration,
    /// No alternate gets more than this.
    pub max_share_per_alternate: u16,
}

/// `share(t) = target x max(minimum, (t/duration)^(1/aggression))`: the slow start of Envoy's load balancer,
/// applied to a resource instead of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// Length of the ramp; zero turns it off.
    pub duration: Duration,
    /// Part of the target with which the ramp begins, 0 to 1.
    pub minimum: f64,
    /// Above 1 the ramp rises early, below 1 late.
    pub aggression: f64,
}

/// What happens when nothing is known of any resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Keep the last good shares; without any, spread over all endpoints.
    #[default]
    FailOpen,
    /// Everything to the lead.
    LeadOnly,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            objective: Objective {
                lead_load: 0.75,
                alternate_load: 0.75,
                saturation: 0.9,
                horizon: Duration::from_secs(4),
                quantile: Quantile::P90,
            },
            weights: Weights { affinity: 50.0, stability: 30.0, cost: 20.0 },
            limits: Limits {
                min_lead_share: 100,
                max_step: 100,
                hold_down: Duration::from_secs(30),
                max_share_per_alternate: 1000,
            },
            warm_up: WarmUp { duration: Duration::from_secs(30), minimum: 0.1, aggression: 1.0 },
            failure: FailurePolicy::FailOpen,
        }
    }
}

impl WarmUp {
    /// Part of its target that a resource may have `elapsed` after its first share, 0 to 1.
    #[must_use]
    pub fn factor(&self, elapsed: Duration) -> f64 {
        if elapsed >= self.duration {
            return 1.0;
        }
        let t = elapsed.as_secs_f64() / self.duration.as_secs_f64();
        let aggression = if self.aggression.is_nan() { 1.0 } else { self.aggression.clamp(0.1, 10.0) };
        // A minimum that is not a number counts as none.
        t.powf(1.0 / aggression).max(self.minimum).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_rises_from_its_minimum_to_the_whole_target() {
        let ramp = |aggression| WarmUp { duration: Duration::from_secs(10), minimum: 0.1, aggression };
        let at = |w: WarmUp, s: f64| w.factor(Duration::from_secs_f64(s));
        assert!((at(ramp(1.0), 0.0) - 0.1).abs() < 1e-9);
        assert!((at(ramp(1.0), 5.0) - 0.5).abs() < 1e-9);
        assert!(at(ramp(2.0), 5.0) > at(ramp(1.0), 5.0));
        assert!((at(ramp(1.0), 10.0) - 1.0).abs() < 1e-9);
        assert!((at(WarmUp { duration: Duration::ZERO, ..ramp(1.0) }, 0.0) - 1.0).abs() < 1e-9);
    }
}
