//! Load models: found, proved in a child process, tried beside the champion, promoted when they are better.
//!
//! [`files`] reads and proves, [`scoreboard`] lets every candidate forecast the same loads, [`promotion`] decides who acts
//! which part, [`registry`] does the reading and writing around them. Without a sound model the next rung of the
//! ladder forecasts; nothing here can stop a plan.

pub mod files;
pub mod promotion;
pub mod registry;
pub mod scoreboard;
mod status;

use std::sync::Arc;

use foreshift_engine::forecast::Rung;
use foreshift_predictor::Model;

pub use files::{Files, LoadError};

/// Digits of a digest that people are shown.
const SHORT_DIGEST: usize = 12;

/// What forecasts now, and why nothing better does.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// The model in use.
    pub model: Option<Arc<Model>>,
    /// Why the newest file is not used.
    pub refused: Option<String>,
}

impl Models {
    /// Who made a forecast: `model DIGEST`, `holt`, `last-value` or `reactive`.
    #[must_use]
    pub fn label(&self, rung: Rung) -> String {
        match rung {
            Rung::Model => {
                format!("model {}", self.model.as_ref().map_or("unknown", |model| short(model.digest())))
            }
            Rung::Holt => "holt".into(),
            Rung::LastValue => "last-value".into(),
            Rung::Reactive => "reactive".into(),
        }
    }

    /// First digits of the model that made a forecast; `None` if another rung did.
    #[must_use]
    pub fn digest(&self, rung: Rung) -> Option<String> {
        let model = self.model.as_ref().filter(|_| rung == Rung::Model)?;
        Some(short(model.digest()).to_owned())
    }
}

fn short(digest: &str) -> &str {
    digest.get(..SHORT_DIGEST).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_has_a_name() {
        let models = Models::default();
        let names = [Rung::Model, Rung::Holt, Rung::LastValue, Rung::Reactive].map(|rung| models.label(rung));
        assert_eq!(names, ["model unknown", "holt", "last-value", "reactive"]);
    }
}
