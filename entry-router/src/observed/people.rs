//! What `/debug/shadow` tells of a route.

use foreshift_api::journal_route::{ClassOutcome, ShadowVerdict};
use foreshift_engine::shadow::View;
use serde::Serialize;

use super::rows;
use crate::assigner::Seen;

/// How this replica calls itself where only one is looked at.
const HERE: &str = "here";

/// The shadow mode of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadowed {
    /// Whether the route asks for copies, and by a header that is one.
    pub asked: bool,
    /// The alternates.
    pub alternates: Vec<Alternate>,
    /// What entries of each class took, as in `status.outcomes`.
    pub outcomes: Vec<ClassOutcome>,
}

/// One alternate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternate {
    /// Name of the Service.
    pub resource: String,
    /// Whether it is warm.
    pub warm: bool,
    /// Entries and copies that it worked on since it was cold.
    pub primed: u32,
    /// Those that make it warm.
    pub needed: u32,
    /// Copies in the trial that runs.
    pub copies: u32,
    /// Copies under way.
    pub under_way: u32,
    /// What holds copies back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back_by: Option<String>,
    /// The last verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ShadowVerdict>,
}

/// What was seen, for people.
#[must_use]
pub fn told(seen: &Seen) -> Shadowed {
    Shadowed {
        asked: seen.asked.is_some(),
        alternates: seen.alternates.iter().map(alternate).collect(),
        outcomes: rows::outcomes(seen, HERE),
    }
}

fn alternate(view: &View) -> Alternate {
    Alternate {
        resource: view.alternate.clone(),
        warm: view.is_warm,
        primed: view.primed.0,
        needed: view.primed.1,
        copies: view.copies,
        under_way: view.under_way,
        held_back_by: view.hold.map(|hold| hold.to_string()),
        verdict: view.verdict.as_ref().map(|verdict| rows::told(&view.alternate, verdict, HERE)),
    }
}
