//! The one value that explains a decision: status, events, metrics and `explain` are all made from it.

use std::{fmt, time::Duration};

use crate::{
    forecast::{Quantiles, Rung},
    resource::{Freshness, Readiness, Scores},
};

/// What was decided in one tick, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When, on the caller's clock.
    pub at: Duration,
    /// Where the route stands.
    pub phase: Phase,
    /// What set off a change; `None` when nothing changed.
    pub trigger: Option<Trigger>,
    /// How far ahead the plan looked.
    pub horizon: Duration,
    /// The lead's load at the horizon if everything went to it.
    pub offered: Quantiles,
    /// The lead's load now.
    pub observed: f64,
    /// The load at which the lead is kept.
    pub objective: f64,
    /// Who made the forecast.
    pub rung: Rung,
    /// The lead's share before, permille.
    pub before: u16,
    /// The smallest shed that keeps the lead at its objective, permille.
    pub need: u16,
    /// The resources, lead first; their shares sum to 1000.
    pub shares: Vec<Share>,
    /// What held a change back.
    pub suppressed_by: Option<Suppression>,
    /// Nobody has room: entries are spread by remaining headroom.
    pub insufficient: bool,
}

/// One resource in a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Name of the Service.
    pub resource: String,
    /// Its share for the next tick, permille.
    pub permille: u16,
    /// Its share when warm, permille.
    pub target: u16,
    /// Part of the warm-up that is done, 0 to 1; `None` for the lead and for what has no share.
    pub warm: Option<f64>,
    /// Weighted score, 0 to 100.
    pub score: f64,
    /// The parts of the score.
    pub parts: Scores,
    /// Load now.
    pub load: f64,
    /// Load at the horizon with this share.
    pub predicted: f64,
    /// How old what is known of it is.
    pub freshness: Freshness,
    /// Verdict of shadow entries.
    pub readiness: Readiness,
    /// What an entry takes there over what it takes on the lead, as learned.
    pub work: f64,
    /// Why its share goes elsewhere, though its endpoints are there.
    pub trouble: Option<Trouble>,
}

/// Why an alternate is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Its entries fail.
    Failing,
    /// Its entries are not answered.
    Unanswered,
    /// Its personas stopped while others' go on.
    Silent,
}

/// Where a route stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The lead has everything.
    #[default]
    Steady,
    /// An alternate is being brought up to its share.
    WarmingUp,
    /// Shares are moving away from the lead.
    Shifting,
    /// A part is with the alternates, nothing moves.
    Shifted,
    /// Shares are coming back.
    Returning,
    /// Personas are missing or too old to act on.
    Degraded,
}

/// What set off a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The forecast passes the objective.
    Forecast,
    /// Saturation is observed.
    Saturation,
    /// The lead has had room again for a while.
    Headroom,
    /// An alternate is fuller than its objective.
    Rebalance,
    /// A resource came, went or failed its gates.
    Membership,
    /// The personas of an alternate stopped.
    Silence,
    /// An alternate is warmer than a tick ago.
    WarmUp,
}

/// What held a change back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suppression {
    /// Not enough ticks in a row yet.
    Hits,
    /// `holdDown` since the last move away is not over.
    HoldDown,
    /// The last hard step has not shown its effect yet.
    Settling,
    /// The change would be too small to matter.
    DeadBand,
    /// The lead's persona is too old.
    StalePersona,
    /// Nothing is known of any resource.
    NoPersonas,
}

impl Decision {
    /// The lead's share, permille.
    #[must_use]
    pub fn lead_share(&self) -> u16 {
        self.shares.first().map_or(1000, |s| s.permille)
    }

    /// Whether any share differs from the tick before.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.trigger.is_some()
    }

    /// One sentence for people.
    #[must_use]
    pub fn why(&self) -> String {
        let ahead = self.horizon.as_secs_f64();
        let (p90, objective) = (self.offered.p90, self.objective);
        let now = self.observed;
        let elsewhere = f64::from(self.need) / 10.0;
        let capacity =
            if self.insufficient { "; nobody has room, entries are spread by headroom" } else { "" };
        let cause = match self.trigger {
            Some(Trigger::Forecast) => format!(
                "in {ahead:.0} s the lead would stand at p90 {p90:.2} of its capacity, objective {objective:.2}: {elsewhere:.0} % must go elsewhere"
            ),
            Some(Trigger::Saturation) => format!(
                "the lead stands at {now:.2} of its capacity, saturated: {elsewhere:.0} % must go elsewhere"
            ),
            Some(Trigger::Headroom) => {
                format!("the lead stands at {now:.2} and would stay below {objective:.2}: shares come back")
            }
            Some(Trigger::Rebalance) => "an alternate is fuller than its objective".into(),
            Some(Trigger::Membership) => "a resource came, went or failed its gates".into(),
            Some(Trigger::Silence) => "the personas of an alternate stopped: its share goes elsewhere".into(),
            Some(Trigger::WarmUp) => "an alternate is warmer than a tick ago".into(),
            None => format!("the lead stands at {now:.2}, p90 {p90:.2} in {ahead:.0} s if all went to it"),
        };
        cause + capacity
    }
}

macro_rules! names {
    ($type:ident: $($variant:ident),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => stringify!($variant)),+ })
            }
        }
    };
}

names!(Phase: Steady, WarmingUp, Shifting, Shifted, Returning, Degraded);
names!(Trigger: Forecast, Saturation, Headroom, Rebalance, Membership, Silence, WarmUp);
names!(Trouble: Failing, Unanswered, Silent);
names!(Suppression: Hits, HoldDown, Settling, DeadBand, StalePersona, NoPersonas);
names!(Freshness: Fresh, Aged, Absent);
names!(Readiness: Ready, NotReady, Inconclusive);
