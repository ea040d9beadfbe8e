//! A series from a CSV file onto an even grid, and what was odd about it.
//!
//! Columns are found by name (`timestamp`, `time` or `period`; `value`, `count` or `load`); without a header the first
//! two are taken. Times are dates like `2014-02-14 14:30:00`, with or without zone, or seconds or milliseconds since
//! 1970. Samples within one step are averaged, missing steps stay missing.

use std::io::Read;
use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::FIT_SHARE;
use super::oddities::{Oddities, named};
use crate::MAX_LOAD;

/// Step and load of each sample that is there, in order; steps are counted from the first sample.
pub type Samples = [(u64, f64)];

/// Numbers from here on are milliseconds since 1970, not seconds.
const MILLISECONDS: f64 = 1e11;

/// Highest loads that are taken as loads; a series that goes beyond, or never comes near, is in another unit.
const PLAUSIBLE_LOADS: std::ops::RangeInclusive<f64> = 0.05..=3.0;

/// Share of the first part that stays below a load of 1, if the file is in another unit.
const CAPACITY_QUANTILE: f64 = 0.99;

/// The longest period that can be asked for, in seconds.
const LONGEST_PERIOD: f64 = 86_400.0;

/// Last second of the year 9999; what is further from 1970 is no time.
const LATEST: f64 = 253_402_300_799.0;

/// A share of missing steps that means a wrong period, not gaps.
const MOSTLY_MISSING: f64 = 0.4;

/// Names of the two columns.
const TIMES: [&str; 5] = ["timestamp", "time", "period", "date", "ts"];
const VALUES: [&str; 4] = ["value", "count", "load", "y"];

/// Why a file holds no series.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The file is no CSV.
    #[error("the series cannot be read: {0}; give a CSV file with a time and a value in each line")]
    Csv(#[from] csv::Error),
    /// A header without the columns.
    #[error("the header has no column `{wanted}`, it has {found:?}; rename one of them")]
    Column {
        /// What is looked for.
        wanted: &'static str,
        /// What is there.
        found: Vec<String>,
    },
    /// No line can be used.
    #[error("no line holds a time and a number{0}; write lines like `2014-02-14 14:30:00,0.53`")]
    Empty(String),
    /// The grid is finer than the samples.
    #[error(
        "the samples lie {found} s apart, most steps of {asked} s would be missing; give --period {found}s"
    )]
    Period {
        /// The period that was asked for, in seconds.
        asked: f64,
        /// The usual distance of two samples, in seconds.
        found: f64,
    },
}

/// A series on an even grid.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its samples, in units of [`Series::capacity`].
    pub samples: Vec<(u64, f64)>,
    /// Length of a step.
    pub period: Duration,
    /// What counts as a load of 1, in the units of the file.
    pub capacity: f64,
    /// What was odd, with line numbers.
    pub notices: Vec<String>,
}

/// Samples, and notices.
type Gridded = (Vec<(u64, f64)>, Vec<String>);

/// A usable line of the file.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Seconds since 1970.
    time: f64,
    /// Finite, not negative.
    value: f64,
    line: u64,
}

impl Series {
    /// Reads a series.
    ///
    /// `capacity` is what counts as a load of 1; without, a file whose first 60 % stay below 3 is taken to be in units
    /// of load, any other to have a load of 1 at the 99th percentile of those.
    ///
    /// # Errors
    /// [`SeriesError`] says what to change.
    pub fn read(csv: impl Read, period: Duration, capacity: Option<f64>) -> Result<Self, SeriesError> {
        let mut odd = Oddities::default();
        let rows = rows(csv, &mut odd)?;
        let (mut samples, mut notices) = grid(&rows, period, &mut odd)?;
        let capacity = capacity.unwrap_or_else(|| guessed_capacity(&samples, &mut notices));
        for (_, load) in &mut samples {
            *load = (*load / capacity).min(MAX_LOAD);
        }
        let beyond: Vec<u64> =
            rows.iter().filter(|row| row.value / capacity > MAX_LOAD).map(|row| row.line).collect();
        if !beyond.is_empty() {
            notices.push(format!("above {MAX_LOAD} times the capacity, taken as that: {}", named(&beyond)));
        }
        if samples.windows(2).all(|pair| pair[0].1 == pair[1].1) {
            notices.push("constant: every value is the same".to_owned());
        }
        Ok(Self { samples, period, capacity, notices })
    }
}

