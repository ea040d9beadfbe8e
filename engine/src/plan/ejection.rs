//! Ejection of alternates whose endpoints are ready: those that fail their entries, those that do not answer them,
//! and those whose personas stopped.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use super::Input;
use crate::{
    decision::Trouble,
    resource::{Freshness, Readiness, Resource},
    work::{LEAST, Settled},
};

/// An alternate fails when this part of its entries does, and twice as many as with the lead: entries that fail
/// everywhere are the entries' fault. The numbers of [`crate::assign`].
const FAILING: f64 = 0.1;
const FAILING_RATIO: f64 = 2.0;
const FAILING_HITS: u32 = 2;

/// An alternate does not answer when it does less than this part of what its share should bring, for so many ticks.
const UNANSWERED: f64 = 0.25;
const UNANSWERED_HITS: u32 = 5;

/// It must have done this part of a share not much smaller before: a share moves new connections only.
const ANSWERED: f64 = 0.5;
const GROWN: f64 = 1.5;

/// Ticks without a persona after which a share is taken back: one may be late.
const SILENT_HITS: u32 = 2;

/// Ejected for this long, times the number of times, as Envoy's outlier detection does (`base_ejection_time`,
/// `max_ejection_time`). A time is forgotten after [`FORGIVEN`].
const EJECTION: Duration = Duration::from_secs(30);
const LONGEST_EJECTION: Duration = Duration::from_mins(5);
const FORGIVEN: Duration = Duration::from_mins(10);

/// Entries that fail or vanish are missing in what is offered until their share has gone elsewhere and is seen there.
const MISSED: Duration = Duration::from_secs(20);

/// A share that comes back is not judged by what was seen before.
const TRIAL: Duration = Duration::from_secs(8);

/// What is known of each alternate's troubles.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ejections(BTreeMap<String, Record>);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Record {
    failing: u32,
    unanswered: u32,
    silent: u32,
    /// The largest share that it was seen to do the work of, permille.
    proven: u16,
    /// Since when it has a share.
    since: Option<Duration>,
    /// Until when it is ejected, why, and how often it was.
    until: Duration,
    at: Option<Duration>,
    trouble: Option<Trouble>,
    times: u32,
}

/// What one tick shows of an alternate.
struct Look {
    share: u16,
    /// Part of its entries that failed beyond what fails with the lead.
    failing: bool,
    /// Part of the work or the entries that its share should bring; `None` where it is unknown.
    served: Option<f64>,
    silent: bool,
}

impl Ejections {
    /// Takes note of a tick with these shares (permille) of the alternates; returns the trouble of each. `work` is what an entry
    /// takes on each of them.
    pub(super) fn observe(
        &mut self,
        input: &Input<'_>,
        present: &[u16],
        settled: &Settled,
        work: &[f64],
    ) -> Vec<Option<Trouble>> {
        self.0.retain(|name, _| input.alternates.iter().any(|alternate| alternate.name == *name));
        let lead_is_heard = input.lead.freshness == Freshness::Fresh;
        let mut troubles = Vec::with_capacity(input.alternates.len());
        for (i, alternate) in input.alternates.iter().enumerate() {
            let look = Look {
                share: present.get(i).copied().unwrap_or(0),
                failing: alternate.error_ratio >= FAILING
                    && alternate.error_ratio >= FAILING_RATIO * input.lead.error_ratio,
                served: served(input.lead, alternate, settled, i + 1, work[i]),
                // When every persona is silent, the fault is elsewhere.
                silent: lead_is_heard && alternate.freshness != Freshness::Fresh,
            };
            troubles.push(self.0.entry(alternate.name.clone()).or_default().observe(input.now, &look));
        }
        troubles
    }

    /// Whether entries fail or vanish, so that the work that is done tells too little of what is offered.
    pub(super) fn hides_demand(&self, now: Duration) -> bool {
        let lately = |at: Duration| now.saturating_sub(at) < MISSED;
        self.0
            .values()
            .any(|record| record.failing > 0 || record.unanswered > 0 || record.at.is_some_and(lately))
    }
}

impl Record {
    fn observe(&mut self, now: Duration, look: &Look) -> Option<Trouble> {
        if now < self.until {
            self.since = None;
            return self.trouble;
        }
        if now.saturating_sub(self.until) > FORGIVEN {
            self.times = 0;
        }
        self.since = (look.share > 0).then(|| self.since.unwrap_or(now));
        let tried = self.since.is_some_and(|since| self.times == 0 || now.saturating_sub(since) >= TRIAL);
        count(&mut self.failing, tried && look.failing);
        count(&mut self.silent, look.share > 0 && look.silent);
        self.answers(look);
        if self.failing >= FAILING_HITS {
            self.eject(now, Trouble::Failing)
        } else if self.unanswered >= UNANSWERED_HITS {
            self.eject(now, Trouble::Unanswered)
        } else {
            (self.silent >= SILENT_HITS).then_some(Trouble::Silent)
        }
    }

    fn answers(&mut self, look: &Look) {
        self.proven = self.proven.min(look.share);
        let served = look.served.filter(|_| !look.silent);
        if served.is_some_and(|served| served >= ANSWERED) {
            self.proven = look.share;
        }
        let known = f64::from(look.share) <= GROWN * f64::from(self.proven);
        match served {
            Some(served) => count(&mut self.unanswered, known && look.share > 0 && served < UNANSWERED),
            None if look.share == 0 => self.unanswered = 0,
            None => {}
        }
    }

