//! All runs of a demo in one file, `summary.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    calibrate::Capacity,
    error::{Error, Result},
    outcome::Outcome,
    route::Run,
    shape::Shape,
};

/// All runs of a demo, and what they have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What the runs have in common.
    pub meta: Meta,
    /// The run in which the lead kept everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_only: Option<Outcome>,
    /// The run that moved when saturation was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactive: Option<Outcome>,
    /// The run that moved by the forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreshift: Option<Outcome>,
    /// The same for clients that keep their connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_alive: Option<Outcome>,
}

/// What the runs of a demo have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The shape that was driven.
    pub shape: Shape,
    /// What the lead carries.
    pub capacity: Capacity,
    /// Entries in a request.
    pub batch: u32,
    /// Load at which the route keeps the lead.
    pub objective: f64,
    /// The lead's node, then the alternates'.
    pub nodes: [String; 3],
    /// Pods of each resource.
    pub pods_each: usize,
    /// Log lines that were sent, over and over.
    pub log_lines: usize,
    /// Version of the API server.
    pub kubernetes: String,
    /// Whether the entry router stood in the way of Foreshift's runs.
    #[serde(default)]
    pub router: bool,
}

impl Summary {
    /// No run yet.
    #[must_use]
    pub fn new(meta: Meta) -> Self {
        Self { meta, lead_only: None, reactive: None, foreshift: None, kept_alive: None }
    }

    /// The outcome of a run.
    #[must_use]
    pub fn of(&self, run: Run) -> Option<&Outcome> {
        match run {
            Run::LeadOnly => self.lead_only.as_ref(),
            Run::Reactive => self.reactive.as_ref(),
            Run::Foreshift => self.foreshift.as_ref(),
            Run::KeptAlive => self.kept_alive.as_ref(),
        }
    }

    /// The runs that were made, in their order.
    pub fn runs(&self) -> impl Iterator<Item = (Run, &Outcome)> {
        [Run::LeadOnly, Run::Reactive, Run::Foreshift, Run::KeptAlive]
            .into_iter()
            .filter_map(|run| self.of(run).map(|outcome| (run, outcome)))
    }

    /// Adds a run, and to every run how long it was ahead of the lead-only one.
    pub fn add(&mut self, run: Run, outcome: Outcome) {
        let slot = match run {
            Run::LeadOnly => &mut self.lead_only,
            Run::Reactive => &mut self.reactive,
            Run::Foreshift => &mut self.foreshift,
            Run::KeptAlive => &mut self.kept_alive,
        };
        *slot = Some(outcome);
        let saturated = self.lead_only.as_ref().and_then(|lead_only| lead_only.saturated_from_s);
        for outcome in [&mut self.reactive, &mut self.foreshift, &mut self.kept_alive].into_iter().flatten() {
            outcome.first_shift_lead_time_s =
                saturated.zip(outcome.first_shift_s).map(|(saturated, shifted)| saturated - shifted);
        }
    }

    /// Reads a summary.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Unfit(format!("{} is no summary of a demo: {error}", path.display())))
    }

    /// Writes the summary.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Unfit(format!("the summary cannot be written: {error}")))?;
        std::fs::write(path, text + "\n").map_err(|source| Error::File { path: path.to_owned(), source })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn empty() -> Summary {
        Summary::new(Meta {
            shape: Shape::Ramp,
            capacity: Capacity { requests_per_second: 200.0, idle_load: 0.05, quota_cores: Some(0.2) },
            batch: 20,
            objective: 0.75,
            nodes: ["n1", "n2", "n3"].map(str::to_owned),
            pods_each: 4,
            log_lines: 1000,
            kubernetes: "v1.35.4".into(),
            router: false,
        })
    }

    #[test]
    fn the_lead_time_is_known_once_both_moments_are_in_whatever_order_they_come() {
        let mut summary = empty();
        summary.add(Run::Foreshift, Outcome { first_shift_s: Some(40.0), ..Outcome::default() });
        assert_eq!(summary.of(Run::Foreshift).unwrap().first_shift_lead_time_s, None);
        summary.add(Run::LeadOnly, Outcome { saturated_from_s: Some(65.0), ..Outcome::default() });
        assert_eq!(summary.of(Run::Foreshift).unwrap().first_shift_lead_time_s, Some(25.0));
        assert_eq!(summary.of(Run::LeadOnly).unwrap().first_shift_lead_time_s, None);
    }

    #[test]
    fn what_is_written_is_read_and_runs_that_were_not_made_are_left_out() {
        let mut summary = empty();
        summary.add(Run::Foreshift, Outcome::default());
        let text = serde_json::to_string(&summary).unwrap();
        assert!(!text.contains("lead_only") && text.contains("\"first_shift_lead_time_s\":null"));
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    }
}
