//! How many cores entries keep busy for each second that they were predicted to take.
//!
//! What an entry takes is learned from answers, the way there and back and every wait for a disk included; room is
//! counted in cores, as personas measure them. The ratio of the two is nearly the same wherever the entries of a
//! route go, since how fast a resource works is part of the prediction, so there is one for all.

use std::time::Duration;

use crate::persona::decay::DecayedCount;

/// Costs that rise are believed sooner than those that fall: what was used and given so long ago weighs half.
const RISING: Duration = Duration::from_secs(3);
const FALLING: Duration = Duration::from_secs(10);

/// A persona tells of a change about this much later.
const LAG: Duration = Duration::from_secs(2);

/// Before anything is seen, entries are believed to need a core for all of their time: as if this part of all cores had
/// done them.
const PRIOR: f64 = 0.05;

/// Below, what else a resource does would count more than its entries. Who needs more than was predicted is slow, which
/// the pace of its answers tells of this resource alone.
const LEAST: f64 = 0.05;
const MOST: f64 = 1.0;

/// The ratio for one route.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Intensity {
    lately: Spent,
    longer: Spent,
    /// Work given that personas do not tell of yet.
    unseen: DecayedCount,
}

/// Core seconds that were used, and seconds of predicted work that they were used for.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    used: DecayedCount,
    given: DecayedCount,
}

impl Intensity {
    /// Within the last `since`, `given` seconds of work were given to resources that now use `own_cores` for it, or would if
    /// they had them.
    pub(super) fn observe(&mut self, own_cores: f64, given: f64, since: Duration) {
        if !(own_cores > 0.0 && own_cores.is_finite() && given.is_finite()) {
            return;
        }
        let all = self.unseen.get() + given;
        self.unseen.observe(given, Duration::ZERO, LAG);
        self.unseen.observe(0.0, since, LAG);
        let (used, seen) = (own_cores * since.as_secs_f64(), all - self.unseen.get());
        self.lately.observe(used, seen, since, RISING);
        self.longer.observe(used, seen, since, FALLING);
    }

    /// Cores a second of predicted work, [`LEAST`] to [`MOST`]; 1 while little was seen. `cores` are those of all
    /// resources together.
    pub(super) fn get(&self, cores: f64) -> f64 {
        let ratio = self.lately.ratio(cores, RISING).max(self.longer.ratio(cores, FALLING));
        if ratio.is_finite() { ratio.clamp(LEAST, MOST) } else { 1.0 }
    }
}

impl Spent {
    fn observe(&mut self, used: f64, given: f64, since: Duration, half_life: Duration) {
        self.used.observe(used, since, half_life);
        self.given.observe(given, since, half_life);
    }

    fn ratio(&self, cores: f64, half_life: Duration) -> f64 {
        let prior = (PRIOR * cores * half_life.as_secs_f64()).max(f64::MIN_POSITIVE);
        (self.used.get() + prior) / (self.given.get() + prior)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after a minute in which `given` cores' worth of predictions kept `used` cores busy.
    fn after_a_minute(used: f64, given: f64, cores: f64) -> f64 {
        let mut intensity = Intensity::default();
        for _ in 0..60 {
            intensity.observe(used, given, Duration::from_secs(1));
        }
        intensity.get(cores)
    }

    #[test]
    fn it_is_what_was_used_over_what_was_given() {
        for (used, given, expected) in
            [(1.0, 1.0, 1.0), (0.5, 2.0, 0.25), (1.0, 1000.0, LEAST), (9.0, 1.0, MOST)]
        {
            let found = after_a_minute(used, given, 0.6);
            assert!((found / expected - 1.0).abs() < 0.1, "{used} of {given}: {found}");
        }
    }

    #[test]
    fn costs_that_rise_are_believed_sooner_than_those_that_fall() {
        let after = |first: f64, then: f64, seconds: u32| {
            let mut intensity = Intensity::default();
            for second in 0..60 + seconds {
                let used = if second < 60 { first } else { then };
                intensity.observe(used, 1.0, Duration::from_secs(1));
            }
            intensity.get(0.2)
        };
        let (risen, fallen) = (after(0.2, 0.4, 5), after(0.4, 0.2, 5));
        assert!(risen > 0.32 && fallen > 0.32, "{risen}, {fallen}");
        assert!(after(0.4, 0.2, 30) < 0.25);
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        for used in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(after_a_minute(used, 1.0, 4.0).to_bits(), 1.0_f64.to_bits(), "{used}");
        }
        assert!(after_a_minute(0.001, 0.01, 4.0) > 0.9, "a trickle is no proof");
    }
}
