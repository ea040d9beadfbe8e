//! When a new persona is worth telling: often enough to plan with, seldom enough for thousands of nodes.

use std::time::Duration;

use super::score::Scores;

/// Loads at which a publish is due whenever one is crossed: the default objective and saturation of a route.
pub const THRESHOLDS: [f64; 2] = [0.75, 0.90];

/// Never publish more often.
pub const SHORTEST: Duration = Duration::from_secs(2);

/// The load from which a crossing does not wait for [`SHORTEST`]: what shares are moved for at once.
const SATURATION: f64 = THRESHOLDS[1];

/// Publish at the latest after this much, less up to a tenth of it by jitter.
pub const LONGEST: Duration = Duration::from_mins(1);

const SCORE_CHANGE: f64 = 5.0;
const LOAD_CHANGE: f64 = 0.05;
const JITTER: f64 = 0.1;
const LEAD_LOAD: f64 = 0.3;
const LEAD_PART: f64 = 0.05;

/// What the rule compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// The scores.
    pub scores: Scores,
    /// Load of the limiting dimension.
    pub load: f64,
    /// CPU used by the observed workloads over the node's capacity; `None` while none is observed.
    pub observed: Option<f64>,
}

/// Why a publish is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing was published yet.
    First,
    /// The node saturates: told at once.
    Saturated,
    /// The load crossed one of [`THRESHOLDS`].
    Crossed,
    /// A score moved by more than 5 points, or the load by more than 0.05.
    Moved,
    /// The node carries work that the operator shifts: it plans with fresh windows.
    Leading,
    /// Nothing happened for long.
    Quiet,
}

/// Whether to publish `now`, `elapsed` after `before` was published. `jitter` between 0 and 1 spreads the
/// quiet publishes of many nodes.
#[must_use]
pub fn due(before: Option<&Snapshot>, now: &Snapshot, elapsed: Duration, jitter: f64) -> Option<Due> {
    let Some(before) = before else { return Some(Due::First) };
    if elapsed > Duration::ZERO && before.load < SATURATION && now.load >= SATURATION {
        return Some(Due::Saturated);
    }
    if elapsed < SHORTEST {
        return None;
    }
    if THRESHOLDS.iter().any(|&threshold| (before.load >= threshold) != (now.load >= threshold)) {
        return Some(Due::Crossed);
    }
    if (now.load - before.load).abs() > LOAD_CHANGE || now.scores.moved(&before.scores) {
        return Some(Due::Moved);
    }
    // The last publish of a node that stops to lead says so: readers know by it how long silence is normal.
    if now.leads() || before.leads() {
        return Some(Due::Leading);
    }
    (elapsed >= LONGEST.mul_f64(1.0 - JITTER * super::ratio(jitter))).then_some(Due::Quiet)
}

/// How much later than it was made a publish counts as made, `elapsed` after the one before: what did not wait for
/// [`SHORTEST`] takes that from the next, so that a minute never has more of them.
#[must_use]
pub fn early_by(elapsed: Duration) -> Duration {
    SHORTEST.saturating_sub(elapsed)
}

impl Snapshot {
    /// Workloads are observed, and they or the node's load matter enough to plan every two seconds.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.observed.is_some_and(|part| part >= LEAD_PART || self.load > LEAD_LOAD)
    }
}

