//! Entries read from a trace, row by row: a file of any size takes the memory of one row.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::{Entry, Source, drawn::class_work};
use crate::{
    error::{Error, Result},
    scenario::{Class, Scenario},
};

/// The header, exactly.
const HEADER: [&str; 6] = ["timestamp_ms", "class", "source", "destination", "bytes", "steps"];

const MILLISECOND: u64 = 1_000_000;

/// A row longer than this is no row of a trace.
const MAX_ROW: usize = 1 << 16;

/// Time from the first row to any other, in milliseconds: a year.
const LONGEST: u64 = 366 * 24 * 3600 * 1000;

/// A trace; times count from its first row. A class that the scenario does not name counts as its first.
#[derive(Debug)]
pub struct Trace<R = File> {
    path: PathBuf,
    rows: Reader<Rows<BufReader<R>>>,
    row: StringRecord,
    dice: Pcg64Mcg,
    classes: Vec<Class>,
    by_name: HashMap<String, u16>,
    first: u64,
    next: Option<Entry>,
}

/// Passes bytes on and refuses rows without an end.
#[derive(Debug)]
struct Rows<R> {
    inner: R,
    since_end: usize,
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match buffer[..n].iter().rposition(|&byte| byte == b'\n') {
            Some(at) => self.since_end = n - at - 1,
            None => self.since_end += n,
        }
        if self.since_end > MAX_ROW {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is longer than 64 KiB"));
        }
        Ok(n)
    }
}

impl Trace {
    /// Opens a trace and reads its first row.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::Input`] with the line and what was expected.
    pub fn open(path: &Path, scenario: &Scenario, seed: u64) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        Self::new(path, file, scenario, seed)
    }
}

impl<R: Read> Trace<R> {
    /// Reads the first row of a trace; `path` is what errors name.
    ///
    /// # Errors
    /// [`Error::Input`] with the line and what was expected.
    pub fn new(path: &Path, trace: R, scenario: &Scenario, seed: u64) -> Result<Self> {
        let bytes = Rows { inner: BufReader::new(trace), since_end: 0 };
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
        let header = rows.headers().map_err(|error| refused(path, &error))?;
        if header.is_empty() {
            return Err(Error::at(path, Some(1), "the file is empty", &expected_header()));
        }
        if header.iter().ne(HEADER) {
            let found: Vec<&str> = header.iter().collect();
            return Err(Error::at(
                path,
                Some(1),
                &format!("the header is `{}`", found.join(",")),
                &expected_header(),
            ));
        }
        let names = scenario.classes.iter().enumerate();
        let mut trace = Self {
            path: path.to_owned(),
            rows,
            row: StringRecord::new(),
            dice: Pcg64Mcg::seed_from_u64(seed),
            classes: scenario.classes.clone(),
            by_name: names.map(|(i, class)| (class.name.clone(), i as u16)).collect(),
            first: 0,
            next: None,
        };
        trace.next = trace.read()?;
        let Some(first) = &mut trace.next else {
            return Err(Error::at(
                path,
                Some(2),
                "the trace has no rows",
                "at least one row after the header",
            ));
        };
        trace.first = first.at;
        first.at = 0;
        Ok(trace)
    }

    /// The next row, its time as it is written; `None` at the end.
    fn read(&mut self) -> Result<Option<Entry>> {
        let more = self.rows.read_record(&mut self.row).map_err(|error| refused(&self.path, &error))?;
        if !more {
            return Ok(None);
        }
        let number = |column: usize, most: u64, expected: &str| {
            let text = self.row.get(column).unwrap_or_default();
            text.parse::<u64>().ok().filter(|&n| n <= most).ok_or_else(|| {
                let line = self.row.position().map(csv::Position::line);
                Error::at(&self.path, line, &format!("{} is `{text}`", HEADER[column]), expected)
            })
        };
        let at = number(0, u64::MAX / MILLISECOND / 2, "milliseconds as a whole number, 0 or more")?;
        let bytes = number(4, u64::from(u32::MAX), "bytes as a whole number, 0 or more")?;
        let steps = number(5, 1_000_000, "a whole number of steps, 0 to 1000000")?;
        let class = self.by_name.get(self.row.get(1).unwrap_or_default()).copied().unwrap_or_default();
        let work = class_work(&self.classes[usize::from(class)], bytes as f64) * steps.max(1) as f64;
        Ok(Some(Entry {
            at: at * MILLISECOND,
            work: work as f32,
            luck: StandardNormal.sample(&mut self.dice),
            bytes: bytes as u32,
            draw: self.dice.random(),
            class,
            route: 0,
        }))
    }

    fn line(&self) -> Option<u64> {
        self.row.position().map(csv::Position::line)
    }
}

