//! What a demo has shown, in one sentence made of measured figures. Pure.

use crate::{outcome::Outcome, summary::Summary};

/// The run that Foreshift's is held against.
#[derive(Clone, Copy)]
struct Rival<'a> {
    /// How a figure of it is introduced.
    with: &'static str,
    outcome: &'a Outcome,
}

/// Says what Foreshift's run achieved, and where it was no better than the reactive run. Without a reactive
/// run, it is held against the lead-only run.
#[must_use]
pub fn sentence(summary: &Summary) -> String {
    let Some(ours) = &summary.foreshift else {
        return "No run with Foreshift was driven, so there is nothing to compare.".into();
    };
    if ours.acknowledged == 0 {
        return "Foreshift's run shows nothing: no entry was acknowledged.".into();
    }
    let reactive = summary.reactive.as_ref().map(|outcome| (" with reactive failover", outcome));
    let alone = summary.lead_only.as_ref().map(|outcome| (" with the lead alone", outcome));
    let rival = reactive.or(alone).map(|(with, outcome)| Rival { with, outcome });
    let figures =
        [Some(saturation(ours, rival)), latency(ours, rival), failures(ours, rival), Some(loss(ours, rival))];
    let figures: Vec<_> = figures.into_iter().flatten().collect();
    format!("{}: {}.", first_share(ours, summary), figures.join(", "))
}

fn first_share(ours: &Outcome, summary: &Summary) -> String {
    let Some(at) = ours.first_shift_s else { return "Foreshift moved no share".into() };
    if let Some(ahead) = ours.first_shift_lead_time_s {
        return moved(ahead, "the lead alone saturated");
    }
    match summary.reactive.as_ref().map(|reactive| reactive.first_shift_s) {
        Some(Some(reactive)) => moved(reactive - at, "reactive failover did"),
        Some(None) => {
            format!(
                "Foreshift moved the first share {at:.0} s into the run, and reactive failover moved none"
            )
        }
        None => format!("Foreshift moved the first share {at:.0} s into the run"),
    }
}

fn moved(ahead: f64, event: &str) -> String {
    let seconds = ahead.abs().round();
    let when = if seconds == 0.0 {
        "in the same second in which".into()
    } else {
        format!("{seconds} s {}", if ahead > 0.0 { "before" } else { "after" })
    };
    format!("Foreshift moved the first share {when} {event}")
}

fn saturation(ours: &Outcome, rival: Option<Rival<'_>>) -> String {
    let seconds = |o: &Outcome| f64::from(o.saturated_seconds);
    let shown = |seconds| format!("{seconds} s");
    let theirs = rival.map(|rival| (seconds(rival.outcome), rival.with));
    format!("{} of saturation{}", shown(seconds(ours)), beside(seconds(ours), theirs, shown))
}

fn latency(ours: &Outcome, rival: Option<Rival<'_>>) -> Option<String> {
    let shown = |ms: f64| if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") };
    let p99 = ours.p99_ms?;
    let theirs = rival.and_then(|rival| rival.outcome.p99_ms).map(|ms| (ms, ""));
    Some(format!("p99 {}{}", shown(p99), beside(p99, theirs, shown)))
}

/// Left out where every request was acknowledged in both runs.
fn failures(ours: &Outcome, rival: Option<Rival<'_>>) -> Option<String> {
    const SHOWN: f64 = 0.0001;
    let shown = |part: f64| match part {
        SHOWN.. => format!("{:.2} %", part * 100.0),
        _ if part > 0.0 => "under 0.01 %".into(),
        _ => "0 %".into(),
    };
    let part = ours.failed_requests;
    let theirs = rival.map(|rival| (rival.outcome.failed_requests, ""));
    let failed = part > 0.0 || theirs.is_some_and(|(part, _)| part > 0.0);
    failed.then(|| format!("{} of the requests failed{}", shown(part), beside(part, theirs, shown)))
}

fn loss(ours: &Outcome, rival: Option<Rival<'_>>) -> String {
    let lost = match ours.lost {
        0 => "no entry lost".into(),
        1 => "1 entry lost".into(),
        lost => format!("{lost} entries lost"),
    };
    let theirs = rival.map(|rival| rival.outcome.lost).filter(|&theirs| (theirs, ours.lost) != (0, 0));
    let shown = |lost: f64| if lost == 0.0 { "none".into() } else { lost.to_string() };
    format!("{lost}{}", beside(ours.lost as f64, theirs.map(|theirs| (theirs as f64, "")), shown))
}

