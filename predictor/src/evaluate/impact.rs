//! How well costs of entries are predicted: chronologically, each label known only when its entry is done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{self, Display, Formatter};
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::oddities::Oddities;
use crate::impact::{Entry, Estimate, Predictor};

/// Share of the entries that only teach.
const KNOWN_SHARE: f64 = 0.6;

/// Entries whose costs are summed up.
const SUMMED: usize = 60;

/// Who is judged, in the order of all results.
pub const CONTESTANTS: [&str; 4] = ["model", "class_ewma", "source_ewma", "ridge"];

/// One line of the file.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// When the entry was sent.
    pub timestamp_ms: f64,
    /// See [`Entry`].
    pub class: String,
    /// See [`Entry`].
    pub source: String,
    /// See [`Entry`].
    pub destination: String,
    /// See [`Entry`].
    pub bytes: u64,
    /// See [`Entry`].
    pub steps: u32,
    /// What it took; it is done so long after it was sent.
    pub cost_ms: f64,
}

/// The columns of the file, in any order.
const COLUMNS: [&str; 7] = ["timestamp_ms", "class", "source", "destination", "bytes", "steps", "cost_ms"];

/// Fewest entries to judge by.
const LEAST: usize = 150;

/// The longest cost and the latest time that are believed: some thirty and some thirty thousand years.
const LONGEST_MS: f64 = 1e12;
const LATEST_MS: f64 = 1e15;

/// Why a file holds no entries.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// A line is not as expected.
    #[error("the entries cannot be read: {0}; give a CSV with the columns {COLUMNS:?}")]
    Csv(#[from] csv::Error),
    /// A header without some columns.
    #[error("the header lacks {missing}, it has {found:?}; give a CSV with the columns {COLUMNS:?}")]
    Columns {
        /// What is missing, one after the other.
        missing: String,
        /// What is there.
        found: Vec<String>,
    },
    /// Too few to judge anything by.
    #[error("{found} entries can be used{why}, at least {LEAST} are needed; record more")]
    TooFew {
        /// So many there are.
        found: usize,
        /// What was wrong with others, in brackets.
        why: String,
    },
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct ImpactEvaluation {
    /// Entries that were scored: the last 40 %.
    pub entries: usize,
    /// What was odd about the file.
    pub notices: Vec<String>,
    /// Figures by predictor.
    pub predictors: BTreeMap<&'static str, ImpactFigures>,
}

/// What one predictor is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ImpactFigures {
    /// Mean absolute error over the true cost.
    pub mape: f64,
    /// Median of the same.
    pub mdape: f64,
    /// Mean absolute error of the sum over 60 entries in turn, over the true sum.
    pub sum60_error: Option<f64>,
    /// Share of costs at or below the predicted p90; none for those who predict no quantiles.
    pub coverage_p90: Option<f64>,
}

impl Row {
    /// The entry without its cost.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            class: &self.class,
            source: &self.source,
            destination: &self.destination,
            bytes: self.bytes,
            steps: self.steps,
        }
    }
}

/// Reads a CSV of entries, in order of time; lines that cannot be used are left out and said.
///
/// # Errors
/// [`EntriesError`] says what to change.
pub fn read(csv: impl Read) -> Result<(Vec<Row>, Vec<String>), EntriesError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(csv);
    let header = reader.headers()?.clone();
    let missing: Vec<&str> =
        COLUMNS.into_iter().filter(|wanted| !header.iter().any(|found| found == *wanted)).collect();
    if !missing.is_empty() {
        let found = header.iter().map(str::to_owned).collect();
        return Err(EntriesError::Columns { missing: missing.join(", "), found });
    }
    let (mut rows, mut odd) = (Vec::<Row>::new(), Oddities::default());
    let mut latest = f64::NEG_INFINITY;
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let Ok(row) = record.deserialize::<Row>(Some(&header)) else {
            odd.note("left out, a field is missing or no such number", line);
            continue;
        };
        if !(-LATEST_MS..=LATEST_MS).contains(&row.timestamp_ms) {
            odd.note("left out, no time", line);
        } else if row.cost_ms <= 0.0 || !(0.0..=LONGEST_MS).contains(&row.cost_ms) {
            odd.note("left out, no cost above 0", line);
        } else {
            if row.timestamp_ms < latest {
                odd.note("earlier than the line before, sorted", line);
            }
            latest = row.timestamp_ms;
            rows.push(row);
        }
    }
    if rows.len() < LEAST {
        return Err(EntriesError::TooFew { found: rows.len(), why: odd.first() });
    }
    rows.sort_by(|a, b| a.timestamp_ms.total_cmp(&b.timestamp_ms));
    Ok((rows, odd.sentences()))
}

/// Predicts every entry when it is sent, teaches each when it is done, and scores the last 40 %.
#[must_use]
pub fn evaluate_impact(rows: &[Row], predictor: Predictor, notices: Vec<String>) -> ImpactEvaluation {
    let scored = (KNOWN_SHARE * rows.len() as f64) as usize;
    let estimates = replay(rows, predictor);
    let pairs: Vec<(&Row, &Estimate)> = rows.iter().zip(&estimates).skip(scored).collect();
    let predictors = CONTESTANTS.iter().enumerate().map(|(who, &name)| (name, figures(&pairs, who)));
    ImpactEvaluation { entries: pairs.len(), notices, predictors: predictors.collect() }
}

