//! What a pod's counters said last, and how much they rose since.

use std::collections::BTreeMap;

use foreshift_engine::persona::affinity::Batch;

use crate::exposition::{CLASSES_MAX, Page, Totals};

/// Looks in a row without an answer, after which a pod is forgotten.
const MISSED_MAX: u32 = 30;

/// Counters of one pod.
#[derive(Debug, Default)]
pub(super) struct Counters {
    before: Option<Page>,
    missed: u32,
}

impl Counters {
    /// Adds to `classes` what rose since the page before. The first page tells nothing, and neither does a counter
    /// that fell: its process began anew. Whether there was a page before.
    pub(super) fn rise(&mut self, page: Page, classes: &mut BTreeMap<String, Batch>) -> bool {
        self.missed = 0;
        let before = self.before.take();
        if let Some(before) = &before {
            // A class that was not there has had no entries, unless there was no place for it.
            let complete = before.len() < CLASSES_MAX;
            for (class, now) in &page {
                let before = before.get(class).copied().or(complete.then(Totals::default));
                if let Some(batch) = before.and_then(|before| risen(&before, now)) {
                    let sum = classes.entry(class.clone()).or_default();
                    sum.entries += batch.entries;
                    sum.errors += batch.errors;
                    sum.seconds += batch.seconds;
                }
            }
        }
        self.before = Some(page);
        before.is_some()
    }

    /// The pod did not answer; whether to remember it further.
    pub(super) fn miss(&mut self) -> bool {
        self.missed += 1;
        self.missed < MISSED_MAX
    }
}

fn risen(before: &Totals, now: &Totals) -> Option<Batch> {
    let batch = Batch {
        entries: now.entries - before.entries,
        errors: now.errors - before.errors,
        seconds: now.seconds - before.seconds,
    };
    let fell = batch.entries < 0.0 || batch.errors < 0.0 || batch.seconds < 0.0;
    (!fell && batch.entries > 0.0).then_some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(entries: f64, errors: f64, seconds: f64) -> Page {
        Page::from([("a".into(), Totals { entries, errors, seconds })])
    }

    fn risen(pages: &[Page]) -> Option<Batch> {
        let (mut counters, mut classes) = (Counters::default(), BTreeMap::new());
        for page in pages {
            classes.clear();
            counters.rise(page.clone(), &mut classes);
        }
        classes.get("a").copied()
    }

    #[test]
    fn a_batch_is_what_rose_between_two_pages() {
        let batch = Batch { entries: 10.0, errors: 1.0, seconds: 0.5 };
        assert_eq!(risen(&[page(100.0, 2.0, 7.0), page(110.0, 3.0, 7.5)]), Some(batch));
        assert_eq!(risen(&[page(100.0, 2.0, 7.0)]), None, "one page tells no difference");
        assert_eq!(risen(&[page(5.0, 0.0, 1.0), page(5.0, 0.0, 1.0)]), None, "nothing was answered");
        assert_eq!(risen(&[Page::new(), page(10.0, 1.0, 0.5)]), Some(batch), "a class is new");
    }

    #[test]
    fn a_process_that_began_anew_is_no_entries_and_the_next_page_counts_again() {
        let pages = [page(100.0, 2.0, 7.0), page(4.0, 0.0, 0.1), page(14.0, 1.0, 0.6)];
        assert_eq!(risen(&pages[..2]), None);
        assert_eq!(risen(&pages), Some(Batch { entries: 10.0, errors: 1.0, seconds: 0.5 }));
        assert_eq!(risen(&[page(100.0, 2.0, 7.0), page(101.0, 2.0, 0.1)]), None, "only the sum fell");
    }

    #[test]
    fn entries_whose_time_is_not_told_are_counted_without_one() {
        let batch = risen(&[page(1.0, 0.0, 1.0), page(3.0, 0.0, f64::NAN)]).unwrap();
        assert!(batch.entries == 2.0 && batch.seconds.is_nan());
    }
}
