//! Which entries of a route are copied to which alternate, and what the copies showed.

use std::time::Duration;

use super::{Hold, Purpose, Shadow, Verdict, held_back_by, is_copied, priming::Priming, trials::Trials};
use crate::{
    decision::Phase,
    policy::Policy,
    resource::{Readiness, Resource},
};

/// Copies of one alternate under way at most. What hangs stops getting more.
const MOST_UNDER_WAY: u32 = 16;

/// The shadow mode of one route. A default one copies nothing.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    shadow: Option<Shadow>,
    now: Duration,
    percent: f64,
    alternates: Vec<Alternate>,
    /// The lead had no room for an entry since the last tick.
    short: bool,
    /// The first share of a cold alternate waits for copies.
    waits: bool,
}

/// What a tick brings.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// Time since 1970: replicas agree on windows by it.
    pub now: Duration,
    /// What the route asks for.
    pub shadow: &'a Shadow,
    /// See [`super::seed`].
    pub seed: u64,
    /// Where the route stands.
    pub phase: Phase,
    /// Its policy.
    pub policy: &'a Policy,
    /// Its lead.
    pub lead: &'a Resource,
    /// Its alternates.
    pub alternates: &'a [Resource],
    /// How warm the operator says that each is, 0 to 1; `None` where it says nothing or they end.
    pub warm: &'a [Option<f64>],
    /// Share of each in the operator's plan, permille; none where they end.
    pub present: &'a [u16],
    /// Entries that each acknowledged here since the last tick; none where they end.
    pub served: &'a [u32],
    /// The part of the route's entries that comes through here, above 0 to 1.
    pub part: f64,
}

/// A copy to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Index of the alternate in the last tick.
    pub alternate: usize,
    /// What it is for.
    pub purpose: Purpose,
}

/// Why an entry is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is not among those to be copied, or copies are held back.
    NotChosen,
    /// No alternate has room for it.
    NoRoom,
}

/// An alternate, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Name of the Service.
    pub alternate: String,
    /// Whether it is warm.
    pub is_warm: bool,
    /// Entries and copies that it worked on since it was cold, and those that make it warm.
    pub primed: (u32, u32),
    /// Copies in the trial that runs.
    pub copies: u32,
    /// Copies under way.
    pub under_way: u32,
    /// What holds back copies that try it.
    pub hold: Option<Hold>,
    /// The last verdict, if there is one.
    pub verdict: Option<Verdict>,
}

#[derive(Clone, Debug)]
struct Alternate {
    name: String,
    priming: Priming,
    trials: Trials,
    under_way: u32,
    /// Copies that ended since the last tick.
    ended: u32,
    needed: u32,
    warm_up_hold: Option<Hold>,
    trial_hold: Option<Hold>,
}

impl Mirror {
    /// Takes over what a tick brought. Alternates that are gone are forgotten.
    pub fn prepare(&mut self, tick: &Tick<'_>) {
        let window = tick.shadow.window(tick.now, tick.seed);
        let short = std::mem::take(&mut self.short);
        let mut before = std::mem::take(&mut self.alternates);
        for (i, resource) in tick.alternates.iter().enumerate() {
            let known = before.iter().position(|alternate| alternate.name == resource.name);
            let mut alternate =
                known.map_or_else(|| Alternate::new(&resource.name), |known| before.swap_remove(known));
            alternate.turn(tick, i, short);
            alternate.trials.turn(tick.shadow, window, tick.now);
            self.alternates.push(alternate);
        }
        self.shadow = Some(*tick.shadow);
        self.now = tick.now;
        self.percent = tick.shadow.percent_in(window);
        // Saturation waits for nobody.
        self.waits = tick.lead.endpoints > 0 && tick.lead.load < tick.policy.objective.saturation;
    }