impl Scores {
    fn moved(&self, before: &Self) -> bool {
        [
            self.capacity - before.capacity,
            self.stability - before.stability,
            self.affinity - before.affinity,
            self.cost - before.cost,
        ]
        .iter()
        .any(|change| change.abs() > SCORE_CHANGE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(load: f64) -> Snapshot {
        let scores = Scores { capacity: 60.0, stability: 90.0, affinity: 50.0, cost: 50.0 };
        Snapshot { scores, load, observed: None }
    }

    fn after(seconds: u64, before: &Snapshot, now: &Snapshot) -> Option<Due> {
        due(Some(before), now, Duration::from_secs(seconds), 0.0)
    }

    #[test]
    fn the_first_persona_is_told_at_once() {
        assert_eq!(due(None, &at(0.1), Duration::ZERO, 0.0), Some(Due::First));
    }

    #[test]
    fn what_moved_or_crossed_a_threshold_is_told_after_two_seconds() {
        let cases = [
            (at(0.40), at(0.44), None),
            (at(0.40), at(0.46), Some(Due::Moved)),
            (at(0.40), at(0.34), Some(Due::Moved)),
            (at(0.74), at(0.76), Some(Due::Crossed)),
            (at(0.91), at(0.89), Some(Due::Crossed)),
            (at(0.91), at(1.9), Some(Due::Moved)),
        ];
        for (before, now, expected) in cases {
            assert_eq!(after(1, &before, &now), None);
            assert_eq!(after(2, &before, &now), expected, "{} to {}", before.load, now.load);
        }
    }

    #[test]
    fn a_node_that_saturates_is_told_at_once_and_never_more_than_thirty_times_a_minute() {
        assert_eq!(after(1, &at(0.5), &at(1.2)), Some(Due::Saturated));
        let (mut counted, mut published, mut before) = (Duration::ZERO, 0, at(0.5));
        for second in 1..=60 {
            let now = Duration::from_secs(second);
            let next = at(if second % 3 == 0 { 1.2 } else { 0.5 });
            let elapsed = now.saturating_sub(counted);
            if due(Some(&before), &next, elapsed, 0.0).is_some() {
                (counted, published, before) = (now + early_by(elapsed), published + 1, next);
            }
        }
        assert!((20..=30).contains(&published), "{published}");
    }

    #[test]
    fn any_score_that_moved_by_more_than_five_points_is_told() {
        let before = at(0.4);
        for (points, expected) in [(4.9, None), (5.1, Some(Due::Moved)), (-5.1, Some(Due::Moved))] {
            let scores = before.scores;
            for scores in [
                Scores { capacity: scores.capacity + points, ..scores },
                Scores { stability: scores.stability + points, ..scores },
                Scores { affinity: scores.affinity + points, ..scores },
                Scores { cost: scores.cost + points, ..scores },
            ] {
                assert_eq!(after(2, &before, &Snapshot { scores, ..before }), expected);
            }
        }
    }

    #[test]
    fn a_node_that_carries_observed_work_is_told_every_two_seconds() {
        let cases = [(0.1, 0.04, None), (0.1, 0.05, Some(Due::Leading)), (0.31, 0.0, Some(Due::Leading))];
        for (load, part, expected) in cases {
            let now = Snapshot { observed: Some(part), ..at(load) };
            assert_eq!(after(2, &now, &now), expected, "load {load}, part {part}");
            assert_eq!(after(1, &now, &now), None);
        }
    }

    #[test]
    fn a_node_that_no_longer_carries_observed_work_says_so_once() {
        let [leading, idle] = [0.31, 0.29].map(|load| Snapshot { observed: Some(0.0), ..at(load) });
        assert_eq!(after(2, &leading, &idle), Some(Due::Leading));
        assert_eq!(after(2, &idle, &idle), None);
    }

    #[test]
    fn a_quiet_node_is_told_within_a_minute_and_jitter_brings_it_forward() {
        let quiet = at(0.2);
        assert_eq!(after(59, &quiet, &quiet), None);
        assert_eq!(after(60, &quiet, &quiet), Some(Due::Quiet));
        assert_eq!(due(Some(&quiet), &quiet, Duration::from_secs(54), 1.0), Some(Due::Quiet));
        assert_eq!(due(Some(&quiet), &quiet, Duration::from_secs(47), 1.0), None);
    }

    /// Publishes in an hour of a node that looks every second and whose load is `load(second)`.
    fn an_hour(node: u64, load: impl Fn(u64, f64) -> f64) -> usize {
        let mut seed = node.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut dice = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f64 / (1_u64 << 24) as f64
        };
        let (mut published, mut before): (usize, Option<(Snapshot, u64, f64)>) = (0, None);
        for second in 0..3600 {
            let now = at(load(second, dice()));
            let (last, elapsed, jitter) = match &before {
                Some((last, at, jitter)) => (Some(last), Duration::from_secs(second - at), *jitter),
                None => (None, Duration::MAX, 0.0),
            };
            if due(last, &now, elapsed, jitter).is_some() {
                (published, before) = (published + 1, Some((now, second, dice())));
            }
        }
        published
    }

    #[test]
    fn five_thousand_nodes_of_which_one_in_ten_is_in_a_ramp_write_less_than_350_times_a_second() {
        let (mut idle, mut ramping) = (0, 0);
        for node in 0..500 {
            // A tenth of the load comes and goes with every look; the ramp takes a minute to a saturated node and back.
            idle += an_hour(node, |_, noise| 0.2 + 0.02 * (noise - 0.5));
            ramping += an_hour(node, |second, noise| {
                let phase = ((second + node) % 120) as f64 / 60.0;
                0.2 + 0.9 * (1.0 - (phase - 1.0).abs()) + 0.02 * (noise - 0.5)
            });
        }
        let a_minute = |published: usize| published as f64 / 500.0 / 60.0;
        let (idle, ramping) = (a_minute(idle), a_minute(ramping));
        assert!((1.0..=1.1).contains(&idle), "an idle node writes {idle} times a minute");
        assert!(ramping <= 30.0, "a node in a ramp writes {ramping} times a minute");
        let a_second = (4500.0 * idle + 500.0 * ramping) / 60.0;
        assert!(a_second < 350.0, "{a_second} writes a second");
    }

    proptest! {
        #[test]
        fn never_under_two_seconds_but_at_saturation_and_always_after_a_minute(
            loads: [f64; 2], capacity: f64, part: Option<f64>, millis in 0_u64..200_000, jitter: f64,
        ) {
            let before = at(loads[0]);
            let scores = Scores { capacity, ..before.scores };
            let now = Snapshot { scores, load: loads[1], observed: part };
            let due = due(Some(&before), &now, Duration::from_millis(millis), jitter);
            prop_assert!(millis >= 2_000 || due.is_none_or(|due| due == Due::Saturated && millis > 0));
            prop_assert!(millis < 60_000 || due.is_some());
        }
    }
}
