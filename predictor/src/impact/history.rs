//! Running statistics of entries by class, source, destination and size, and what they say of the next one.
//!
//! Each key keeps a straight line of log cost over log size, fading; a key with few entries is drawn towards its
//! parent: everything, destination, destination and steps, class, class and size.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Numbers that the network sees.
pub const FEATURES: usize = 28;

/// Keys that are kept at most; beyond, those that were not touched for longest go.
pub(super) const MOST_KEYS: usize = 8192;

/// Weight of a new entry, once a key is known: half is forgotten after some 50.
const FADING: f64 = 0.014;

/// Entries that a parent's opinion counts for, and that its slope does.
const SHRINKAGE: f64 = 5.0;
const SLOPE_SHRINKAGE: f64 = 8.0;

/// Spread of log costs around a guess before anything is known.
const FIRST_SPREAD: f64 = 0.5;

/// The least spread: nothing is known better than to 2 %.
const LEAST_SPREAD: f64 = 0.02;

/// Width of a class of sizes, as logarithm, for the statistics, and for remembered costs.
const SIZE_CLASS: f64 = 1.5;
const BUCKET: f64 = 0.5;

/// Weight of a new entry in what a class or all entries missed last.
const RECENT: f64 = 0.2;

/// Differences of log costs are cut off here.
const CUT: f64 = 3.0;

/// One entry, before it is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'a> {
    /// Kind of entry.
    pub class: &'a str,
    /// Who wrote it.
    pub source: &'a str,
    /// Which resource takes it.
    pub destination: &'a str,
    /// Size as sent.
    pub bytes: u64,
    /// Processing steps it goes through.
    pub steps: u32,
}

/// What is known of an entry before it is processed.
#[derive(Clone, Debug)]
pub struct Features {
    /// What the network sees.
    pub values: [f32; FEATURES],
    /// The history's own guess of the log cost; the network answers relative to it.
    pub anchor: f64,
    /// How far costs lie from such guesses, as deviation of the logarithm.
    pub spread: f64,
    /// Average log cost of the class, and of the source, sizes aside.
    pub class_mean: f64,
    /// See [`Features::class_mean`].
    pub source_mean: f64,
}

/// Statistics by key; bounded memory (some 100 bytes a key).
#[derive(Clone, Debug, Default)]
pub struct History {
    keys: HashMap<u64, Statistics>,
    recent: HashMap<u64, f64>,
    clock: u64,
}

/// Fading moments of log cost and log size.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    count: f64,
    cost: f64,
    size: f64,
    size_variance: f64,
    covariance: f64,
    /// Mean square distance of costs from the guess that was made.
    miss: f64,
    touched: u64,
}

/// A straight line's say at one size.
#[derive(Clone, Copy, Debug)]
struct Guess {
    cost: f64,
    slope: f64,
    variance: f64,
}

/// The places of the keys in all arrays: from everything to the narrowest, then the source by itself.
const KEYS: usize = 7;
const CLASS: usize = 3;
const SOURCE: usize = 6;

/// Parent of each key; the first is its own.
const PARENTS: [usize; KEYS] = [0, 0, 1, 2, 3, 4, 0];

/// The key whose guess the network corrects.
const ANCHOR: usize = 5;

impl Entry<'_> {
    fn size(&self) -> f64 {
        (self.bytes as f64).ln_1p()
    }

    /// Class on destination: what a correction is learned for.
    pub(super) fn key(&self) -> u64 {
        hash(&(self.class, self.destination))
    }

    /// Entries that cost about the same.
    pub(super) fn bucket(&self) -> u64 {
        let size = (self.size() / BUCKET) as u32;
        hash(&(self.class, self.source, self.destination, self.steps, size))
    }

    fn keys(&self) -> [u64; KEYS] {
        let size = (self.size() / SIZE_CLASS) as u32;
        [
            hash(&0_u8),
            hash(&(1_u8, self.destination)),
            hash(&(2_u8, self.destination, self.steps)),
            hash(&(3_u8, self.class)),
            hash(&(4_u8, self.class, size)),
            hash(&(5_u8, self.class, size, self.source)),
            hash(&(6_u8, self.source)),
        ]
    }
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Statistics {
    fn learn(&mut self, size: f64, cost: f64, miss: f64, now: u64) {
        self.count += 1.0;
        self.touched = now;
        let weight = FADING.max(1.0 / self.count);
        let (from_size, from_cost) = (size - self.size, cost - self.cost);
        self.size += weight * from_size;
        self.cost += weight * from_cost;
        self.size_variance = (1.0 - weight) * (self.size_variance + weight * from_size * from_size);
        self.covariance = (1.0 - weight) * (self.covariance + weight * from_size * from_cost);
        self.miss += weight * (miss * miss - self.miss);
    }

    /// This key's line at a size, drawn towards its parent's guess.
    fn guess(&self, size: f64, parent: Guess) -> Guess {
        let doubt = SLOPE_SHRINKAGE / (self.count + SLOPE_SHRINKAGE);
        let slope = (self.covariance + doubt * parent.slope) / (self.size_variance + doubt);
        let own = self.cost + slope * (size - self.size);
        let trust = self.count / (self.count + SHRINKAGE);
        Guess {
            cost: parent.cost + trust * (own - parent.cost),
            slope,
            variance: parent.variance + trust * (self.miss - parent.variance),
        }
    }
}