/// Each usable line, in order of time.
fn rows(csv: impl Read, odd: &mut Oddities) -> Result<Vec<Row>, SeriesError> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(csv);
    let (mut columns, mut rows) = ((0, 1), Vec::new());
    let mut latest = f64::NEG_INFINITY;
    for (index, record) in reader.records().enumerate() {
        let record = record?;
        if index == 0 && !record.iter().any(|field| field.parse::<f64>().is_ok()) {
            columns = header(&record)?;
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        let (time, value) =
            (record.get(columns.0).and_then(seconds), record.get(columns.1).map(str::parse::<f64>));
        let (Some(time), Some(Ok(value))) = (time, value) else {
            odd.note("left out, no time and number", line);
            continue;
        };
        if !value.is_finite() {
            odd.note("left out, not finite", line);
            continue;
        }
        if value < 0.0 {
            odd.note("negative, taken as 0", line);
        }
        if time < latest {
            odd.note("earlier than the line before, sorted", line);
        }
        latest = time;
        rows.push(Row { time, value: value.max(0.0), line });
    }
    if rows.is_empty() {
        return Err(SeriesError::Empty(odd.first()));
    }
    rows.sort_by(|a, b| a.time.total_cmp(&b.time));
    Ok(rows)
}

fn header(record: &csv::StringRecord) -> Result<(usize, usize), SeriesError> {
    let names: Vec<String> = record.iter().map(str::to_ascii_lowercase).collect();
    let find = |wanted: &'static str, known: &[&str]| {
        let at = known.iter().find_map(|name| names.iter().position(|found| found == name));
        at.ok_or_else(|| SeriesError::Column { wanted, found: names.clone() })
    };
    Ok((find("timestamp", &TIMES)?, find("value", &VALUES)?))
}

/// Averages samples within a step, and says what had to be done; steps are counted from the first sample.
fn grid(rows: &[Row], period: Duration, odd: &mut Oddities) -> Result<Gridded, SeriesError> {
    let (first, length) = (rows.first().map_or(0.0, |row| row.time), period.as_secs_f64());
    let mut steps: Vec<(u64, f64, f64)> = Vec::new();
    let (mut missing, mut after_gaps) = (0, Vec::new());
    for row in rows {
        // Halfway to the next step still counts for this one, as clocks are never exact.
        let step = ((row.time - first) / length + 0.5) as u64;
        match steps.last_mut() {
            Some((last, mean, count)) if *last == step => {
                odd.note("in the same step as another, averaged", row.line);
                *count += 1.0;
                *mean += (row.value - *mean) / *count;
            }
            last => {
                let gap = last.map_or(0, |(last, ..)| step - *last - 1);
                if gap > 0 {
                    missing += gap;
                    after_gaps.push(row.line);
                }
                steps.push((step, row.value, 1.0));
            }
        }
    }
    let usual = usual_distance(rows).unwrap_or(length);
    let span = missing + steps.len() as u64;
    if missing as f64 > MOSTLY_MISSING * span as f64 && (1.5 * length..=LONGEST_PERIOD).contains(&usual) {
        return Err(SeriesError::Period { asked: length, found: (usual * 1e3).round() / 1e3 });
    }
    let mut notices = odd.sentences();
    if missing > 0 {
        let before = named(&after_gaps);
        notices.push(format!(
            "gaps: {missing} of {span} steps are missing, before {before}; what falls into them is not scored"
        ));
    }
    Ok((steps.into_iter().map(|(step, mean, _)| (step, mean)).collect(), notices))
}

/// Median distance of neighbours that are not at the same time, in seconds.
fn usual_distance(rows: &[Row]) -> Option<f64> {
    let distances = rows.windows(2).map(|pair| pair[1].time - pair[0].time);
    let mut distances: Vec<f64> = distances.filter(|distance| *distance > 0.0).collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied()
}

fn guessed_capacity(samples: &[(u64, f64)], notices: &mut Vec<String>) -> f64 {
    let fit = ((FIT_SHARE * samples.len() as f64) as usize).clamp(1, samples.len().max(1));
    let mut seen: Vec<f64> = samples.iter().take(fit).map(|sample| sample.1).collect();
    seen.sort_unstable_by(f64::total_cmp);
    let quantile = seen.get((CAPACITY_QUANTILE * seen.len() as f64) as usize).or(seen.last()).copied();
    let quantile = quantile.unwrap_or(1.0);
    if quantile <= 0.0 || PLAUSIBLE_LOADS.contains(&quantile) {
        return 1.0;
    }
    notices.push(format!("not in units of load: {quantile:?} counts as a load of 1 (99th percentile of the first 60 %; --capacity says otherwise)"));
    quantile
}

