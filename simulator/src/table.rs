//! Reports as text: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{figures::Figures, run::Report};

/// A column: its heading and how a figure is written.
type Column = (&'static str, fn(&Figures) -> String);

/// The columns of a table, in order.
const COLUMNS: [Column; 14] = [
    ("excess work", |f| percent(f.excess_work_ratio)),
    ("saturated s", |f| format!("{:.1}", f.saturated_seconds)),
    ("alternates", |f| percent(f.mean_alternate_share)),
    ("shift ahead s", |f| optional(f.first_shift_lead_time_s, 0)),
    ("p50 ms", |f| milliseconds(f.p50_ms)),
    ("p99 ms", |f| milliseconds(f.p99_ms)),
    ("p99.9 ms", |f| milliseconds(f.p999_ms)),
    ("errors", |f| percent(f.error_ratio)),
    ("max/mean", |f| format!("{:.2}", f.max_over_mean_load)),
    ("cost", |f| format!("{:.3}", f.cost)),
    ("churn/min", |f| format!("{:.2}", f.share_churn_per_min)),
    ("false shifts", |f| f.false_shift_ratio.map_or_else(|| "-".into(), percent)),
    ("entries", |f| f.entries.to_string()),
    ("lost", |f| f.lost.to_string()),
];

/// A Markdown table with a row a policy.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut rows =
        vec![std::iter::once("policy".to_owned()).chain(COLUMNS.map(|c| c.0.to_owned())).collect::<Vec<_>>()];
    for outcome in &report.policies {
        let cells = COLUMNS.iter().map(|(_, cell)| cell(&outcome.figures));
        rows.push(std::iter::once(outcome.policy.name.to_owned()).chain(cells).collect());
    }
    aligned(&rows)
}

/// Rows as Markdown, the first one as its head, all columns as wide as their widest cell.
#[must_use]
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        text.push('|');
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let written = if column == 0 {
                write!(text, " {cell:<width$} |")
            } else {
                write!(text, " {cell:>width$} |")
            };
            written.unwrap_or_default();
        }
        text.push('\n');
        if i == 0 {
            text.push('|');
            for (column, width) in widths.iter().enumerate() {
                let right = if column == 0 { '-' } else { ':' };
                write!(text, "{}{right}|", "-".repeat(width + 1)).unwrap_or_default();
            }
            text.push('\n');
        }
    }
    text
}

/// `{"policies": {NAME: {FIGURE: number, ...}, ...}}`.
#[must_use]
pub fn json(report: &Report) -> Value {
    let policies: Map<String, Value> = report
        .policies
        .iter()
        .map(|outcome| (outcome.policy.name.to_owned(), json!(outcome.figures)))
        .collect();
    json!({ "policies": policies })
}

fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Three digits are what a latency is worth.
fn milliseconds(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_head_is_ruled_off() {
        let rows = [vec!["a".to_owned(), "long".to_owned()], vec!["name".to_owned(), "1".to_owned()]];
        assert_eq!(aligned(&rows), "| a    | long |\n|------|-----:|\n| name |    1 |\n");
    }
}
