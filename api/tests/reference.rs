//! `docs/reference/conditions.md` is what the enums say; `UPDATE=1 cargo test -p foreshift-api` rewrites it.

use std::fmt::Write as _;

use foreshift_api::condition::{ConditionType, ModelReason, PersonaReason, Reason, RouteReason};

#[test]
fn the_conditions_in_the_documentation_are_those_of_the_enums() {
    let mut page = String::from(
        "# Conditions

Conditions of each kind, with the reasons that they can have. A reason belongs to one condition and implies its
status. Wait for a condition with `kubectl wait`, for example
`kubectl wait journalroute/journal --for=condition=Programmed`.

<!-- Generated from api/src/condition/ by `UPDATE=1 cargo test -p foreshift-api`; do not edit. -->
",
    );
    kind::<RouteReason>(&mut page, "JournalRoute").unwrap();
    kind::<ModelReason>(&mut page, "LoadModel").unwrap();
    kind::<PersonaReason>(&mut page, "ResourcePersona").unwrap();

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/conditions.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == page, "{path} is out of date; run: UPDATE=1 cargo test -p foreshift-api");
}

fn kind<R: Reason>(page: &mut String, kind: &str) -> std::fmt::Result {
    write!(page, "\n## {kind}\n")?;
    for &type_ in R::Type::ALL {
        write!(page, "\n### {}\n\n{}\n\n", type_.name(), type_.description())?;
        page.push_str("| status | reason | meaning |\n|---|---|---|\n");
        for reason in R::ALL.iter().filter(|reason| reason.condition() == type_) {
            let (status, name) = (reason.status(), reason.name());
            writeln!(page, "| `{status}` | `{name}` | {} |", reason.description())?;
        }
    }
    Ok(())
}
