//! What a person reads at the end: the runs side by side, and the goals. Pure.

use crate::{goals::Goal, outcome::Outcome, summary::Summary};

/// A row of the summary: its label, and its figure in one run.
type Line = (&'static str, fn(&Outcome) -> String);

/// The runs side by side.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let meta = &summary.meta;
    let requests = meta.capacity.requests_per_second;
    let head = format!(
        "shape {}; the lead carries {requests:.0} requests/s of {} entries ({:.0} entries/s), its node idles at {:.2}\n",
        meta.shape.name(),
        meta.batch,
        requests * f64::from(meta.batch),
        meta.capacity.idle_load,
    );
    let row = |label: &str, cells: Vec<String>| {
        cells.iter().fold(format!("{label:<34}"), |row, cell| format!("{row}{cell:>14}"))
    };
    let titles = row("", summary.runs().map(|(run, _)| run.title().to_owned()).collect());
    let rows = lines()
        .into_iter()
        .map(|(label, figure)| row(label, summary.runs().map(|(_, outcome)| figure(outcome)).collect()));
    [head, titles].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// The goals, a line each.
#[must_use]
pub fn goals(goals: &[Goal]) -> String {
    let line = |goal: &Goal| {
        let mark = match (goal.reached, goal.required) {
            (true, _) => "reached",
            (false, true) => "FAILED",
            (false, false) => "missed",
        };
        format!("{mark:<8} {:<72} {}", goal.text, goal.measured)
    };
    goals.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn lines() -> Vec<Line> {
    fn or_dash(value: Option<f64>, digits: usize) -> String {
        value.map_or("-".into(), |v| format!("{v:.digits$}"))
    }
    vec![
        ("lead saturated, seconds", |o| o.saturated_seconds.to_string()),
        ("saturated for good from, s", |o| or_dash(o.saturated_from_s, 0)),
        ("requests failed", |o| format!("{:.2} %", o.failed_requests * 100.0)),
        ("latency p50, ms", |o| or_dash(o.p50_ms, 1)),
        ("latency p99, ms", |o| or_dash(o.p99_ms, 1)),
        ("latency p99.9, ms", |o| or_dash(o.p999_ms, 1)),
        ("first share moved at, s", |o| or_dash(o.first_shift_s, 1)),
        ("... before the lead saturates, s", |o| or_dash(o.first_shift_lead_time_s, 1)),
        ("share moved", |o| format!("{:.3}", o.shifted_share)),
        ("share that had to move", |o| format!("{:.3}", o.needed_share)),
        ("share changes", |o| o.share_changes.to_string()),
        ("entries sent", |o| o.sent.to_string()),
        ("entries acknowledged", |o| o.acknowledged.to_string()),
        ("entries stored", |o| o.stored.to_string()),
        ("acknowledged entries lost", |o| o.lost.to_string()),
        ("entries stored twice", |o| o.duplicated.to_string()),
        ("route programmed after, s", |o| format!("{:.2}", o.programmed_after_s)),
        ("cost of a request over measured", |o| format!("{:.2}", o.cost_ratio)),
        ("CPU time stolen by the host", |o| format!("{:.1} %", o.stolen_time * 100.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{route::Run, summary::tests::empty};

    #[test]
    fn every_run_has_a_column() {
        let mut both = empty();
        both.add(Run::Reactive, Outcome { lost: 7, ..Outcome::default() });
        both.add(Run::Foreshift, Outcome::default());
        let text = summary(&both);
        let lost = text.lines().find(|line| line.starts_with("acknowledged entries lost")).unwrap();
        assert_eq!(lost.split_whitespace().skip(3).collect::<Vec<_>>(), ["7", "0"]);
    }
}
