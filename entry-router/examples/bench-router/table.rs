//! Medians with their spread, as a table for people and as JSON.

use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use crate::peers::OURS;

/// Who was measured with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) peer: &'static str,
    pub(crate) load: Load,
}

/// What clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    pub(crate) version: Version,
    /// Length of an entry.
    pub(crate) bytes: usize,
}

/// What clients speak; to resources, all speak HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Http1,
    /// With prior knowledge.
    Http2,
}

/// All loads, with what the names of their ratios end in.
pub(crate) const LOADS: [(&str, Load); 3] = [
    ("", Load { version: Version::Http1, bytes: 1 << 10 }),
    ("_64k", Load { version: Version::Http1, bytes: 64 << 10 }),
    ("_h2", Load { version: Version::Http2, bytes: 1 << 10 }),
];

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Entries a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Seconds of the proxy.
    pub(crate) cpu: f64,
    /// MB at most.
    pub(crate) rss: f64,
    /// Part of a core that the host took away.
    pub(crate) stolen: f64,
    pub(crate) errors: u64,
}

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    runs: BTreeMap<Case, Vec<Sample>>,
    /// Nanoseconds.
    pub(crate) decision_p99: Option<f64>,
}

impl Figures {
    pub(crate) fn add(&mut self, case: Case, sample: Sample) {
        self.runs.entry(case).or_default().push(sample);
    }

    pub(crate) fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        writeln!(
            out,
            "proxy      HTTP   bytes  entries/s  (least - most)      p50 ms  p99 ms  CPU s  RSS MB  stolen  errors"
        )?;
        for (case, runs) in &self.runs {
            let of = |value: fn(&Sample) -> f64| median(runs.iter().map(value));
            let rates = runs.iter().map(|run| run.rate);
            let least = rates.clone().fold(f64::INFINITY, f64::min);
            let most = rates.fold(0.0, f64::max);
            writeln!(
                out,
                "{:<9}  {:>4}  {:>6}  {:>9.0}  ({least:>6.0} - {most:>6.0})  {:>9.2}  {:>6.2}  {:>5.2}  {:>6.1}  {:>5.1}%  {:>6}",
                case.peer,
                case.load.version.number(),
                case.load.bytes,
                of(|run| run.rate),
                of(|run| run.p50),
                of(|run| run.p99),
                of(|run| run.cpu),
                of(|run| run.rss),
                100.0 * of(|run| run.stolen),
                runs.iter().map(|run| run.errors).sum::<u64>(),
            )?;
        }
        writeln!(out)?;
        for (name, value) in self.ratios() {
            writeln!(out, "{name:<28} {value:.3}")?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let cases: Vec<Value> = self
            .runs
            .iter()
            .map(|(case, runs)| {
                let of = |value: fn(&Sample) -> f64| median(runs.iter().map(value));
                json!({
                    "peer": case.peer, "http": case.load.version.number(), "bytes": case.load.bytes,
                    "requests_per_second": of(|run| run.rate),
                    "p50_ms": of(|run| run.p50), "p99_ms": of(|run| run.p99), "cpu_seconds": of(|run| run.cpu),
                    "rss_mb": of(|run| run.rss), "stolen": of(|run| run.stolen),
                })
            })
            .collect();
        json!({"cases": cases, "ratios": self.ratios()})
    }

    /// Each the median of the ratios of runs of one round, which are close in time.
    fn ratios(&self) -> BTreeMap<String, f64> {
        let mut ratios = BTreeMap::new();
        for (suffix, load) in LOADS {
            for peer in ["envoy", "haproxy", "nginx"] {
                if let Some(ratio) = self.ratio(peer, load, |run| run.rate) {
                    ratios.insert(format!("throughput_vs_{peer}{suffix}"), ratio);
                }
            }
            for peer in ["envoy", "haproxy"].into_iter().filter(|_| load.bytes == 1 << 10) {
                if let Some(ratio) = self.ratio(peer, load, |run| run.p99) {
                    ratios.insert(format!("p99_vs_{peer}{suffix}"), ratio);
                }
            }
        }
        let rss = self.runs.iter().filter(|(case, _)| case.peer == OURS).flat_map(|(_, runs)| runs);
        ratios.insert("rss_mb".into(), rss.map(|run| run.rss).fold(0.0, f64::max));
        if let Some(nanos) = self.decision_p99 {
            ratios.insert("decision_p99_ns".into(), nanos);
        }
        ratios
    }

    fn ratio(&self, peer: &'static str, load: Load, value: fn(&Sample) -> f64) -> Option<f64> {
        let ours = self.runs.get(&Case { peer: OURS, load })?;
        let theirs = self.runs.get(&Case { peer, load })?;
        Some(median(ours.iter().zip(theirs).map(|(ours, theirs)| value(ours) / value(theirs))))
    }
}

impl Version {
    fn number(self) -> u8 {
        match self {
            Self::Http1 => 1,
            Self::Http2 => 2,
        }
    }
}

/// Of an even number the upper of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