    fn eject(&mut self, now: Duration, trouble: Trouble) -> Option<Trouble> {
        self.times = self.times.saturating_add(1);
        let length = EJECTION.saturating_mul(self.times).min(LONGEST_EJECTION);
        *self = Self {
            until: now.saturating_add(length),
            at: Some(now),
            trouble: Some(trouble),
            times: self.times,
            ..Self::default()
        };
        self.trouble
    }
}

/// The alternates with the ejected ones shown as unfit, so that they fail their gates.
pub(super) fn gated<'a>(alternates: &'a [Resource], troubles: &[Option<Trouble>]) -> Cow<'a, [Resource]> {
    if !troubles.iter().any(|&trouble| barred(trouble)) {
        return Cow::Borrowed(alternates);
    }
    let mut gated = alternates.to_vec();
    for (alternate, _) in gated.iter_mut().zip(troubles).filter(|(_, trouble)| barred(**trouble)) {
        alternate.readiness = Readiness::NotReady;
    }
    Cow::Owned(gated)
}

/// Whether a trouble closes the gates; a silent alternate may be well.
pub(super) fn barred(trouble: Option<Trouble>) -> bool {
    trouble.is_some_and(|trouble| trouble != Trouble::Silent)
}

/// What each resource may hold on to, lead first: a silent one gives back a step a tick.
pub(super) fn held(present: &[u16], troubles: &[Option<Trouble>], step: u16) -> Vec<u16> {
    let mut held = present.to_vec();
    for (share, trouble) in held.iter_mut().skip(1).zip(troubles) {
        if *trouble == Some(Trouble::Silent) {
            *share = share.saturating_sub(step.max(1));
        }
    }
    held
}

/// What an alternate does over what its share should bring.
fn served(lead: &Resource, alternate: &Resource, settled: &Settled, i: usize, work: f64) -> Option<f64> {
    let part = settled.of(i)? / settled.of(0)?;
    let (does, should) = match (lead.entries, alternate.entries) {
        (Some(lead), Some(entries)) => (entries, lead * part),
        (None, None) => (alternate.own_cores, lead.own_cores * part * work.clamp(LEAST, 1.0)),
        _ => return None,
    };
    let served = does / should;
    (should > 0.0 && served.is_finite()).then_some(served)
}

fn count(hits: &mut u32, held: bool) {
    *hits = if held { hits.saturating_add(1) } else { 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Look = Look { share: 300, failing: false, served: Some(1.0), silent: false };

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// What becomes of an alternate that looks like this from second to second.
    fn follow(looks: impl IntoIterator<Item = Look>) -> Vec<Option<Trouble>> {
        let mut record = Record::default();
        looks.into_iter().zip(1000..).map(|(look, second)| record.observe(at(second), &look)).collect()
    }

    fn first(troubles: &[Option<Trouble>], trouble: Trouble) -> Option<usize> {
        troubles.iter().position(|&found| found == Some(trouble))
    }

    #[test]
    fn an_alternate_that_fails_its_entries_is_set_aside_at_once_and_longer_every_time() {
        let failing = |second: usize| Look {
            failing: true,
            share: if second.is_multiple_of(40) { 300 } else { 30 },
            ..FINE
        };
        let troubles = follow((0..200).map(failing));
        assert_eq!(first(&troubles, Trouble::Failing), Some(1));
        let back: Vec<usize> =
            (1..200).filter(|&i| troubles[i - 1].is_some() && troubles[i].is_none()).collect();
        assert_eq!(back[0], 31, "half a minute after it was ejected");
        let again = (back[0]..200).find(|&i| troubles[i].is_some()).unwrap();
        assert_eq!(again, 31 + 9, "it is given a trial first");
        assert_eq!(back[1] - again, 60);
    }

    #[test]
    fn an_alternate_that_answered_and_does_not_any_more_is_set_aside_and_one_that_never_did_is_waited_for() {
        let collapse = |before: f64| {
            follow((0..60).map(|i| Look { served: Some(if i < 20 { before } else { 0.1 }), ..FINE }))
        };
        assert_eq!(first(&collapse(1.0), Trouble::Unanswered), Some(24));
        assert_eq!(
            first(&collapse(0.1), Trouble::Unanswered),
            None,
            "its connections may not have moved yet"
        );
        let grown = follow((0..60).map(|i| match i {
            0..20 => FINE,
            _ => Look { share: 600, served: Some(0.2), ..FINE },
        }));
        assert_eq!(first(&grown, Trouble::Unanswered), None, "the new share is not proven");
    }

    #[test]
    fn a_silent_alternate_gives_back_a_step_a_tick_until_it_speaks() {
        let troubles = follow((0..6).map(|i| Look { silent: (1..5).contains(&i), ..FINE }));
        let silent = Some(Trouble::Silent);
        assert_eq!(troubles, [None, None, silent, silent, silent, None]);
        assert_eq!(held(&[600, 250, 150], &[silent, None], 100), [600, 150, 150]);
        assert_eq!(held(&[600, 250, 150], &[silent, silent], 0), [600, 249, 149]);
    }
}
