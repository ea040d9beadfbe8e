//! A cluster's recorded loads, put back on their grids, taken apart where steps are missing, and split at one moment.

use std::collections::BTreeMap;
use std::io::BufRead;

use foreshift_predictor::{LAST_HORIZON, WINDOW};

use crate::windows::Series;

/// First line of a history, as the operator writes it.
pub const HEADER: &str = "series,period_s,step,load";

/// Samples that are kept of each series, the newest; fine-tuning looks at fewer.
const NEWEST: usize = 10_000;

/// Steps that may be missing in a row: the load before stands in for them.
const BRIDGED: i64 = 2;

/// Fewest samples of a piece with a window.
pub const SHORTEST: usize = WINDOW + LAST_HORIZON;

/// Part of all samples, by time, that may be learned from; what is newer judges.
const KNOWN_SHARE: f64 = 0.7;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
    /// It is not a history.
    #[error("line 1 is `{0}` instead of `{HEADER}`: give what the operator answers at /history")]
    Header(String),
    /// A line that is not as it should be.
    #[error(
        "line {line} is `{found}`: expected a name, seconds, a step and a load, such as `node/a,15,118133812,0.412`"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
}

/// Loads by series and step; what comes twice counts once.
#[derive(Debug, Default)]
pub struct Recorded(BTreeMap<(String, u32), BTreeMap<i64, f32>>);

/// Takes the text of one answer, in pieces of any size.
#[derive(Debug, Default)]
pub struct Lines {
    line: usize,
    rest: Vec<u8>,
}

impl Recorded {
    /// Adds one load; one that is no number or negative is left out, as a gap.
    pub fn insert(&mut self, series: &str, period: u32, step: i64, load: f64) {
        if !load.is_finite() || load < 0.0 {
            return;
        }
        let steps = self.0.entry((series.to_owned(), period)).or_default();
        steps.entry(step).or_insert(load as f32);
        if steps.len() > NEWEST {
            steps.pop_first();
        }
    }

    /// Reads a whole history.
    ///
    /// # Errors
    /// [`RecordError`] with the line that is wrong.
    pub fn read(&mut self, mut reader: impl BufRead) -> Result<(), RecordError> {
        let mut lines = Lines::default();
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                return lines.end(self);
            }
            lines.take(chunk, self)?;
            let length = chunk.len();
            reader.consume(length);
        }
    }

    /// Samples, over all series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every series with its period in seconds and its loads by step, gaps and all.
    pub fn by_step(&self) -> impl Iterator<Item = (&str, u32, &BTreeMap<i64, f32>)> {
        self.0.iter().map(|((name, period), steps)| (name.as_str(), *period, steps))
    }

    /// The pieces without a gap that are long enough for a window, all split at the same moment: no window is learned
    /// from that is newer than one that judges, in this series or another.
    #[must_use]
    pub fn series(&self) -> Vec<Series> {
        let mut found = Vec::new();
        for ((name, period), steps) in &self.0 {
            let pieces = pieces(&format!("{name} {period}s"), steps);
            let long = pieces.into_iter().filter(|(_, piece)| piece.loads.len() >= SHORTEST);
            found.extend(long.map(|(first, piece)| (first, i64::from(*period), piece)));
        }
        let cut = cut(&found);
        let split = |(first, period, piece): (i64, i64, Series)| Series {
            judged_from: Some(cut.div_euclid(period) + 1 - first),
            ..piece
        };
        found.into_iter().map(split).collect()
    }
}

/// The moment, in unix seconds, up to which samples may be learned from.
fn cut(pieces: &[(i64, i64, Series)]) -> i64 {
    let times = |(first, period, piece): &(i64, i64, Series)| {
        let (first, period) = (*first, *period);
        (0..piece.loads.len() as i64).map(move |at| (first + at) * period)
    };
    let mut times: Vec<i64> = pieces.iter().flat_map(times).collect();
    times.sort_unstable();
    let known = (KNOWN_SHARE * times.len() as f64) as usize;
    known.checked_sub(1).and_then(|last| times.get(last).copied()).unwrap_or(i64::MIN)
}

/// Each piece with its first step.
fn pieces(name: &str, steps: &BTreeMap<i64, f32>) -> Vec<(i64, Series)> {
    let mut pieces: Vec<(i64, Series)> = Vec::new();
    let mut before: Option<(i64, f64)> = None;
    for (&step, &load) in steps {
        let load = f64::from(load);
        match (before, pieces.last_mut()) {
            (Some((last, value)), Some((_, piece))) if step - last <= BRIDGED + 1 => {
                piece.loads.extend((last + 1..step).map(|_| value));
                piece.loads.push(load);
            }
            _ => pieces.push((step, Series::new(name, vec![load]))),
        }
        before = Some((step, load));
    }
    pieces
}