impl<R: Read> Source for Trace<R> {
    fn until(&mut self, end: u64, into: &mut Vec<Entry>) -> Result<()> {
        while let Some(entry) = self.next.take_if(|entry| entry.at < end) {
            into.push(entry);
            self.next = self.read()?;
            let Some(following) = &mut self.next else { break };
            let after = following.at.checked_sub(self.first).filter(|&after| after >= entry.at);
            following.at = after.unwrap_or_default();
            if after.is_none() {
                let before = (entry.at + self.first) / MILLISECOND;
                let expected = format!("rows sorted by time: {before} or more here");
                return Err(Error::at(&self.path, self.line(), "timestamp_ms goes back", &expected));
            }
            if following.at / MILLISECOND > LONGEST {
                let expected = "timestamps within a year of the first";
                return Err(Error::at(&self.path, self.line(), "timestamp_ms is far away", expected));
            }
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.next.is_none()
    }
}

fn expected_header() -> String {
    format!("the header `{}` and rows under it", HEADER.join(","))
}

fn refused(path: &Path, error: &csv::Error) -> Error {
    let expected = format!("UTF-8 rows of six columns: {}", HEADER.join(","));
    let line = error.position().map(csv::Position::line);
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths { len, .. } => format!("the row has {len} columns"),
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    Error::at(path, line, &problem, &expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SECOND;

    const SCENARIO: &str = "duration: 10s\nresources:\n  a: {nodes: [{cores: 2}]}\n  b: {nodes: [{cores: 2}]}\nclasses: [{name: order, workMs: 5, workMsPerKilobyte: 1}, {name: audit, workMs: 1}]\nroute:\n  lead: {service: a, port: 1}\n  alternates: [{service: b, port: 1}]\n  target: {service: t}\ndemand: {shape: {constant: {level: 0.5}}}\n";

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Entry>> {
        let path = PathBuf::from(format!("{name}.csv"));
        let scenario = Scenario::parse(Path::new("s.yaml"), SCENARIO).unwrap();
        let mut entries = Vec::new();
        let mut trace = Trace::new(&path, bytes, &scenario, 1)?;
        for second in 1..=100 {
            trace.until(second * SECOND, &mut entries)?;
        }
        assert!(trace.ended());
        Ok(entries)
    }

    #[test]
    fn a_row_is_an_entry_whose_work_comes_from_its_class_bytes_and_steps() {
        let rows = "timestamp_ms,class,source,destination,bytes,steps\n1000,order,web,log,2000,1\n1500,audit,web,log,10,3\n3000,unknown,,,0,0\n";
        let entries = read("sound", rows.as_bytes()).unwrap();
        let told: Vec<_> =
            entries.iter().map(|e| (e.at / 1_000_000, e.class, (e.work * 1e4).round())).collect();
        assert_eq!(told, [(0, 0, 70.0), (500, 1, 30.0), (2000, 0, 50.0)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_what_was_expected() {
        const HEAD: &str = "timestamp_ms,class,source,destination,bytes,steps\n";
        let cases: [(&str, String, u64, &str); 11] = [
            ("empty", String::new(), 1, "header"),
            ("columns", "timestamp_ms,class,source,destination,bytes,steps,more\n".into(), 1, "header"),
            ("renamed", "timestamp,class,source,destination,bytes,steps\n1,a,b,c,1,1\n".into(), 1, "header"),
            ("no-rows", HEAD.into(), 2, "at least one row"),
            ("negative-time", format!("{HEAD}-5,a,b,c,1,1\n"), 2, "0 or more"),
            ("negative-bytes", format!("{HEAD}5,a,b,c,1,1\n6,a,b,c,-1,1\n"), 3, "0 or more"),
            ("negative-steps", format!("{HEAD}5,a,b,c,1,-1\n"), 2, "0 to 1000000"),
            ("words", format!("{HEAD}5,a,b,c,many,1\n"), 2, "whole number"),
            ("unsorted", format!("{HEAD}5,a,b,c,1,1\n7,a,b,c,1,1\n6,a,b,c,1,1\n"), 4, "sorted by time: 7"),
            ("ragged", format!("{HEAD}5,a,b,c,1,1\n6,a,b\n"), 3, "six columns"),
            ("far", format!("{HEAD}5,a,b,c,1,1\n9000000000000,a,b,c,1,1\n"), 3, "within a year"),
        ];
        for (name, text, line, expected) in cases {
            let told = read(name, text.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(&format!(".csv:{line}: ")) && told.contains(expected), "{name}: {told}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_and_rows_without_end_are_refused() {
        let mut broken = b"timestamp_ms,class,source,destination,bytes,steps\n5,".to_vec();
        broken.extend([0xff, 0xfe, b'\n']);
        assert!(read("utf8", &broken).is_err());
        let mut endless = b"timestamp_ms,class,source,destination,bytes,steps\n5,".to_vec();
        endless.extend(vec![b'x'; 1 << 20]);
        let told = read("endless", &endless).unwrap_err().to_string();
        assert!(told.contains("longer than 64 KiB"), "{told}");
    }
}
