//! `docs/reference/events.md` is what the enum says; `UPDATE=1 cargo test -p foreshift-operator --test reference`
//! rewrites it.

use std::fmt::Write as _;

use foreshift_operator::events::{EventReason, event};
use kube::runtime::events::EventType;

#[test]
fn the_events_in_the_documentation_are_those_of_the_enum() {
    let mut page = String::from(
        "# Events

Events that the operator emits, each about one object. List them with `kubectl events --for journalroute/journal`.

<!-- Generated from operator/src/events.rs by `UPDATE=1 cargo test -p foreshift-operator --test reference`; do not
edit. -->
",
    );
    for kind in ["JournalRoute", "LoadModel"] {
        write!(page, "\n## {kind}\n\n| type | reason | action | meaning |\n|---|---|---|---|\n").unwrap();
        for reason in EventReason::ALL.iter().filter(|reason| reason.kind() == kind) {
            let (type_, action) = (name(reason.type_()), reason.action());
            writeln!(page, "| {type_} | `{reason}` | `{action}` | {} |", reason.description()).unwrap();
        }
    }
    let documented = page.lines().filter(|line| line.contains("| `")).count();
    assert_eq!(documented, EventReason::ALL.len(), "an event is about a kind that this page lacks");

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/events.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "{path} is out of date; run: UPDATE=1 cargo test -p foreshift-operator --test reference"
    );
}

#[test]
fn a_note_is_cut_to_what_the_api_accepts() {
    let event = event(EventReason::Refused, &"x".repeat(2000));
    assert_eq!(event.note.map(|note| note.len()), Some(1000));
}

fn name(type_: EventType) -> &'static str {
    match type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}
