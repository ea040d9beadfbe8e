//! The traces to learn from: public ones, read into units of load (1 is what a series rarely passes in its first part),
//! and the project's own recordings, which are loads already.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::recorded::Recorded;
use crate::windows::{Part, Series};

/// Every so many series of a data set with many, one serves the report alone.
const HELD_OUT_EVERY: usize = 4;

/// Steps, in seconds, on which arrivals are counted.
const GRIDS: [f64; 3] = [1.0, 2.0, 15.0];

/// Share of the samples that stay below a load of 1 in the part to learn from.
const CAPACITY_QUANTILE: f64 = 0.99;

/// Why the traces cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file or folder cannot be opened.
    #[error("cannot read {}: {reason}; --data must name the folder that holds nab/, worldcup98/ and azure-llm/, --traces that of the own recordings", path.display())]
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A row is not as expected.
    #[error("{}: {reason}; fetch the file again, or see models/README.md for its columns", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        reason: csv::Error,
    },
    /// A time that is none.
    #[error("{}: `{found}` is no time of day like `2023-11-16 18:17:03.98`; fetch the file again", path.display())]
    Time {
        /// The file.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// Nothing to learn from.
    #[error("{} holds no series; fetch it again", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
}

/// Series from one source, with what its licence asks for.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Short name.
    pub name: &'static str,
    /// SPDX identifier.
    pub licence: &'static str,
    /// Whom to name.
    pub attribution: &'static str,
    /// The series.
    pub series: Vec<Series>,
}

/// Everything to learn from and to judge on: the public traces, and the project's own.
///
/// # Errors
/// [`TraceError`] names the file and what to do.
pub fn all(public: &Path, recorded: &Path) -> Result<Vec<DataSet>, TraceError> {
    let mut sets = read(public)?;
    sets.extend(Some(own(recorded)?).filter(|set| !set.series.is_empty()));
    Ok(sets)
}

/// Name of the set of the project's own recordings.
pub const OWN: &str = "own traces";

/// Seconds in a step of an own recording.
const OWN_PERIOD: u32 = 2;

/// Reads the project's own recordings, all files of `models/traces/`; none gives an empty set. They are split at one moment,
/// not each by its length.
///
/// # Errors
/// [`TraceError`] names the file and what to do.
pub fn own(folder: &Path) -> Result<DataSet, TraceError> {
    #[derive(Deserialize)]
    struct Row {
        time_s: i64,
        node: String,
        load: f64,
    }
    let mut recorded = Recorded::default();
    let paths = match files(folder, "gz") {
        Err(TraceError::Empty { .. }) => Vec::new(),
        found => found?,
    };
    for path in paths {
        let mut text = Vec::new();
        let unpacked = File::open(&path).and_then(|file| GzDecoder::new(file).read_to_end(&mut text));
        unpacked.map_err(|reason| TraceError::Open { path: path.clone(), reason })?;
        let rows: Vec<Row> = parsed(&path, text.as_slice())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let recording = name.split('.').next().unwrap_or_default();
        for Row { time_s, node, load } in rows {
            let step = time_s.div_euclid(i64::from(OWN_PERIOD));
            recorded.insert(&format!("{recording} {node}"), OWN_PERIOD, step, load);
        }
    }
    Ok(DataSet {
        name: OWN,
        licence: "Apache-2.0",
        attribution: "Foreshift, recorded on its local cluster (models/traces)",
        series: recorded.series(),
    })
}

/// Reads all public traces from their folder.
///
/// # Errors
/// [`TraceError`] names the file and what to do.
pub fn read(folder: &Path) -> Result<Vec<DataSet>, TraceError> {
    Ok(vec![
        DataSet {
            name: "nab",
            licence: "MIT",
            attribution: "Numenta Anomaly Benchmark, Numenta Inc.",
            series: nab(&folder.join("nab"))?,
        },
        DataSet {
            name: "worldcup98",
            licence: "MIT",
            attribution: "worldcup98-dataset by Nima Mahmoudi, from the Internet Traffic Archive (M. Arlitt, T. Jin)",
            series: worldcup(&folder.join("worldcup98/requests_per_minute.csv"))?,
        },
        DataSet {
            name: "azure-llm",
            licence: "CC-BY-4.0",
            attribution: "Azure Public Dataset, AzureLLMInferenceTrace 2023 (code), Microsoft; counted per 1, 2 and 15 s",
            series: azure(&folder.join("azure-llm/code.csv"))?,
        },
    ])
}

