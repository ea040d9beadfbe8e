//! The classes that are told apart: a bounded number, whatever clients send.

use std::collections::BTreeMap;

/// Classes told apart, [`OTHER`] among them; as many as a persona tells of.
pub const MOST_CLASSES: usize = 32;

/// The place of all classes that have none of their own.
pub const OTHER: usize = 0;

/// Names of classes and their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    places: BTreeMap<String, usize>,
}

impl Classes {
    /// The place of a class and whether it is new there. When all places are taken, one that is `silent` is given up.
    pub(super) fn admit(&mut self, name: &str, silent: impl Fn(usize) -> bool) -> (usize, bool) {
        if let Some(&place) = self.places.get(name) {
            return (place, false);
        }
        let Some(place) = self.free().or_else(|| self.give_up(silent)) else { return (OTHER, false) };
        self.places.insert(name.into(), place);
        (place, true)
    }

    pub(super) fn place(&self, name: &str) -> usize {
        self.places.get(name).copied().unwrap_or(OTHER)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.places.iter().map(|(name, &place)| (place, name.as_str()))
    }

    fn free(&self) -> Option<usize> {
        let next = self.places.len() + 1;
        (next < MOST_CLASSES).then_some(next)
    }

    fn give_up(&mut self, silent: impl Fn(usize) -> bool) -> Option<usize> {
        let name = self.places.iter().find(|(_, place)| silent(**place)).map(|(name, _)| name.clone())?;
        self.places.remove(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_keeps_its_place_and_those_beyond_the_most_share_one() {
        let mut classes = Classes::default();
        let places: Vec<usize> = (0..40).map(|n| classes.admit(&format!("c{n}"), |_| false).0).collect();
        assert_eq!(places[..31], (1..32).collect::<Vec<_>>());
        assert!(places[31..].iter().all(|&place| place == OTHER));
        assert_eq!(classes.admit("c7", |_| false), (8, false));
        assert_eq!((classes.place("c7"), classes.place("c39"), classes.place("never")), (8, OTHER, OTHER));
    }

    #[test]
    fn a_silent_class_gives_up_its_place() {
        let mut classes = Classes::default();
        for n in 0..31 {
            classes.admit(&format!("c{n}"), |_| false);
        }
        assert_eq!(classes.admit("new", |place| place == 5), (5, true));
        assert_eq!((classes.place("new"), classes.place("c4"), classes.iter().count()), (5, OTHER, 31));
    }
}
