//! What an assigner has seen of its route's resources.

use std::{sync::Arc, time::Duration};

use foreshift_engine::{
    impact,
    shadow::{Shadow, View},
};

/// What copies showed of the alternates, and what entries came to on all resources.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When it was looked at: time since 1970.
    pub at: Duration,
    /// How the route asks to try its alternates; none where it does not.
    pub asked: Option<Shadow>,
    /// The alternates.
    pub alternates: Vec<View>,
    /// Classes of entries by resource.
    pub classes: Vec<ClassSeen>,
}

/// What entries of one class came to on one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSeen {
    /// Name of the Service.
    pub resource: Arc<str>,
    /// The class, or `other`.
    pub class: String,
    /// 0 to 100 against the other resources.
    pub affinity: f64,
    /// In figures.
    pub outcome: impact::Outcome,
}