/// What follows a figure: the rival's, how it is introduced, and whether ours is worse. Less is better, and
/// figures that look equal are equal.
fn beside(ours: f64, theirs: Option<(f64, &str)>, shown: impl Fn(f64) -> String) -> String {
    let Some((theirs, with)) = theirs else { return String::new() };
    let text = shown(theirs);
    if shown(ours) == text {
        return if with.is_empty() { " in both runs".into() } else { format!(" as{with}") };
    }
    if ours < theirs { format!(" against {text}{with}") } else { format!(" (worse than {text}{with})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{route::Run, summary::tests::empty};

    fn foreshift() -> Outcome {
        Outcome {
            acknowledged: 100,
            saturated_seconds: 0,
            p99_ms: Some(12.14),
            first_shift_s: Some(22.8),
            ..Outcome::default()
        }
    }

    fn reactive() -> Outcome {
        Outcome { saturated_seconds: 9, p99_ms: Some(210.4), first_shift_s: Some(40.1), ..foreshift() }
    }

    fn said(runs: impl IntoIterator<Item = (Run, Outcome)>) -> String {
        let mut summary = empty();
        runs.into_iter().for_each(|(run, outcome)| summary.add(run, outcome));
        sentence(&summary)
    }

    #[test]
    fn better_figures_stand_against_those_of_the_reactive_run() {
        assert_eq!(
            said([(Run::Reactive, reactive()), (Run::Foreshift, foreshift())]),
            "Foreshift moved the first share 17 s before reactive failover did: 0 s of saturation against \
             9 s with reactive failover, p99 12.1 ms against 210 ms, no entry lost."
        );
    }

    #[test]
    fn worse_and_equal_figures_are_called_so() {
        let ours = Outcome { saturated_seconds: 12, first_shift_s: Some(44.0), lost: 3, ..foreshift() };
        let theirs = Outcome { p99_ms: Some(12.12), failed_requests: 0.00001, ..reactive() };
        assert_eq!(
            said([(Run::Reactive, theirs), (Run::Foreshift, ours)]),
            "Foreshift moved the first share 4 s after reactive failover did: 12 s of saturation (worse than \
             9 s with reactive failover), p99 12.1 ms in both runs, 0 % of the requests failed against under \
             0.01 %, 3 entries lost (worse than none)."
        );
        let ours = Outcome { failed_requests: 0.02, ..reactive() };
        assert_eq!(
            said([(Run::Reactive, Outcome { lost: 1, ..reactive() }), (Run::Foreshift, ours)]),
            "Foreshift moved the first share in the same second in which reactive failover did: 9 s of \
             saturation as with reactive failover, p99 210 ms in both runs, 2.00 % of the requests failed \
             (worse than 0 %), no entry lost against 1."
        );
    }

    #[test]
    fn with_the_lead_alone_the_first_share_is_timed_by_its_saturation() {
        let alone = Outcome { saturated_seconds: 113, saturated_from_s: Some(71.0), ..reactive() };
        let all =
            [(Run::LeadOnly, alone.clone()), (Run::Reactive, reactive()), (Run::Foreshift, foreshift())];
        let start = "Foreshift moved the first share 48 s before the lead alone saturated: 0 s of saturation";
        assert!(said(all).starts_with(&format!("{start} against 9 s with reactive failover, p99")));
        let two = [(Run::LeadOnly, alone), (Run::Foreshift, foreshift())];
        assert!(said(two).starts_with(&format!("{start} against 113 s with the lead alone, p99")));
    }

    #[test]
    fn a_run_alone_is_compared_with_nothing() {
        assert_eq!(
            said([(Run::Foreshift, foreshift())]),
            "Foreshift moved the first share 23 s into the run: 0 s of saturation, p99 12.1 ms, \
             no entry lost."
        );
        let still = Outcome { first_shift_s: None, lost: 1, ..foreshift() };
        assert_eq!(
            said([(Run::Foreshift, still)]),
            "Foreshift moved no share: 0 s of saturation, p99 12.1 ms, 1 entry lost."
        );
    }

    #[test]
    fn what_was_not_measured_is_not_claimed() {
        assert!(said([(Run::Reactive, reactive())]).starts_with("No run with Foreshift"));
        let silent = Outcome { acknowledged: 0, ..foreshift() };
        assert!(said([(Run::Foreshift, silent)]).contains("shows nothing"));
        let unmoved = Outcome { first_shift_s: None, ..reactive() };
        assert!(
            said([(Run::Reactive, unmoved), (Run::Foreshift, foreshift())])
                .contains("23 s into the run, and reactive failover moved none:")
        );
    }
}
