//! Says what fails once, not every second: when it begins, when its cause changes and when it is over.

use std::fmt::Display;

use tracing::{info, warn};

/// Something that can fail again and again.
#[derive(Debug)]
pub(crate) struct Outage {
    what: &'static str,
    said: Option<String>,
}

impl Outage {
    /// Nothing failed yet.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, said: None }
    }

    /// It failed; logged unless this very error was the last one said.
    pub(crate) fn failed(&mut self, error: &impl Display) {
        let error = error.to_string();
        if self.said.as_ref() != Some(&error) {
            warn!(what = self.what, error, "fails; retrying");
            self.said = Some(error);
        }
    }

    /// It works; logged when it did not before.
    pub(crate) fn over(&mut self) {
        if self.said.take().is_some() {
            info!(what = self.what, "works again");
        }
    }
}