fn nab(folder: &Path) -> Result<Vec<Series>, TraceError> {
    #[derive(Deserialize)]
    struct Row {
        value: f64,
    }
    let paths = files(folder, "csv")?;
    let read = |(index, path): (usize, &PathBuf)| {
        let rows: Vec<Row> = rows(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let held_out = index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1;
        Ok(series(name, rows.iter().map(|row| row.value).collect(), held_out))
    };
    paths.iter().enumerate().map(read).collect()
}

fn worldcup(path: &Path) -> Result<Vec<Series>, TraceError> {
    #[derive(Deserialize)]
    struct Row {
        count: f64,
    }
    let rows: Vec<Row> = rows(path)?;
    Ok(vec![series("requests 60 s".to_owned(), rows.iter().map(|row| row.count).collect(), false)])
}

fn azure(path: &Path) -> Result<Vec<Series>, TraceError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "TIMESTAMP")]
        at: String,
    }
    let rows: Vec<Row> = rows(path)?;
    let time = |row: &Row| {
        seconds(&row.at).ok_or_else(|| TraceError::Time { path: path.to_owned(), found: row.at.clone() })
    };
    let times = rows.iter().map(time).collect::<Result<Vec<f64>, _>>()?;
    let Some(&first) = times.first() else { return Err(TraceError::Empty { path: path.to_owned() }) };
    let counted = GRIDS.map(|grid| {
        let mut counts = Vec::new();
        for time in &times {
            let bin = ((time - first).max(0.0) / grid) as usize;
            if counts.len() <= bin {
                counts.resize(bin + 1, 0.0);
            }
            counts[bin] += 1.0;
        }
        // The last bin ended early.
        counts.pop();
        series(format!("arrivals {grid} s"), counts, false)
    });
    Ok(counted.into())
}

/// The files of a folder with such an extension, in order.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, TraceError> {
    let open = |reason| TraceError::Open { path: folder.to_owned(), reason };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(open)? {
        let path = entry.map_err(open)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(TraceError::Empty { path: folder.to_owned() });
    }
    Ok(paths)
}

fn rows<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>, TraceError> {
    parsed(path, File::open(path).map_err(|reason| TraceError::Open { path: path.to_owned(), reason })?)
}

fn parsed<R: DeserializeOwned>(path: &Path, text: impl Read) -> Result<Vec<R>, TraceError> {
    let rows = csv::Reader::from_reader(text).into_deserialize().collect::<Result<Vec<R>, _>>();
    rows.map_err(|reason| TraceError::Row { path: path.to_owned(), reason })
}

/// Seconds since midnight of `DATE HH:MM:SS.fraction`; the trace stays within one day.
fn seconds(timestamp: &str) -> Option<f64> {
    let (_, time) = timestamp.split_once(' ')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

/// Puts a series into units of load, by what it shows before the part that judges.
fn series(name: String, mut loads: Vec<f64>, held_out: bool) -> Series {
    for load in &mut loads {
        *load = if load.is_finite() { load.max(0.0) } else { 0.0 };
    }
    let mut series = Series { held_out, ..Series::new(name, loads) };
    let mut seen = series.loads[..series.range(Part::Test).start].to_vec();
    seen.sort_unstable_by(f64::total_cmp);
    let capacity = seen.get((CAPACITY_QUANTILE * seen.len() as f64) as usize).copied().unwrap_or_default();
    let most = seen.last().copied().unwrap_or_default();
    let unit = if capacity > 0.0 { capacity } else { most.max(1.0) };
    series.loads.iter_mut().for_each(|load| *load /= unit);
    series
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_time_of_day_is_read_to_the_fraction() {
        assert_eq!(seconds("2023-11-16 18:17:03.5"), Some(65_823.5));
        assert_eq!(seconds("18:17"), None);
        assert_eq!(seconds("2023-11-16 18:xx:03"), None);
    }

    #[test]
    fn the_unit_comes_from_the_part_that_is_learned_from() {
        let mut loads = vec![10.0; 100];
        loads[90] = 1000.0;
        let series = series("s".to_owned(), loads, false);
        assert!((series.loads[0] - 1.0).abs() < 1e-12 && (series.loads[90] - 100.0).abs() < 1e-12);
    }

    #[test]
    fn own_recordings_are_put_together_by_node_and_split_at_one_moment() {
        let folder = tempfile::tempdir().unwrap();
        let rows =
            (0..100_i64).flat_map(|step| ["n1", "n2"].map(|node| format!("{},{node},ramp,0.5\n", 2 * step)));
        let text = std::iter::once("time_s,node,shape,load\n".to_owned()).chain(rows).collect::<String>();
        let file = File::create(folder.path().join("first.csv.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
        let series = own(folder.path()).unwrap().series;
        let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["first n1 2s", "first n2 2s"]);
        assert!(
            series.iter().all(|series| series.range(Part::Known) == (0..70) && series.loads.len() == 100)
        );

        std::fs::write(folder.path().join("second.csv.gz"), "no gzip").unwrap();
        let error = own(folder.path()).unwrap_err().to_string();
        assert!(error.contains("second.csv.gz"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named_with_what_to_do() {
        let error = read(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/nab") && error.contains("--data"), "{error}");
    }
}
