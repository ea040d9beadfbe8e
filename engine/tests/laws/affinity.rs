//! Two nodes with a true difference in speed are ranked right, and the rank turns when the difference does.

use std::time::Duration;

use foreshift_engine::persona::affinity::{Batch, HALF_LIFE, Outcomes};

const RUNS: u64 = 1000;

/// Entries that both nodes answer together, one a second.
const ENTRIES: usize = 200;

const CLASSES: [&str; 3] = ["audit", "metric", "trace"];

/// Uniform numbers above 0 and up to 1 (splitmix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON
    }
}

/// Two nodes of two resources, and how long entries of each class truly take on them.
struct Nodes {
    learned: [Outcomes; 2],
    dice: Dice,
}

impl Nodes {
    /// `entries` of each class a node, one a second on one of both, with exponentially spread service times: an entry
    /// takes `times` of the class's own time on average.
    fn answer(&mut self, entries: usize, times: [f64; 2]) {
        for entry in 0..entries {
            let node = entry % 2;
            for (place, class) in CLASSES.iter().enumerate() {
                let mean = times[node] * 10_f64.powi(place as i32 - 3);
                let batch = Batch { entries: 1.0, errors: 0.0, seconds: -self.dice.throw().ln() * mean };
                self.learned[node].observe(class, batch);
            }
            for learned in &mut self.learned {
                learned.fade(Duration::from_secs(1));
            }
        }
    }

    /// Affinity of both nodes for a class, each against the other.
    fn scores(&self, class: &str) -> [f64; 2] {
        let of = |node: usize| self.learned[node].iter().find(|(name, _)| *name == class).map(|(_, it)| *it);
        let tallies = [of(0), of(1)].map(Option::unwrap_or_default);
        [0, 1].map(|node| tallies[node].affinity(tallies[1 - node].time_to_success()))
    }

    fn right(&self, faster: usize) -> bool {
        CLASSES.iter().all(|class| {
            let scores = self.scores(class);
            scores[faster] > 50.0 && scores[1 - faster] < 50.0
        })
    }
}

#[test]
fn a_twofold_difference_is_ranked_right_in_99_of_100_runs_and_again_after_it_has_turned() {
    let (mut right, mut turned) = (0, 0);
    for seed in 0..RUNS {
        let mut nodes = Nodes { learned: Default::default(), dice: Dice(seed) };
        nodes.answer(ENTRIES, [1.0, 2.0]);
        right += u64::from(nodes.right(0));
        // Old entries count half after a half-life: two of them leave the new ones three quarters of the weight.
        nodes.answer(2 * HALF_LIFE.as_secs() as usize, [2.0, 1.0]);
        turned += u64::from(nodes.right(1));
    }
    assert!(right * 100 >= RUNS * 99, "{right} of {RUNS} runs are ranked right");
    assert!(turned * 100 >= RUNS * 99, "{turned} of {RUNS} runs are ranked right after the turn");
}
