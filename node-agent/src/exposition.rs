//! Reads one histogram out of a page of metrics: Prometheus text and `OpenMetrics`, as it arrives, in bounded
//! memory.
//!
//! Only the sums and counts are read; buckets are not needed for a mean. Exporters write both for native histograms
//! too, of which the text formats hold no more, and `OpenMetrics` 2 writes them as `{count:17,sum:3.2,...}`.

mod line;

use std::collections::BTreeMap;

use foreshift_api::journal_route::Observation;
use foreshift_engine::persona::affinity::{CLASS_BYTES, OTHER};

/// Bytes of a page; more are not read.
pub const BYTES_MAX: usize = 8 << 20;

/// Lines of a page.
pub const LINES_MAX: usize = 100_000;

/// Lines of the histogram's sums and counts.
pub const SERIES_MAX: usize = 8192;

/// Bytes of a line; a longer one is skipped.
pub const LINE_BYTES: usize = 16 << 10;

/// Classes that a page may tell apart; further ones are `other`.
pub const CLASSES_MAX: usize = 256;

/// Why a page is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Too long.
    #[error("the page has more than {BYTES_MAX} bytes")]
    Bytes,
    /// Too many lines.
    #[error("the page has more than {LINES_MAX} lines")]
    Lines,
    /// Too many series.
    #[error(
        "the histogram has more than {SERIES_MAX} series; drop labels or name another one in durationMetric"
    )]
    Series,
    /// Another metric, or none yet.
    #[error("the page does not hold the histogram; compare durationMetric with what the pod serves")]
    Absent,
}

/// What a page says of one class since its process began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Entries answered, errors included.
    pub entries: f64,
    /// Errors among them.
    pub errors: f64,
    /// Seconds that the others took together; NaN where the page does not tell.
    pub seconds: f64,
}

/// What a page says, by class.
pub type Page = BTreeMap<String, Totals>;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    metric: String,
    class_label: String,
    error_label: String,
    error_values: Vec<String>,
    seconds: f64,
}

/// A page that is being read.
#[derive(Debug)]
pub struct Reader<'a> {
    query: &'a Query,
    /// The line that the chunks so far broke off in.
    broken: Vec<u8>,
    skipping: bool,
    bytes: usize,
    lines: usize,
    series: usize,
    classes: BTreeMap<String, Sums>,
}

/// Sums of one class while the page is read.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    totals: Totals,
    /// Series of successes with a count less those with a sum: other than zero, the time is not known.
    unpaired: i64,
}

impl From<&Observation> for Query {
    fn from(observation: &Observation) -> Self {
        let metric = observation.duration_metric.clone();
        let in_milliseconds = metric.ends_with("_milliseconds") || metric.ends_with("_ms");
        Self {
            metric,
            class_label: observation.class_label.clone(),
            error_label: observation.error_label.clone(),
            error_values: observation.error_values.clone(),
            seconds: if in_milliseconds { 0.001 } else { 1.0 },
        }
    }
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(query: &'a Query) -> Self {
        Self {
            query,
            broken: Vec::new(),
            skipping: false,
            bytes: 0,
            lines: 0,
            series: 0,
            classes: BTreeMap::new(),
        }
    }

    /// The next bytes of the page, cut wherever they may be.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), PageError> {
        self.bytes = self.bytes.saturating_add(chunk.len());
        if self.bytes > BYTES_MAX {
            return Err(PageError::Bytes);
        }
        let mut pieces = chunk.split(|&byte| byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.lines += 1;
            if self.lines > LINES_MAX {
                return Err(PageError::Lines);
            }
            if self.skipping {
                self.skipping = false;
            } else if self.broken.is_empty() {
                self.line(piece)?;
            } else {
                self.keep(piece);
                let line = std::mem::take(&mut self.broken);
                self.line(&line)?;
                self.broken = line;
                self.skipping = false;
            }
            self.broken.clear();
        }
        self.keep(last);
        Ok(())
    }

    /// The page is over.
    pub fn finish(mut self) -> Result<Page, PageError> {
        let line = std::mem::take(&mut self.broken);
        self.line(&line)?;
        if self.series == 0 {
            return Err(PageError::Absent);
        }
        let whole = |sums: Sums| {
            let seconds = if sums.unpaired == 0 { sums.totals.seconds } else { f64::NAN };
            Totals { seconds, ..sums.totals }
        };
        Ok(self.classes.into_iter().map(|(class, sums)| (class, whole(sums))).collect())
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.skipping {
            return;
        }
        if self.broken.len() + piece.len() > LINE_BYTES {
            self.broken.clear();
            self.skipping = true;
        } else {
            self.broken.extend_from_slice(piece);
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), PageError> {
        let Some(rest) = line.strip_prefix(self.query.metric.as_bytes()) else { return Ok(()) };
        if line.len() > LINE_BYTES {
            return Ok(());
        }
        let Some(sample) = line::parse(rest, self.query) else { return Ok(()) };
        self.series += 1;
        if self.series > SERIES_MAX {
            return Err(PageError::Series);
        }
        self.add(&sample);
        Ok(())
    }

    fn add(&mut self, sample: &line::Sample<'_>) {
        let class = sample.class.as_deref().unwrap_or(OTHER);
        let known = self.classes.contains_key(class);
        let named = !class.is_empty() && class.len() <= CLASS_BYTES;
        let class = if known || named && self.classes.len() < CLASSES_MAX { class } else { OTHER };
        if !self.classes.contains_key(class) {
            self.classes.insert(class.to_owned(), Sums::default());
        }
        let Some(sums) = self.classes.get_mut(class) else { return };
        if let Some(count) = sample.count {
            sums.totals.entries += count;
            if sample.error {
                sums.totals.errors += count;
            } else {
                sums.unpaired += 1;
            }
        }
        if let Some(sum) = sample.sum.filter(|_| !sample.error) {
            sums.totals.seconds += sum * self.query.seconds;
            sums.unpaired -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
