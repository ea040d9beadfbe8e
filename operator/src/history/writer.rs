//! The thread that writes: takes what is queued, commits it at once, and never lets anybody wait.
//!
//! Whatever goes wrong with the file costs history and nothing else: samples are counted as dropped, and the file is
//! tried again.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    History, Samples,
    store::{Store, StoreError},
};
use crate::metrics::Metrics;

/// Series whose news wait to be written; more than a thousand nodes and their routes hand in at once.
const QUEUE: usize = 4_096;

/// Series whose news are committed together.
const BATCH: usize = 1_024;

/// Time between two attempts to open a file that does not open.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Where the history is kept and how large it may get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of the file.
    pub folder: PathBuf,
    /// Bytes of the file.
    pub most: u64,
}

/// The writing end.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    queue: mpsc::Receiver<Samples>,
    metrics: Metrics,
    store: Option<Store>,
    tried: Option<Instant>,
}

/// A history at a place, and what writes it.
#[must_use]
pub fn new(place: Place, metrics: Metrics) -> (History, Writer) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let history = History { queue: Some(sender), metrics: metrics.clone() };
    (history, Writer { place, queue, metrics, store: None, tried: None })
}

impl Writer {
    /// Writes until the last [`History`] is gone and the queue is empty. Blocks: give it a thread.
    pub fn run(mut self) {
        self.open();
        while let Some(first) = self.queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(more) = self.queue.try_recv()
            {
                batch.push(more);
            }
            self.write(&batch);
        }
    }

    fn write(&mut self, batch: &[Samples]) {
        let count = batch.iter().map(|samples| samples.loads.len()).sum();
        self.open();
        let Some(store) = &mut self.store else { return self.metrics.history_dropped(count) };
        match store.append(batch).and_then(|()| store.bytes()) {
            Ok(bytes) => self.metrics.history_stored(count, bytes),
            Err(error) => {
                self.metrics.history_dropped(count);
                self.failed(&error);
                // What is wrong with the file shows when it is opened: a damaged one is set aside there.
                self.store = None;
                if error.is_unreadable() {
                    self.tried = None;
                }
            }
        }
    }

    fn open(&mut self) {
        if self.store.is_some() || self.tried.is_some_and(|at| at.elapsed() < TRY_AGAIN) {
            return;
        }
        self.tried = Some(Instant::now());
        match Store::open(&self.place.folder, self.place.most) {
            Ok(store) => {
                info!(folder = %self.place.folder.display(), bytes = store.bytes().ok(), "the history is open");
                self.store = Some(store);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &StoreError) {
        let folder = self.place.folder.display();
        warn!(%folder, %error, "loads are not recorded for now; planning goes on");
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;
    use crate::history::store::{FILE, Reader, SET_ASIDE};

    fn samples(first: i64) -> Samples {
        Samples { series: "node/n1".into(), period: 15, first, loads: vec![0.5, 0.6] }
    }

    fn written(place: Place, batches: &[Samples]) -> String {
        let mut registry = Registry::default();
        let (history, mut writer) = new(place, Metrics::register(&mut registry));
        for batch in batches {
            writer.write(std::slice::from_ref(batch));
        }
        drop(history);
        writer.run();
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_is_handed_in_is_read_back_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().join("new"), most: 1 << 20 };
        let metrics = written(place.clone(), &[samples(10), samples(11)]);
        assert!(metrics.contains(r#"history_samples_total{result="stored"} 4"#), "{metrics}");
        let rows = Reader::open(&place.folder, 0).unwrap().unwrap().page().unwrap();
        assert_eq!(rows.len(), 3, "step 11 came twice");
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_costs_the_samples_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metrics = written(Place { folder: file.path().join("x"), most: 1 << 20 }, &[samples(10)]);
        assert!(metrics.contains(r#"history_samples_total{result="dropped"} 2"#), "{metrics}");
    }

    #[test]
    fn a_file_that_is_damaged_under_way_is_set_aside_and_writing_goes_on_in_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().into(), most: 1 << 20 };
        let (_history, mut writer) = new(place, Metrics::register(&mut Registry::default()));
        writer.write(&[samples(10)]);
        let other = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
        other.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(other);
        let length = std::fs::metadata(folder.path().join(FILE)).unwrap().len() as usize;
        writer.store = None;
        writer.tried = None;
        std::fs::write(folder.path().join(FILE), vec![0x5a; length]).unwrap();
        writer.write(&[samples(20)]);
        assert!(folder.path().join(SET_ASIDE).exists());
        let rows = Reader::open(folder.path(), 0).unwrap().unwrap().page().unwrap();
        assert_eq!(rows.iter().map(|row| row.time).collect::<Vec<_>>(), [300, 315]);
    }
}
