//! Log lines as journal entries in the journal export format (<https://systemd.io/JOURNAL_EXPORT_FORMATS>), in batches for
//! one upload each.

use std::{
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

/// Content type of an upload.
pub const CONTENT_TYPE: &str = "application/vnd.fdo.journal";

/// Own field with the id by which an entry is counted afterwards.
pub const ID_FIELD: &str = "FORESHIFT_ID";

/// Where log lines came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The program that wrote them.
    pub program: String,
    /// The machine that it ran on.
    pub host: String,
}

/// Entries to send over and over, each time with a new id and time. The rest of an entry is rendered once.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    fields: Vec<Vec<u8>>,
}

/// Longer lines are cut: they would dominate the cost of a batch.
const LONGEST_MESSAGE: usize = 2000;

impl Pool {
    /// Adds every line of `text`.
    pub fn add(&mut self, origin: &Origin, text: &str) {
        self.fields.extend(text.lines().filter(|line| !line.trim().is_empty()).map(|l| rendered(origin, l)));
    }

    /// Lines in the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// An upload of `count` entries numbered from `first`, received `now`. Lines come round in their order.
    #[must_use]
    pub fn batch(&self, run: &str, first: u64, count: u32, now: SystemTime) -> Vec<u8> {
        let micros = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let mut body = Vec::with_capacity(count as usize * 512);
        for number in first..first + u64::from(count) {
            let fields = &self.fields[(number % self.fields.len() as u64) as usize];
            // Writing to a vector does not fail.
            let _ = write!(body, "__REALTIME_TIMESTAMP={micros}\n{ID_FIELD}={run}-{number}\n");
            body.extend_from_slice(fields);
            body.push(b'\n');
        }
        body
    }
}

/// All fields but time and id, a line each.
fn rendered(origin: &Origin, line: &str) -> Vec<u8> {
    let message: String =
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect();
    format!(
        "PRIORITY={}\nSYSLOG_IDENTIFIER={}\n_HOSTNAME={}\n_TRANSPORT=syslog\nMESSAGE={message}\n",
        priority(line),
        origin.program,
        origin.host
    )
    .into_bytes()
}

/// Syslog severity of a line in klog's format, logfmt or JSON; 6 (info) where none is found.
fn priority(line: &str) -> u8 {
    let level = if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
        fields.get("level").or_else(|| fields.get("severity")).and_then(Value::as_str).map(str::to_owned)
    } else if let Some((_, rest)) = line.split_once("level=") {
        rest.split([' ', '"']).find(|word| !word.is_empty()).map(str::to_owned)
    } else {
        // klog: a letter and the date, as in `I1124 07:55:01.042`.
        let klog = line.get(1..5).is_some_and(|date| date.bytes().all(|b| b.is_ascii_digit()));
        line.get(..1).filter(|_| klog).map(str::to_owned)
    };
    match level.as_deref() {
        Some("F" | "fatal" | "panic") => 2,
        Some("E" | "error") => 3,
        Some("W" | "warn" | "warning") => 4,
        Some("debug" | "trace") => 7,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn origin() -> Origin {
        Origin { program: "kubelet".into(), host: "n1".into() }
    }

    #[test]
    fn a_batch_is_in_the_journal_export_format() {
        let mut pool = Pool::default();
        pool.add(&origin(), "W1124 07:55:01.042 1 x.go:1] late\u{7}\n\nplain line\n");
        let body = pool.batch("run", 41, 2, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "__REALTIME_TIMESTAMP=1700000000000000\nFORESHIFT_ID=run-41\nPRIORITY=6\nSYSLOG_IDENTIFIER=kubelet\n\
             _HOSTNAME=n1\n_TRANSPORT=syslog\nMESSAGE=plain line\n\n\
             __REALTIME_TIMESTAMP=1700000000000000\nFORESHIFT_ID=run-42\nPRIORITY=4\nSYSLOG_IDENTIFIER=kubelet\n\
             _HOSTNAME=n1\n_TRANSPORT=syslog\nMESSAGE=W1124 07:55:01.042 1 x.go:1] late \n\n"
        );
    }

    #[test]
    fn severities_are_read_from_the_formats_of_the_clusters_components() {
        for (line, expected) in [
            ("I1124 07:55:01.042187   1 server.go:1] \"Started\"", 6),
            ("E1124 07:55:01.042187   1 server.go:1] \"No\"", 3),
            ("time=\"2026-11-24T07:55:01Z\" level=warning msg=\"slow\"", 4),
            ("time=\"2026-11-24T07:55:01Z\" level=debug msg=\"hm\"", 7),
            (r#"{"level":"fatal","ts":"2026-11-24T07:55:01Z","msg":"gone"}"#, 2),
            ("Everything is fine", 6),
            ("", 6),
            ("é", 6),
        ] {
            assert_eq!(priority(line), expected, "{line}");
        }
    }
}
