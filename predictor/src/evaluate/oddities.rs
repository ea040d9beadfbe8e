//! What was odd about a file, by line.

use std::collections::BTreeMap;

/// Lines that a sentence names.
const NAMED: usize = 5;

/// Line numbers, from 1, by what was odd there.
#[derive(Debug, Default)]
pub(super) struct Oddities(BTreeMap<&'static str, Vec<u64>>);

impl Oddities {
    /// Remembers a line.
    pub(super) fn note(&mut self, what: &'static str, line: u64) {
        self.0.entry(what).or_default().push(line);
    }

    /// A sentence for each kind.
    pub(super) fn sentences(&self) -> Vec<String> {
        self.0.iter().map(|(what, lines)| format!("{what}: {}", named(lines))).collect()
    }

    /// The first of them in brackets, for an error; nothing if nothing was odd.
    pub(super) fn first(&self) -> String {
        self.sentences().first().map(|first| format!(" ({first})")).unwrap_or_default()
    }
}

/// `line 3, 5 and 7 more`.
pub(super) fn named(lines: &[u64]) -> String {
    let named: Vec<String> = lines.iter().take(NAMED).map(u64::to_string).collect();
    let more = lines.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("line {}{rest}", named.join(", "))
}
