//! Per-entry assignment: which resource gets one entry, now.
//!
//! [`Candidates`] is prepared once a tick and kept up to date per entry: [`assign_entry`] chooses, [`Candidates::start`]
//! notes that the entry is on its way, [`Candidates::finish`] what became of it. A resource has room while both
//! hold: it has no more in flight than it would have at its objective (milliseconds: this sees a noisy neighbour
//! before any persona does), and it was given no more than its objective lets it do (seconds: this keeps the lead
//! where the plan wants it).
//!
//! Room is not all: an entry that would have to wait for so long that it would be among the slowest is rather given to a
//! resource that is prompt ([`PROMPT`]), if one of the next few is. So a tail is kept without spreading everything:
//! small entries wait a little with the lead, large ones go where nobody is before them.

mod candidates;
mod intensity;
mod limits;
mod slot;

use std::time::Duration;

pub use candidates::{Candidates, Tick};
pub use slot::{Outcome, Ticket};

/// An entry is on time when it is done within this many times of what the slowest hundredth of the entries would take
/// alone, or itself if that is more.
pub const PROMPT: f64 = 1.1;

/// So many alternates are asked for one that is prompt once somebody has room: a choice does not take longer where
/// nobody is.
const ASKED: usize = 4;

/// Which resource gets an entry, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its place among the [`Candidates`].
    pub resource: usize,
    /// What decided.
    pub reason: Reason,
}

/// What decided on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The lead has room.
    LeadHasHeadroom,
    /// The lead has no room, but less than the share it keeps in any case.
    LeastLeadShare,
    /// The alternate with the best score for this class among those that have room, and that would have it done on
    /// time where anybody would; the lead has no room, or would be late.
    BestAlternate,
    /// Nobody has room: the one that would be done with it first.
    ByHeadroom,
    /// Nobody has room, and only one passes its gates.
    OnlyOneLeft,
    /// Nobody passes the gates: the one that would be done with it first, rather than none.
    LastResort,
}

/// Chooses a resource for one entry of a class.
///
/// `impact` tells the predicted work of the entry on a resource (by its place), in seconds of one core, as
/// [`crate::impact::Impacts::predict`] does; what is no positive number counts as the mean of the entries so far. `tried` are places that failed it already; they get it
/// again only if there are no others. Classes that were not prepared are ranked as class 0.
///
/// Without allocation. It looks at the lead, then at the alternates in order of score until one has room and is prompt,
/// and takes the first that had room if the next few are not: constant time while the lead has room, linear in the
/// number of alternates when nobody has.
#[must_use]
pub fn assign_entry(
    candidates: &Candidates,
    class: usize,
    now: Duration,
    impact: impl Fn(usize) -> f64,
    tried: &[usize],
) -> Assignment {
    let now = now.as_secs_f64();
    let again = |resource: usize| !tried.is_empty() && tried.contains(&resource);
    let mut soonest = Soonest::default();
    let (mut late, mut asked) = (None, 0);
    if let Some(lead) = candidates.lead().filter(|&lead| !again(lead)) {
        let slot = candidates.slot(lead);
        if slot.takes() {
            let work = candidates.work(impact(lead));
            if slot.fits(work, candidates.typical(work)) && candidates.may_have(lead, work, now) {
                let chosen = Assignment { resource: lead, reason: Reason::LeadHasHeadroom };
                if candidates.is_prompt(lead, work) {
                    return chosen;
                }
                late = Some(chosen);
            } else if candidates.lead_is_owed(lead, work) && !slot.is_swamped(work, candidates.typical(work))
            {
                return Assignment { resource: lead, reason: Reason::LeastLeadShare };
            }
            soonest.consider(lead, slot.done_after(work));
        }
    }
    for resource in candidates.ranked(class) {
        if late.is_some() {
            asked += 1;
            if asked > ASKED {
                break;
            }
        }
        let slot = candidates.slot(resource);
        if !slot.takes() || again(resource) {
            continue;
        }
        let work = candidates.work(impact(resource));
        if slot.fits(work, candidates.typical(work))
            && candidates.may_have(resource, work, now)
            && !candidates.has_its_most(resource, work)
        {
            let chosen = Assignment { resource, reason: Reason::BestAlternate };
            if candidates.is_prompt(resource, work) {
                return chosen;
            }
            late = late.or(Some(chosen));
        }
        soonest.consider(resource, slot.done_after(work));
    }
    if let Some(chosen) = late {
        return chosen;
    }
    match (soonest.best, soonest.seen) {
        (Some(resource), 1) => Assignment { resource, reason: Reason::OnlyOneLeft },
        (Some(resource), _) => Assignment { resource, reason: Reason::ByHeadroom },
        (None, _) => {
            Assignment { resource: last_resort(candidates, &impact, tried), reason: Reason::LastResort }
        }
    }
}

/// Fails open: whoever could take entries at all, then whoever is there, then the lead.
fn last_resort(candidates: &Candidates, impact: &impl Fn(usize) -> f64, tried: &[usize]) -> usize {
    let soonest = |eligible: &dyn Fn(usize) -> bool| {
        let mut soonest = Soonest::default();
        for resource in candidates.everybody().filter(|&resource| eligible(resource)) {
            soonest
                .consider(resource, candidates.slot(resource).done_after(candidates.work(impact(resource))));
        }
        soonest.best
    };
    soonest(&|resource| candidates.slot(resource).could_take() && !tried.contains(&resource))
        .or_else(|| soonest(&|resource| candidates.slot(resource).could_take()))
        .or_else(|| soonest(&|resource| candidates.slot(resource).has_endpoints()))
        .or(candidates.lead())
        .unwrap_or(0)
}

/// The resource that would be done first; of equals the one that was looked at first.
struct Soonest {
    best: Option<usize>,
    work: f64,
    cores: f64,
    seen: usize,
}

impl Soonest {
    fn consider(&mut self, resource: usize, (work, cores): (f64, f64)) {
        self.seen += 1;
        // Ratios compared without a division, which would be most of the time that a choice takes.
        if work * self.cores < self.work * cores {
            (self.best, self.work, self.cores) = (Some(resource), work, cores);
        }
    }
}

impl Default for Soonest {
    /// Nobody, who would never be done.
    fn default() -> Self {
        Self { best: None, work: f64::INFINITY, cores: 1.0, seen: 0 }
    }
}

#[cfg(test)]
mod tests;
