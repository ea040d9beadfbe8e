//! A bounded history of the loads that this replica forecasts: what models are retrained on.
//!
//! Nodes are kept on the coarse grid of their personas, what is offered to the leads of routes on the fine one. A
//! thread of its own writes ([`writer`]) into one `SQLite` file ([`store`]); planning hands samples over a bounded
//! queue and never waits for it. [`export`] streams the file as CSV at the admin port.

pub mod export;
pub mod store;
pub mod writer;

use std::time::Duration;

use foreshift_engine::demand::Series;
use tokio::sync::mpsc;

use crate::metrics::Metrics;

/// New steps of one series, on a grid that starts at 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `node/NAME`, or `route/NAMESPACE/NAME/LEAD`.
    pub series: String,
    /// Seconds in a step.
    pub period: u32,
    /// Index of the first step: unix time over the period.
    pub first: i64,
    /// Loads, 1.0 is full, oldest first, one a step.
    pub loads: Vec<f64>,
}

/// Where samples are handed in. A clone hands in to the same file.
#[derive(Clone, Debug)]
pub struct History {
    queue: Option<mpsc::Sender<Samples>>,
    metrics: Metrics,
}

/// The newest step of one series that was handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(Option<i64>);

impl History {
    /// Keeps nothing.
    #[must_use]
    pub fn off(metrics: Metrics) -> Self {
        Self { queue: None, metrics }
    }

    /// Hands in what `cursor` has not seen of a window. What the queue has no room for is counted as dropped and
    /// offered again with the next window, as long as that reaches back to it.
    pub fn follow(
        &self,
        cursor: &mut Cursor,
        name: impl FnOnce() -> String,
        period: Duration,
        window: &Series,
    ) {
        let Some(queue) = &self.queue else { return };
        let Some((first, loads)) = cursor.fresh(window) else { return };
        let Ok(period) = u32::try_from(period.as_secs()) else { return };
        let samples = Samples { series: name(), period, first, loads: loads.to_vec() };
        match queue.try_send(samples) {
            Ok(()) => cursor.0 = Some(window.step),
            Err(_) => self.metrics.history_dropped(loads.len()),
        }
    }
}

impl Cursor {
    /// The steps of a window that are new, and the index of the first. A clock that was set back gives nothing until
    /// it is where it was, but for a jump beyond the window: then the whole window is new.
    fn fresh<'a>(&self, window: &'a Series) -> Option<(i64, &'a [f64])> {
        let len = i64::try_from(window.values.len()).ok().filter(|&len| len > 0)?;
        let oldest = window.step.checked_sub(len - 1).filter(|&oldest| oldest >= 0)?;
        let first = match self.0 {
            Some(last) if last >= window.step && last - window.step <= len => return None,
            Some(last) if last <= window.step => oldest.max(last + 1),
            _ => oldest,
        };
        let skip = usize::try_from(first - oldest).ok()?;
        Some((first, &window.values[skip..]))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn window(step: i64, len: usize) -> Series {
        Series { step, values: (0..len).map(|i| i as f64).collect() }
    }

    #[test]
    fn only_new_steps_of_a_window_are_handed_in() {
        for (last, step, len, expected) in [
            (None, 100, 4, Some((97, 4))),
            (Some(98), 100, 4, Some((99, 2))),
            (Some(100), 100, 4, None),
            (Some(50), 100, 4, Some((97, 4))),
            (Some(102), 100, 4, None),
            (Some(900), 100, 4, Some((97, 4))),
            (None, 100, 0, None),
            (None, 2, 4, None),
            (Some(i64::MAX), 100, 4, Some((97, 4))),
        ] {
            let series = window(step, len);
            let fresh = Cursor(last).fresh(&series).map(|(first, loads)| (first, loads.len()));
            assert_eq!(fresh, expected, "{last:?} {step} {len}");
        }
    }

    #[test]
    fn a_full_queue_is_counted_and_what_it_refused_is_offered_again() {
        let mut registry = Registry::default();
        let (queue, mut taken) = mpsc::channel(1);
        let history = History { queue: Some(queue), metrics: Metrics::register(&mut registry) };
        let (mut a, mut b) = (Cursor::default(), Cursor::default());
        let period = Duration::from_secs(2);
        history.follow(&mut a, || "a".into(), period, &window(10, 3));
        history.follow(&mut b, || "b".into(), period, &window(10, 3));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"history_samples_total{result="dropped"} 3"#), "{text}");
        assert_eq!(taken.try_recv().unwrap().series, "a");
        history.follow(&mut b, || "b".into(), period, &window(11, 3));
        let late = taken.try_recv().unwrap();
        assert_eq!((late.series.as_str(), late.first, late.loads.len()), ("b", 9, 3));
    }

    #[test]
    fn without_a_history_nothing_is_kept() {
        let history = History::off(Metrics::register(&mut Registry::default()));
        let mut cursor = Cursor::default();
        history.follow(&mut cursor, || unreachable!(), Duration::from_secs(2), &window(10, 3));
        assert_eq!(cursor, Cursor::default());
    }
}
