//! What a node's agent saw, step by step, as the CSV that `models/traces/` keeps.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use foreshift_api::{
    Decimal, Span,
    resource_persona::{ResourcePersonaStatus, Usage},
};

use crate::error::{Error, Result};

/// First line of a trace.
pub const HEADER: &str = "time_s,node,part,shape,routed,load,cpu_cores,cpu_capacity_cores,cpu_throttled,cpu_pressure,\
    memory_bytes,network_bytes_per_s,offered,entries_per_s,requests_under_way";

/// Seconds between two rows of a node: the fine grid of its persona.
pub const PERIOD: Span = Span::from_secs(2);

/// What was driven at a node when it was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Driven {
    /// Number of the part.
    pub part: u32,
    /// Name of the shape.
    pub shape: &'static str,
    /// Whether a route moved entries meanwhile.
    pub routed: bool,
    /// Offered to the node, over its capacity.
    pub offered: f64,
    /// Entries that it acknowledged, a second.
    pub entries: f64,
    /// Requests without an answer yet.
    pub under_way: f64,
}

/// The rows of one node.
#[derive(Debug)]
pub struct Trace {
    node: String,
    newest: Option<i64>,
    rows: Vec<(i64, String)>,
}

impl Trace {
    /// No row yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), newest: None, rows: Vec::new() }
    }

    /// Adds a row for every step of the fine grid that is new since the last look, and says how many. The first look adds the
    /// newest one alone: what was before was not driven.
    pub fn follow(&mut self, persona: &ResourcePersonaStatus, driven: &Driven) -> usize {
        let (Some(history), Some(capacity)) = (&persona.history, &persona.capacity) else { return 0 };
        let window = &history.fine;
        if window.period != PERIOD {
            return 0;
        }
        let after = self.newest.unwrap_or(window.step - 1);
        let steps = (0..).map(|back| window.step - back);
        let mut fresh: Vec<_> =
            steps.zip(window.load.iter().rev()).take_while(|&(step, _)| step > after).collect();
        fresh.reverse();
        self.newest = Some(window.step.max(after));
        for &(step, &permille) in &fresh {
            let (cpu, seconds) = (&capacity.cpu, step * PERIOD.get().as_secs() as i64);
            let mut row = String::new();
            // Writing to a string does not fail.
            let _ = write!(
                row,
                "{seconds},{},{},{},{},{:.3},{},{},{},{},{:.0},{:.0},{:.3},{:.1},{:.0}",
                self.node,
                driven.part,
                driven.shape,
                u8::from(driven.routed),
                f64::from(permille) / 1000.0,
                shown(cpu.used),
                shown(cpu.capacity),
                optional(cpu, |cpu| cpu.throttled),
                optional(cpu, |cpu| cpu.pressure),
                capacity.memory.used.get(),
                capacity.network.used.get(),
                driven.offered,
                driven.entries,
                driven.under_way,
            );
            self.rows.push((step, row));
        }
        fresh.len()
    }
}

/// Writes all rows in the order of time, packed with gzip; its folder is made if need be.
pub fn write(path: &Path, traces: &[Trace]) -> Result<usize> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut rows: Vec<&(i64, String)> = traces.iter().flat_map(|trace| &trace.rows).collect();
    rows.sort_by_key(|row| row.0);
    let packed = || -> io::Result<()> {
        let mut file = GzEncoder::new(File::create(path)?, Compression::best());
        writeln!(file, "{HEADER}")?;
        for (_, row) in &rows {
            writeln!(file, "{row}")?;
        }
        file.finish()?.sync_all()
    };
    packed().map_err(failed)?;
    Ok(rows.len())
}

fn shown(value: Decimal) -> String {
    format!("{:.4}", value.get())
}

/// Empty where the node has no such figure.
fn optional(usage: &Usage, figure: impl Fn(&Usage) -> Option<Decimal>) -> String {
    figure(usage).map_or(String::new(), |value| format!("{:.3}", value.get()))
}

#[cfg(test)]
mod tests {
    use foreshift_api::resource_persona::{Capacity, History, Window};

    use super::*;

    fn persona(step: i64, load: &[i32]) -> ResourcePersonaStatus {
        let fine = Window { period: PERIOD, step, load: load.to_vec() };
        ResourcePersonaStatus {
            capacity: Some(Capacity::default()),
            history: Some(History { fine, coarse: Window::default() }),
            ..ResourcePersonaStatus::default()
        }
    }

    #[test]
    fn every_step_becomes_one_row_whenever_it_is_looked_at() {
        let mut trace = Trace::new("n1");
        let driven = Driven { part: 3, shape: "ramp", ..Driven::default() };
        let looks = [persona(10, &[100, 200]), persona(10, &[100, 200]), persona(13, &[200, 300, 400, 500])];
        assert_eq!(looks.map(|look| trace.follow(&look, &driven)), [1, 0, 3]);
        let times: Vec<i64> = trace.rows.iter().map(|row| row.0).collect();
        assert_eq!(times, [10, 11, 12, 13]);
        assert!(trace.rows[3].1.starts_with("26,n1,3,ramp,0,0.500,"), "{:?}", trace.rows[3]);
        assert_eq!(trace.follow(&ResourcePersonaStatus::default(), &driven), 0);
    }

    #[test]
    fn the_file_has_the_columns_of_its_header_in_the_order_of_time() {
        let folder = std::env::temp_dir().join(format!("foreshift-trace-{}", std::process::id()));
        let path = folder.join("a.csv.gz");
        let mut traces = ["n1", "n2"].map(Trace::new);
        for step in 5..8 {
            for trace in &mut traces {
                trace.follow(&persona(step, &[700]), &Driven::default());
            }
        }
        assert_eq!(write(&path, &traces).unwrap(), 6);
        let mut text = String::new();
        let file = File::open(&path).unwrap();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(text.lines().all(|line| line.split(',').count() == 15), "{text}");
        let nodes: Vec<_> = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!(nodes, ["n1", "n2", "n1", "n2", "n1", "n2"]);
    }
}
