//! A trace of any size takes the memory of one second of it.
//!
//! `TRACE_MEGABYTES` says how much is read (64 where it is not set).

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
};

use allocation_counter::measure;
use foreshift_simulator::{
    cluster::ShippedModel,
    policies::{self, Settings},
    run::{self, Order},
    scenario::Scenario,
    source::{SECOND, Source as _, Trace},
};

use super::{HEADER, SCENARIO};

/// Rows in a millisecond of the trace.
const A_MILLISECOND: u64 = 2;

/// Bytes that may be in use at once while a trace is read: its buffers and the entries of one second.
const READING: u64 = 1 << 20;

/// The same while it is simulated: a fleet, a policy and counts for each second come to it.
const SIMULATING: u64 = 4 << 20;

/// A trace that is written while it is read: its header, then rows.
struct Endless {
    row: u64,
    text: Vec<u8>,
    read: usize,
}

impl Endless {
    fn new() -> Self {
        Self { row: 0, text: HEADER.into(), read: 0 }
    }
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() {
            let (at, bytes) = (self.row / A_MILLISECOND, 100 + self.row % 4000);
            self.row += 1;
            self.text.clear();
            self.read = 0;
            io::Write::write_fmt(&mut self.text, format_args!("{at},order,shop,ledger,{bytes},1\n"))?;
        }
        let n = buffer.len().min(self.text.len() - self.read);
        buffer[..n].copy_from_slice(&self.text[self.read..self.read + n]);
        self.read += n;
        Ok(n)
    }
}

#[test]
fn a_huge_trace_is_read_in_the_memory_of_a_second_of_it() {
    let megabytes: u64 =
        env::var("TRACE_MEGABYTES").map_or(64, |text| text.parse().expect("TRACE_MEGABYTES is a count"));
    let scenario = Scenario::parse(Path::new("s.yaml"), SCENARIO).unwrap();
    let mut read = 0_u64;
    let used = measure(|| {
        let rows = Endless::new().take(megabytes << 20);
        let mut trace = Trace::new(Path::new("huge.csv"), rows, &scenario, 1).unwrap();
        let mut entries = Vec::new();
        for second in 1.. {
            entries.clear();
            // The end cuts a row in two, which is told; what was before it is read.
            if trace.until(second * SECOND, &mut entries).is_err() || trace.ended() {
                break;
            }
            read += entries.len() as u64;
        }
    });
    assert!(read >= (megabytes << 20) / 64, "{read} rows of {megabytes} MB");
    assert!(used.bytes_max < READING, "{} bytes for {megabytes} MB", used.bytes_max);
}

#[test]
fn a_simulation_does_not_hold_its_trace() {
    const BYTES: u64 = 16 << 20;
    let path = env::temp_dir().join(format!("foreshift-trace-{}.csv", std::process::id()));
    let mut text = String::new();
    Endless::new().take(BYTES).read_to_string(&mut text).unwrap();
    fs::write(&path, &text[..=text.rfind('\n').unwrap()]).unwrap();
    drop(text);
    let scenario = Scenario::parse(Path::new("s.yaml"), SCENARIO).unwrap();
    let policies = policies::named(["round_robin"]).unwrap();
    let model = ShippedModel::load().unwrap();
    let order = Order {
        scenario: &scenario,
        trace: Some(&path),
        policies: &policies,
        first_seed: 1,
        seeds: 1,
        settings: Settings::default(),
    };
    let mut report = None;
    let used = measure(|| report = Some(run::run(order, &model)));
    fs::remove_file(&path).unwrap();
    let report = report.unwrap().unwrap();
    assert!(report.figures("round_robin").unwrap().entries > BYTES / 64);
    assert!(used.bytes_max < SIMULATING, "{} bytes for a trace of {BYTES}", used.bytes_max);
}
