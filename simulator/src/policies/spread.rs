//! Shares in force, and shares on their way: what everybody needs who decides by shares.

use std::collections::VecDeque;

use crate::{fleet::Fleet, source::Entry};

/// How the entries of one route are spread over its resources.
#[derive(Clone, Debug, PartialEq)]
pub enum Spread {
    /// By weight over the resources, lead first; evenly over the endpoints of each.
    Weights(Vec<f64>),
    /// Evenly over these endpoints.
    Endpoints(Vec<u16>),
}

/// A value that takes effect some seconds after it was decided.
#[derive(Clone, Debug)]
pub(super) struct Delayed<T> {
    in_force: T,
    coming: VecDeque<(u64, T)>,
    delay: u64,
}

impl Spread {
    /// Everything to the lead.
    #[must_use]
    pub fn lead_only(members: usize) -> Self {
        let mut weights = vec![0.0; members];
        weights[0] = 1.0;
        Self::Weights(weights)
    }

    /// The endpoint for an entry: a random one by share, as a gateway or kube-proxy picks it. What is listed and not
    /// ready is passed over where others are ready, as retries would.
    #[must_use]
    pub fn choose(&self, entry: &Entry, fleet: &Fleet) -> u16 {
        let route = usize::from(entry.route);
        match self {
            Self::Weights(weights) => {
                let members = &fleet.layout().pools[route].members;
                let sum: f64 = weights.iter().sum();
                let mut left = entry.uniform(0) * sum;
                let mut fallback = None;
                for (&member, &weight) in members.iter().zip(weights) {
                    let ready = fleet.ready_of(member);
                    if ready.is_empty() {
                        left -= weight;
                        continue;
                    }
                    if fallback.is_none() || weight > 0.0 {
                        fallback = Some(ready);
                    }
                    if left < weight {
                        break;
                    }
                    left -= weight;
                }
                fallback
                    .map_or_else(|| anybody(route, entry, fleet), |ready| ready[entry.one_of(ready.len(), 7)])
            }
            Self::Endpoints(listed) if listed.is_empty() => anybody(route, entry, fleet),
            Self::Endpoints(listed) => {
                let first = entry.one_of(listed.len(), 0);
                let turns = (0..listed.len()).map(|turn| listed[(first + turn) % listed.len()]);
                turns.clone().find(|&endpoint| fleet.is_ready(endpoint)).unwrap_or(listed[first])
            }
        }
    }

    /// Shares of a route's resources, lead first; they sum to 1.
    #[must_use]
    pub fn shares(&self, route: usize, fleet_layout: &crate::fleet::Layout) -> Vec<f64> {
        let members = &fleet_layout.pools[route].members;
        let weights: Vec<f64> = match self {
            Self::Weights(weights) => weights.clone(),
            Self::Endpoints(listed) => {
                let of = |endpoint: &&u16, member: u16| {
                    fleet_layout.endpoints[usize::from(**endpoint)].resource == member
                };
                members.iter().map(|&member| listed.iter().filter(|e| of(e, member)).count() as f64).collect()
            }
        };
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| if sum > 0.0 { weight / sum } else { 0.0 }).collect()
    }
}

/// Nobody has a share and is ready: any endpoint, so that entries always have somewhere to go.
fn anybody(route: usize, entry: &Entry, fleet: &Fleet) -> u16 {
    let ready = fleet.pool(route);
    if ready.is_empty() {
        let lead = fleet.layout().pools[route].members[0];
        let first = fleet.layout().endpoints.iter().position(|endpoint| endpoint.resource == lead);
        return first.unwrap_or_default() as u16;
    }
    ready[entry.one_of(ready.len(), 7)]
}

impl<T: PartialEq> Delayed<T> {
    /// A value in force; what is decided later takes effect after `delay` seconds.
    pub(super) fn new(in_force: T, delay: u64) -> Self {
        Self { in_force, coming: VecDeque::new(), delay }
    }

    /// What is in force.
    pub(super) fn get(&self) -> &T {
        &self.in_force
    }

    /// At second `now` this was decided.
    pub(super) fn decide(&mut self, now: u64, value: T) {
        let newest = self.coming.back().map_or(&self.in_force, |(_, value)| value);
        if *newest != value {
            self.coming.push_back((now + self.delay, value));
        }
        while let Some((_, value)) = self.coming.pop_front_if(|(at, _)| *at <= now) {
            self.in_force = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_takes_effect_after_its_delay_in_order() {
        let mut value = Delayed::new(0, 3);
        let seen: Vec<i32> = (0..8)
            .map(|now| {
                value.decide(now, if now < 2 { 1 } else { 2 });
                *value.get()
            })
            .collect();
        assert_eq!(seen, [0, 0, 0, 1, 1, 2, 2, 2]);
    }
}