impl Lines {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`RecordError`] with the line that is wrong.
    pub fn take(&mut self, bytes: &[u8], into: &mut Recorded) -> Result<(), RecordError> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.len() > 1024 || piece.ends_with(b"\n") {
                self.end(into)?;
            }
        }
        Ok(())
    }

    /// Takes what stands after the last end of a line.
    ///
    /// # Errors
    /// [`RecordError`] if it is wrong.
    pub fn end(&mut self, into: &mut Recorded) -> Result<(), RecordError> {
        let bytes = std::mem::take(&mut self.rest);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        self.line += 1;
        if self.line == 1 {
            return if text == HEADER || bytes.is_empty() {
                Ok(())
            } else {
                Err(RecordError::Header(shown(text)))
            };
        }
        if text.is_empty() {
            return Ok(());
        }
        let wrong = || RecordError::Line { line: self.line, found: shown(text) };
        let fields: Vec<&str> = text.split(',').collect();
        let [name, period, step, load] = fields[..] else { return Err(wrong()) };
        let period = period.parse().ok().filter(|&period: &u32| period > 0).ok_or_else(wrong)?;
        let step = step.parse().map_err(|_| wrong())?;
        let load = load.parse().map_err(|_| wrong())?;
        into.insert(name, period, step, load);
        Ok(())
    }
}

/// The beginning of a line, for people.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::Part;

    fn read(text: &str) -> Result<Recorded, RecordError> {
        let mut recorded = Recorded::default();
        recorded.read(text.as_bytes()).map(|()| recorded)
    }

    fn history(steps: impl IntoIterator<Item = i64>) -> String {
        let lines = steps.into_iter().map(|step| format!("node/a,15,{step},0.5\n"));
        std::iter::once(format!("{HEADER}\n")).chain(lines).collect()
    }

    #[test]
    fn pieces_are_cut_at_gaps_and_short_gaps_are_bridged() {
        let length = SHORTEST as i64;
        for (name, steps, expected) in [
            ("whole", (0..length).collect::<Vec<_>>(), vec![SHORTEST]),
            ("too short", (0..length - 1).collect(), vec![]),
            ("two missing", (0..length).filter(|step| ![20, 21].contains(step)).collect(), vec![SHORTEST]),
            ("three missing", (0..length).filter(|step| !(20..23).contains(step)).collect(), vec![]),
            ("two pieces", (0..length).chain(900..900 + length).collect(), vec![SHORTEST; 2]),
            ("twice and unsorted", (0..length).rev().chain(0..length).collect(), vec![SHORTEST]),
        ] {
            let found: Vec<usize> =
                read(&history(steps)).unwrap().series().iter().map(|piece| piece.loads.len()).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn all_pieces_are_split_at_one_moment_whatever_their_steps() {
        let lines = |name: &'static str, period: i64, from: i64| {
            (0..100).map(move |step| format!("node/{name},{period},{},0.5", from / period + step))
        };
        // 100 samples up to 1,500 s, 100 from there on, and 100 of a fine grid around it.
        let text: Vec<String> = std::iter::once(HEADER.to_owned())
            .chain(lines("early", 15, 0))
            .chain(lines("late", 15, 1_500))
            .chain(lines("fine", 2, 1_400))
            .collect();
        let series = read(&text.join("\n")).unwrap().series();
        let judged: Vec<(&str, usize)> =
            series.iter().map(|series| (series.name.as_str(), series.range(Part::Test).len())).collect();
        // 210 of 300 are known: both others whole, and ten of the late piece.
        assert_eq!(judged, [("node/early 15s", 0), ("node/fine 2s", 0), ("node/late 15s", 90)]);
        assert_eq!(series[0].cut(), 110, "the early piece ended ten steps before the cut");
    }

    #[test]
    fn loads_that_are_no_loads_are_gaps_and_only_the_newest_are_kept() {
        let odd = format!("{HEADER}\nnode/a,15,1,NaN\nnode/a,15,2,-1\nnode/a,15,3,0.25\n");
        assert_eq!(read(&odd).unwrap().len(), 1);
        assert_eq!(read(&history(0..20_000)).unwrap().len(), NEWEST);
        assert!(read("").unwrap().is_empty() && read(&format!("{HEADER}\n")).unwrap().series().is_empty());
    }

    #[test]
    fn what_is_no_history_is_told_by_its_line() {
        for (text, expected) in [
            ("timestamp,value\n", "line 1 is `timestamp,value`"),
            ("series,period_s,step,load\nnode/a,15,1\n", "line 2 is `node/a,15,1`"),
            ("series,period_s,step,load\nnode/a,15,1,0.5\nnode/a,0,1,0.5\n", "line 3"),
            ("series,period_s,step,load\nnode/a,15,one,0.5\n", "line 2"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let endless = "x".repeat(5_000);
        assert!(read(&endless).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn chunks_may_end_anywhere() {
        let (text, mut recorded, mut lines) = (history(0..9), Recorded::default(), Lines::default());
        for byte in text.as_bytes() {
            lines.take(std::slice::from_ref(byte), &mut recorded).unwrap();
        }
        lines.end(&mut recorded).unwrap();
        assert_eq!(recorded.len(), 9);
    }
}
