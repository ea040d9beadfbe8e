//! Which entries were seen: a set of sequence numbers in one bit each, so that millions of ids stay small. Pure.

use std::str::FromStr;

/// Sequence numbers from zero up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    words: Vec<u64>,
    len: u64,
}

/// The id of an entry, `RUN-NUMBER`, written into its field `FORESHIFT_ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryId<'a> {
    /// The run that sent it.
    pub run: &'a str,
    /// Its number in that run, from zero.
    pub number: u64,
}

impl IdSet {
    /// Adds a number; false when it was there already.
    pub fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(new);
        new
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// How many numbers are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds every number of another set.
    pub fn extend(&mut self, other: &Self) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
        self.len = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
    }

    /// The numbers, rising.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        (0_u64..).zip(&self.words).flat_map(|(i, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| i * 64 + bit)
        })
    }

    /// How many numbers are in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> u64 {
        self.words.iter().zip(&other.words).map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }
}

impl<'a> EntryId<'a> {
    /// Reads `RUN-NUMBER`; `None` when the text is no such id.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (run, number) = text.rsplit_once('-')?;
        u64::from_str(number).ok().map(|number| Self { run, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_counted_once() {
        let mut ids = IdSet::default();
        assert!(ids.is_empty());
        assert!([0, 63, 64, 1_000_000].into_iter().all(|n| ids.insert(n)));
        assert!(!ids.insert(64));
        assert_eq!(ids.len(), 4);
        assert!(ids.contains(1_000_000) && !ids.contains(1) && !ids.contains(u64::from(u32::MAX)));
    }

    #[test]
    fn what_two_sets_share_is_counted_though_they_differ_in_size() {
        let (mut small, mut large) = (IdSet::default(), IdSet::default());
        for n in 0..10 {
            small.insert(n);
            large.insert(n * 100);
        }
        assert_eq!((small.common(&large), large.common(&small)), (1, 1));
        small.extend(&large);
        assert_eq!(small.len(), 19);
        assert!(small.iter().eq((0..10).chain((1..10).map(|n| n * 100))));
    }

    #[test]
    fn an_id_is_split_at_its_last_hyphen() {
        assert_eq!(EntryId::parse("lead-only-42"), Some(EntryId { run: "lead-only", number: 42 }));
        assert_eq!(EntryId::parse("lead-only-"), None);
        assert_eq!(EntryId::parse("42"), None);
    }
}
