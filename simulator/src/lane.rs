//! One policy's way through a run: entries in, answers back, a tick a second.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    fleet::Fleet,
    policies::{Answer, Named, Policy},
    source::{Entry, SECOND},
    tally::Tally,
};

/// A policy over a fleet of its own, whatever the policy's type.
pub trait Runner {
    /// Which policy.
    fn policy(&self) -> Named;

    /// One second: all entries that arrive in it.
    fn second(&mut self, entries: &[Entry], counts: bool);

    /// What was counted.
    fn tally(&self) -> &Tally;
}

/// See [`Runner`].
#[derive(Debug)]
pub struct Lane<P> {
    named: Named,
    policy: P,
    fleet: Fleet,
    tally: Tally,
    answers: BinaryHeap<Reverse<Answer>>,
    sent: u64,
}

impl<P: Policy + 'static> Lane<P> {
    /// A lane before its first second.
    pub fn boxed(named: Named, policy: P, fleet: Fleet) -> Box<dyn Runner> {
        let tally = Tally::new(&fleet);
        Box::new(Self { named, policy, fleet, tally, answers: BinaryHeap::new(), sent: 0 })
    }

    /// Tells the policy of all answers until `now`.
    fn hear(&mut self, now: u64) {
        while let Some(Reverse(answer)) = self.answers.peek()
            && answer.at <= now
        {
            self.fleet.answered(answer.endpoint);
            self.policy.heard(answer, &self.fleet);
            self.answers.pop();
        }
    }
}

impl<P: Policy + 'static> Runner for Lane<P> {
    fn policy(&self) -> Named {
        self.named
    }

    fn second(&mut self, entries: &[Entry], counts: bool) {
        self.policy.foresee(entries, &self.fleet);
        for entry in entries {
            if P::HEARS {
                self.hear(entry.at);
            }
            let endpoint = self.policy.choose(entry, &self.fleet);
            let fate = self.fleet.send(entry, endpoint);
            if P::HEARS {
                let answer = Answer {
                    at: fate.at,
                    number: self.sent,
                    sent: entry.at,
                    in_flight: self.fleet.in_flight(endpoint),
                    endpoint,
                    class: entry.class,
                    route: entry.route,
                    told: fate.verdict.into(),
                };
                self.sent += 1;
                self.fleet.departed(endpoint);
                self.answers.push(Reverse(answer));
            }
            self.tally.record(entry, endpoint, fate, &self.fleet);
        }
        if P::HEARS {
            self.hear((self.fleet.second() + 1) * SECOND);
        }
        self.fleet.close_second();
        self.policy.tick(&self.fleet);
        self.tally.close_second(&self.fleet, |route| self.policy.shares(route), counts);
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