/// Seconds since 1970 of any of the known forms.
pub(super) fn seconds(field: &str) -> Option<f64> {
    let seconds = if let Ok(number) = field.parse::<f64>() {
        if number.abs() >= MILLISECONDS { number / 1000.0 } else { number }
    } else {
        let timestamp: Timestamp = match field.parse() {
            Ok(timestamp) => timestamp,
            Err(_) => field.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        };
        timestamp.as_nanosecond() as f64 / 1e9
    };
    (seconds.abs() <= LATEST).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Lines with a value a step.
    fn lines(step: u32, values: impl IntoIterator<Item = f64>) -> String {
        let rows = (0..).zip(values).map(|(row, value): (u32, f64)| format!("{},{value}", row * step));
        rows.collect::<Vec<_>>().join("\n")
    }

    fn read(csv: &str) -> Result<Series, SeriesError> {
        Series::read(csv.as_bytes(), MINUTE, None)
    }

    #[test]
    fn every_known_form_of_time_is_the_same_moment() {
        let forms = [
            "1998-04-30 21:30:00",
            "1998-04-30T21:30:00Z",
            "893971800",
            "893971800000",
            "1998-04-30 23:30:00+02:00",
        ];
        for form in forms {
            assert_eq!(seconds(form), Some(893_971_800.0), "{form}");
        }
        for nonsense in ["yesterday", "1e300", "-1e15", "inf", "NaN", ""] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_by_place_without_a_header() {
        for csv in ["count,host,period\n0.5,a,0\n0.7,a,60\n", "0,0.5\n60,0.7\n"] {
            assert_eq!(read(csv).unwrap().samples, [(0, 0.5), (1, 0.7)], "{csv}");
        }
        let error = read("when,what\nx,y\n").unwrap_err().to_string();
        assert!(error.contains("timestamp") && error.contains("rename"), "{error}");
    }

    #[test]
    fn what_is_odd_is_handled_and_said_with_its_line() {
        let series = read("timestamp,value\n0,0.5\n120,0.6\n60,-0.1\n180,x\n240,NaN\n300,0.4\n").unwrap();
        assert_eq!(series.samples, [(0, 0.5), (1, 0.0), (2, 0.6), (5, 0.4)]);
        let notices = series.notices.join("\n");
        for expected in [
            "sorted: line 4",
            "negative, taken as 0: line 4",
            "no time and number: line 5",
            "not finite: line 6",
            "2 of 6 steps are missing, before line 7",
        ] {
            assert!(notices.contains(expected), "{expected}: {notices}");
        }
    }

    #[test]
    fn a_series_in_another_unit_gets_a_capacity_and_says_so() {
        let csv = lines(60, (500..600).map(f64::from));
        let series = read(&csv).unwrap();
        assert!((500.0..600.0).contains(&series.capacity) && series.notices[0].contains("--capacity"));
        assert!(
            (Series::read(csv.as_bytes(), MINUTE, Some(1000.0)).unwrap().samples[0].1 - 0.5).abs() < 1e-12
        );
        let faint = read(&lines(60, (500..600).map(|step| f64::from(step) * 1e-9))).unwrap();
        assert!((5e-7..6e-7).contains(&faint.capacity) && faint.notices[0].contains("--capacity"));
        assert!((read(&lines(60, [0.0; 50])).unwrap().capacity - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_period_that_leaves_most_steps_empty_is_refused_with_the_right_one() {
        let csv = lines(300, [0.5; 50]);
        let error = read(&csv).unwrap_err().to_string();
        assert!(error.contains("--period 300s"), "{error}");
    }

    #[test]
    fn a_period_of_parts_of_a_second_is_told_to_the_millisecond_and_one_of_days_is_not_asked_for() {
        let csv = lines(1, [0.5; 50]).replace(",0.5", "00,0.5");
        let (coarse, fine) = (csv.replace("00,", "e-1,"), Duration::from_millis(20));
        let error = Series::read(coarse.as_bytes(), fine, None).unwrap_err().to_string();
        assert!(error.contains("--period 0.1s"), "{error}");
        let yearly = read(&lines(31_536_000, [0.5; 20])).unwrap();
        assert!(yearly.notices.iter().any(|notice| notice.starts_with("gaps")), "{:?}", yearly.notices);
    }

    #[test]
    fn samples_of_one_step_are_averaged_and_huge_ones_are_cut() {
        let csv = "0,0.5\n1,0.7\n60,1e308\n61,1e308\n120,0.4\n180,-1e308\n";
        let series = Series::read(csv.as_bytes(), MINUTE, Some(1.0)).unwrap();
        let loads: Vec<f64> = series.samples.iter().map(|sample| sample.1).collect();
        assert!((loads[0] - 0.6).abs() < 1e-12 && loads[1..] == [MAX_LOAD, 0.4, 0.0], "{loads:?}");
        let notices = series.notices.join("\n");
        assert!(notices.contains("in the same step as another, averaged: line 2, 4"), "{notices}");
        assert!(notices.contains("above 1000 times the capacity, taken as that: line 3, 4"), "{notices}");
    }

    #[test]
    fn an_empty_file_and_a_file_of_words_say_what_to_write() {
        for csv in ["", "timestamp,value\n", "timestamp,value\na,b\n"] {
            assert!(read(csv).unwrap_err().to_string().contains("write lines like"), "{csv:?}");
        }
    }

    #[test]
    fn a_constant_series_is_said_to_be_one() {
        let csv = lines(60, [0.5; 50]);
        assert!(read(&csv).unwrap().notices.iter().any(|notice| notice.starts_with("constant")));
    }
}
