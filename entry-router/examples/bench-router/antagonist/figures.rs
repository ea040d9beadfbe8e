//! What came of the runs: medians with their spread, as a table for people and as JSON.

use std::io;

use serde_json::{Value, json};

use crate::{peers::OURS, table::median};

/// One run of a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) entries: u64,
    pub(crate) failed: u64,
    /// Milliseconds, as the next two.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Part of the first replica's quota that the neighbour took while it was at work.
    pub(crate) taken: f64,
    /// Part of a core that the host took away.
    pub(crate) stolen: f64,
}

/// All runs, in the order of the rounds.
#[derive(Debug)]
pub(crate) struct Figures {
    capacity: f64,
    rate: f64,
    runs: Vec<(&'static str, Vec<Sample>)>,
}

impl Figures {
    /// None yet; what a replica takes and what is sent, in entries a second.
    pub(crate) fn new(capacity: f64, rate: f64) -> Self {
        Self { capacity, rate, runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, peer: &'static str, sample: Sample) {
        match self.runs.iter_mut().find(|(name, _)| *name == peer) {
            Some((_, runs)) => runs.push(sample),
            None => self.runs.push((peer, vec![sample])),
        }
    }

    pub(crate) fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        writeln!(
            out,
            "a replica takes {:.0} entries/s; {:.0} entries/s were sent\n",
            self.capacity, self.rate
        )?;
        writeln!(
            out,
            "proxy         p50 ms    p99 ms  (least - most)      p99.9 ms  failed  disturbed  stolen"
        )?;
        for (name, runs) in &self.runs {
            let of = |value: fn(&Sample) -> f64| median(runs.iter().map(value));
            let p99 = runs.iter().map(|run| run.p99);
            let (least, most) = (p99.clone().fold(f64::INFINITY, f64::min), p99.fold(0.0, f64::max));
            writeln!(
                out,
                "{name:<12} {:>7.1}  {:>8.1}  ({least:>6.1} - {most:>6.1})  {:>8.1}  {:>6}  {:>7.0} %  {:>4.1} %",
                of(|run| run.p50),
                of(|run| run.p99),
                of(|run| run.p999),
                runs.iter().map(|run| run.failed).sum::<u64>(),
                100.0 * of(|run| run.taken),
                100.0 * of(|run| run.stolen),
            )?;
        }
        writeln!(out)?;
        for (name, value) in self.ratios().as_object().into_iter().flatten() {
            writeln!(out, "{name:<28} {:.3}", value.as_f64().unwrap_or(f64::NAN))?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let cases = self.runs.iter().map(|(name, runs)| {
            let of = |value: fn(&Sample) -> f64| median(runs.iter().map(value));
            json!({
                "peer": name, "entries_per_second": self.rate, "p50_ms": of(|run| run.p50), "p99_ms": of(|run| run.p99),
                "p999_ms": of(|run| run.p999), "failed": runs.iter().map(|run| run.failed).sum::<u64>(),
                "entries": runs.iter().map(|run| run.entries).sum::<u64>(), "disturbed": of(|run| run.taken),
                "stolen": of(|run| run.stolen),
            })
        });
        json!({"antagonist": cases.collect::<Vec<_>>(), "ratios": self.ratios()})
    }

    /// Our p99 over theirs, where several are of a kind over the best of them; medians over the rounds.
    fn ratios(&self) -> Value {
        let mut ratios = json!({});
        for (kind, ratio) in [("p2c", "antagonist_p99_vs_p2c"), ("rr", "antagonist_p99_vs_rr")] {
            let theirs: Vec<_> = self.runs.iter().filter(|(name, _)| name.ends_with(kind)).collect();
            let Some((_, ours)) = self.runs.iter().find(|(name, _)| *name == OURS) else { continue };
            if theirs.is_empty() {
                continue;
            }
            let best = |round: usize| {
                let p99 = theirs.iter().filter_map(|(_, runs)| runs.get(round)).map(|run| run.p99);
                p99.fold(f64::INFINITY, f64::min)
            };
            ratios[ratio] = median(ours.iter().enumerate().map(|(round, run)| run.p99 / best(round))).into();
        }
        ratios
    }
}