/// What was predicted for each entry at the moment it was sent.
#[must_use]
pub fn replay(rows: &[Row], mut predictor: Predictor) -> Vec<Estimate> {
    let mut estimates: Vec<Estimate> = Vec::with_capacity(rows.len());
    let mut waiting: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for (index, row) in rows.iter().enumerate() {
        while let Some(&Reverse((done, earlier))) = waiting.peek()
            && done <= micros(row.timestamp_ms)
        {
            waiting.pop();
            predictor.complete(&rows[earlier].entry(), &estimates[earlier], rows[earlier].cost_ms);
        }
        estimates.push(predictor.predict(&row.entry()));
        waiting.push(Reverse((micros(row.timestamp_ms + row.cost_ms), index)));
    }
    estimates
}

fn micros(milliseconds: f64) -> u64 {
    (milliseconds * 1e3).max(0.0) as u64
}

/// Point prediction, and what sums are made of.
fn predicted(estimate: &Estimate, who: usize) -> (f64, f64) {
    match who.checked_sub(1) {
        None => (estimate.cost.quantiles.p50, estimate.cost.mean),
        Some(simple) => (estimate.simple()[simple], estimate.simple()[simple]),
    }
}

/// Figures of one predictor over entries with what was predicted for them.
#[must_use]
pub fn figures(pairs: &[(&Row, &Estimate)], who: usize) -> ImpactFigures {
    let error =
        |(row, estimate): &(&Row, &Estimate)| (predicted(estimate, who).0 - row.cost_ms).abs() / row.cost_ms;
    let mut errors: Vec<f64> = pairs.iter().map(error).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let sums: Vec<f64> = pairs
        .chunks_exact(SUMMED)
        .map(|chunk| {
            let truth: f64 = chunk.iter().map(|(row, _)| row.cost_ms).sum();
            let guess: f64 = chunk.iter().map(|(_, estimate)| predicted(estimate, who).1).sum();
            (guess - truth).abs() / truth
        })
        .collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let covered = |(row, estimate): &&(&Row, &Estimate)| row.cost_ms <= estimate.cost.quantiles.p90;
    ImpactFigures {
        mape: mean(&errors),
        mdape: errors.get(errors.len() / 2).copied().unwrap_or_default(),
        sum60_error: (!sums.is_empty()).then(|| mean(&sums)),
        coverage_p90: (who == 0)
            .then(|| pairs.iter().filter(covered).count() as f64 / pairs.len().max(1) as f64),
    }
}

impl Display for ImpactEvaluation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} entries scored", self.entries)?;
        self.notices.iter().try_for_each(|notice| writeln!(f, "note: {notice}"))?;
        writeln!(f, "{:<12} {:>7} {:>7} {:>7} {:>7}", "predictor", "mape", "mdape", "sum60", "p90")?;
        for name in CONTESTANTS {
            let Some(figures) = self.predictors.get(name) else { continue };
            let shown =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
            writeln!(
                f,
                "{name:<12} {:>7.3} {:>7.3} {:>7} {:>7}",
                figures.mape,
                figures.mdape,
                shown(figures.sum60_error),
                shown(figures.coverage_p90)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(rows: u32, cost: impl Fn(u32) -> f64) -> String {
        let header = "timestamp_ms,class,source,destination,bytes,steps,cost_ms".to_owned();
        let line = |row: u32| format!("{},c{},s,d,{},1,{}", row * 100, row % 3, 100 + row % 700, cost(row));
        std::iter::once(header).chain((0..rows).map(line)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_steady_cost_is_learned_to_a_few_percent() {
        let (rows, notices) = read(csv(600, |row| f64::from(1 + row % 3)).as_bytes()).unwrap();
        let evaluation = evaluate_impact(&rows, Predictor::new(None), notices);
        assert_eq!(evaluation.entries, 240);
        assert!(evaluation.predictors["model"].mdape < 0.05, "{evaluation}");
        assert!(evaluation.predictors["source_ewma"].mdape > 0.2, "{evaluation}");
    }

    #[test]
    fn a_label_is_not_known_before_its_entry_is_done() {
        // Every entry takes longer than the whole recording.
        let (rows, _) = read(csv(200, |_| 1e9).as_bytes()).unwrap();
        let estimates = replay(&rows, Predictor::new(None));
        assert!(estimates.iter().all(|estimate| estimate.cost.quantiles.p50 < 10.0));
    }

    #[test]
    fn lines_without_a_cost_and_too_few_lines_are_said() {
        let (rows, notices) = read(csv(400, |row| f64::from(row % 2)).as_bytes()).unwrap();
        assert_eq!(rows.len(), 200);
        assert_eq!(notices, ["left out, no cost above 0: line 2, 4, 6, 8, 10 and 195 more"]);
        assert!(read(csv(10, |_| 1.0).as_bytes()).unwrap_err().to_string().contains("at least 150"));
        assert!(read("a,b\n1,2\n".as_bytes()).unwrap_err().to_string().contains("timestamp_ms"));
    }
}