impl History {
    /// Keys that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What is known of an entry before it is processed.
    #[must_use]
    pub fn features(&self, entry: &Entry<'_>) -> Features {
        let (size, keys) = (entry.size(), entry.keys());
        let known = keys.map(|key| self.keys.get(&key).copied().unwrap_or_default());
        let guesses = guesses(&known, size);
        let Guess { cost: anchor, variance, .. } = guesses[ANCHOR];
        let recent = |key: u64| self.recent.get(&key).copied().unwrap_or_default();
        let cut = |value: f64| value.clamp(-CUT, CUT);
        let mut values = Vec::with_capacity(FEATURES);
        for (guess, known) in guesses.iter().zip(&known) {
            values.extend([cut(guess.cost - anchor), guess.variance.sqrt(), known.count.ln_1p() / 5.0]);
        }
        let (class, all) = (&known[CLASS], &known[0]);
        let from = |known: &Statistics| if known.count > 0.0 { cut((size - known.size) / 3.0) } else { 0.0 };
        values.extend([
            (size - 8.0) / 4.0,
            f64::from(entry.steps).ln_1p(),
            from(class),
            from(all),
            guesses[CLASS].slope,
            cut(recent(keys[CLASS])),
            cut(recent(keys[0])),
        ]);
        let mut features = [0.0; FEATURES];
        features.iter_mut().zip(values).for_each(|(to, from)| *to = from as f32);
        let mean = |place: usize| if known[place].count > 0.0 { known[place].cost } else { all.cost };
        Features {
            values: features,
            anchor,
            spread: variance.sqrt().max(LEAST_SPREAD),
            class_mean: mean(CLASS),
            source_mean: mean(SOURCE),
        }
    }

    /// Learns the log cost of an entry that is done.
    pub fn learn(&mut self, entry: &Entry<'_>, cost: f64) {
        self.clock += 1;
        let (size, keys) = (entry.size(), entry.keys());
        let known = keys.map(|key| self.keys.get(&key).copied().unwrap_or_default());
        let guesses = guesses(&known, size);
        for (key, guess) in keys.into_iter().zip(guesses) {
            // The first entry of all has nothing to be compared with.
            let miss = if self.clock > 1 { cost - guess.cost } else { FIRST_SPREAD };
            self.keys.entry(key).or_default().learn(size, cost, miss.clamp(-CUT, CUT), self.clock);
        }
        for key in [keys[CLASS], keys[0]] {
            let recent = self.recent.entry(key).or_default();
            *recent += RECENT * ((cost - guesses[ANCHOR].cost).clamp(-CUT, CUT) - *recent);
        }
        if self.keys.len() > MOST_KEYS - KEYS {
            self.forget();
        }
    }

    /// Drops the half that was not touched for longest.
    fn forget(&mut self) {
        let mut touched: Vec<u64> = self.keys.values().map(|known| known.touched).collect();
        touched.sort_unstable();
        let since = touched[touched.len() / 2];
        self.keys.retain(|_, known| known.touched > since);
        let keys = &self.keys;
        self.recent.retain(|key, _| keys.contains_key(key));
    }
}

fn guesses(known: &[Statistics; KEYS], size: f64) -> [Guess; KEYS] {
    let first = Guess { cost: 0.0, slope: 0.0, variance: FIRST_SPREAD * FIRST_SPREAD };
    let mut guesses = [first; KEYS];
    for place in 0..KEYS {
        let parent = if place == 0 {
            // Nothing stands above everything: its mean counts in full.
            Guess { cost: known[0].cost + known[0].slope() * (size - known[0].size), ..first }
        } else {
            guesses[PARENTS[place]]
        };
        guesses[place] = known[place].guess(size, parent);
    }
    guesses
}

impl Statistics {
    fn slope(&self) -> f64 {
        self.covariance / (self.size_variance + SLOPE_SHRINKAGE / (self.count + SLOPE_SHRINKAGE))
    }
}