    /// The percent of the entries that [`Self::order`] may ask to copy until the next tick: all while an alternate is
    /// to be warmed.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.alternates.iter().any(Alternate::wants_priming) { 100.0 } else { self.percent }
    }

    /// Whether an entry that its resource is just given is copied, and where. `calm` says that its resource is the lead
    /// and had room for it: while entries compete for room, only what warms an alternate is copied. `has_room` tells
    /// of an alternate by its name.
    ///
    /// # Errors
    /// [`Skip`] says why it is not.
    pub fn order(
        &mut self,
        entry: &[u8],
        calm: bool,
        mut has_room: impl FnMut(&str) -> bool,
    ) -> Result<Order, Skip> {
        let mut wanting = false;
        for (i, alternate) in self.alternates.iter_mut().enumerate().filter(|(_, a)| a.wants_priming()) {
            wanting = true;
            if alternate.under_way < MOST_UNDER_WAY && has_room(&alternate.name) {
                alternate.under_way += 1;
                return Ok(Order { alternate: i, purpose: Purpose::WarmUp });
            }
        }
        if !calm || !is_copied(entry, self.percent) {
            return Err(if wanting { Skip::NoRoom } else { Skip::NotChosen });
        }
        // Each in its turn: the one that was tried least.
        let mut least: Option<(usize, u32)> = None;
        for (i, alternate) in self.alternates.iter().enumerate().filter(|(_, a)| a.may_be_tried()) {
            wanting = true;
            let before = alternate.trials.copies().saturating_add(alternate.under_way);
            let fits = alternate.under_way < MOST_UNDER_WAY && has_room(&alternate.name);
            if fits && least.is_none_or(|(_, least)| before < least) {
                least = Some((i, before));
            }
        }
        match least {
            Some((i, _)) => {
                self.alternates[i].under_way += 1;
                Ok(Order { alternate: i, purpose: Purpose::Trial })
            }
            None => Err(if wanting { Skip::NoRoom } else { Skip::NotChosen }),
        }
    }

    /// The lead has no room for an entry, so a share for the alternates is wanted.
    pub fn lead_is_short(&mut self) {
        self.short = true;
    }

    /// A copy has ended: the seconds to its acknowledgement and to that of its original, `None` for what failed.
    pub fn ended(&mut self, alternate: &str, purpose: Purpose, original: Option<f64>, copy: Option<f64>) {
        let Some(alternate) = self.find(alternate) else { return };
        alternate.under_way = alternate.under_way.saturating_sub(1);
        alternate.ended = alternate.ended.saturating_add(1);
        if purpose == Purpose::Trial {
            alternate.trials.observe(original, copy);
        }
    }

    /// A copy that was ordered is not made.
    pub fn withdrawn(&mut self, alternate: &str) {
        if let Some(alternate) = self.find(alternate) {
            alternate.under_way = alternate.under_way.saturating_sub(1);
        }
    }

    /// Whether the alternate with this index gets no entries yet, since copies are still warming it.
    #[must_use]
    pub fn holds_share(&self, alternate: usize) -> bool {
        self.waits && self.alternates.get(alternate).is_some_and(|a| a.priming.holds(self.now))
    }

    /// What the copies made here say of the alternate with this index.
    #[must_use]
    pub fn readiness(&self, alternate: usize) -> Readiness {
        let verdict = self.alternates.get(alternate).and_then(|alternate| alternate.trials.verdict());
        self.shadow.map_or(Readiness::Inconclusive, |shadow| shadow.readiness(verdict, self.now))
    }

    /// All alternates, in the order of the last tick.
    pub fn alternates(&self) -> impl Iterator<Item = View> {
        self.alternates.iter().map(|alternate| View {
            alternate: alternate.name.clone(),
            is_warm: alternate.priming.is_warm(),
            primed: (alternate.priming.done(), alternate.needed),
            copies: alternate.trials.copies(),
            under_way: alternate.under_way,
            hold: alternate.trial_hold,
            verdict: alternate.trials.verdict().copied(),
        })
    }

    fn find(&mut self, name: &str) -> Option<&mut Alternate> {
        self.alternates.iter_mut().find(|alternate| alternate.name == name)
    }
}

impl Alternate {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            priming: Priming::default(),
            trials: Trials::default(),
            under_way: 0,
            ended: 0,
            needed: 0,
            warm_up_hold: None,
            trial_hold: None,
        }
    }

    fn turn(&mut self, tick: &Tick<'_>, i: usize, short: bool) {
        let resource = &tick.alternates[i];
        let hold = |purpose| held_back_by(purpose, tick.phase, resource, tick.policy);
        (self.warm_up_hold, self.trial_hold) = (hold(Purpose::WarmUp), hold(Purpose::Trial));
        self.needed = needed(tick.shadow, resource.endpoints, tick.part);
        let served = tick.served.get(i).copied().unwrap_or(0).saturating_add(std::mem::take(&mut self.ended));
        let is_known = tick.warm.get(i).copied().flatten().is_some_and(|warm| warm >= 1.0);
        let is_wanted = short || tick.present.get(i).is_some_and(|share| *share > 0);
        self.priming.turn(tick.now, served, self.needed, is_known, is_wanted);
    }

    fn wants_priming(&self) -> bool {
        let spoken_for = self.under_way.saturating_add(self.ended);
        self.warm_up_hold.is_none() && self.priming.lacks(self.needed, spoken_for) > 0
    }

    fn may_be_tried(&self) -> bool {
        self.trial_hold.is_none() && self.priming.is_warm()
    }
}

/// Copies that warm an alternate: what a verdict needs, for each endpoint, and of that this replica's part.
fn needed(shadow: &Shadow, endpoints: u32, part: f64) -> u32 {
    let part = if part > 0.0 { part.min(1.0) } else { 1.0 };
    (f64::from(shadow.min_entries) * f64::from(endpoints) * part).ceil().max(1.0) as u32
}

#[cfg(test)]
mod tests;
