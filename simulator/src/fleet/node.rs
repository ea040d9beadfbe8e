//! One node: a bounded number of workers, one queue, first come, first served.

use std::collections::VecDeque;

use super::NodePlan;
use crate::{
    scenario::{FaultKind, amount::Ratio},
    source::{Entry, SECOND},
};

/// Seconds of the future that work can reach into; what lies beyond is not accounted for.
const AHEAD: usize = 128;

/// Samples that are kept: the oldest age that anybody can ask for.
const KEPT: usize = 1024;

/// Work of an entry that is answered with an error, as a part of its usual work.
const ERROR_WORK: f64 = 0.05;

/// Work beyond this many core seconds never ends within a run; it is cut off so that times can be added.
const LONGEST_WORK: f64 = 1e6;

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When its client knows, in nanoseconds.
    pub at: u64,
    /// What it knows.
    pub verdict: Verdict,
}

/// What a client comes to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The entry was acknowledged.
    Acknowledged,
    /// It was answered with an error.
    Error,
    /// It was never answered.
    Lost,
}

/// What a node was like in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Cores in use, by whomever.
    pub used: f64,
    /// Cores in use for entries.
    pub own: f64,
    /// Part of the second in which an entry waited for a worker.
    pub waiting: f64,
    /// Work that was sent, in cores.
    pub offered: f64,
    /// Part of the capacity that was left for entries.
    pub left: f64,
    /// Entries that were answered, by their time of arrival.
    pub answered: u32,
    /// Entries among them that were answered with an error.
    pub errors: u32,
    /// Whether the node was up.
    pub up: bool,
}

#[derive(Debug)]
pub(super) struct Node {
    /// When each worker is free, as a heap with the earliest on top.
    free: Vec<u64>,
    /// Worker time and waiting time by second, in nanoseconds, as a ring.
    busy: Vec<u64>,
    waiting: Vec<u64>,
    waiting_until: u64,
    offered: f64,
    answered: u32,
    errors: u32,
    coldness: f64,
    samples: VecDeque<Sample>,
}

impl Node {
    pub(super) fn new(plan: &NodePlan) -> Self {
        Self {
            free: vec![0; usize::from(plan.workers)],
            busy: vec![0; AHEAD],
            waiting: vec![0; AHEAD],
            waiting_until: 0,
            offered: 0.0,
            answered: 0,
            errors: 0,
            coldness: plan.cold.map_or(0.0, |cold| (cold.factor.get() - 1.0).max(0.0)),
            samples: VecDeque::from([Sample { left: 1.0, up: true, ..Sample::default() }]),
        }
    }

    /// The sample of `age` seconds ago; the oldest one if that is younger.
    pub(super) fn sample(&self, age: u64) -> &Sample {
        let newest = self.samples.len() - 1;
        &self.samples[newest.saturating_sub(usize::try_from(age).unwrap_or(usize::MAX))]
    }

    pub(super) fn serve(&mut self, plan: &NodePlan, timeout: u64, entry: &Entry) -> Fate {
        let lost = Fate { at: entry.at + timeout, verdict: Verdict::Lost };
        let mut work = f64::from(entry.work) * plan.slowness[usize::from(entry.class)];
        if plan.jitter > 0.0 {
            // The mean stays 1 whatever the spread.
            work *= (plan.jitter * f64::from(entry.luck) - plan.jitter * plan.jitter / 2.0).exp();
        }
        work = work.min(LONGEST_WORK);
        let mut refused_after = None;
        if !plan.faults.is_empty() {
            if plan.fault(FaultKind::NodeLoss, entry.at).is_some()
                || plan.fault(FaultKind::BlackHole, entry.at).is_some()
            {
                self.offered += work;
                return lost;
            }
            if let Some((_, _, fault)) = plan.fault(FaultKind::Errors, entry.at)
                && entry.uniform(u32::from(plan.resource) + 101) < fault.ratio.map_or(1.0, Ratio::get)
            {
                refused_after = Some(fault.answer.map_or(0, |answer| answer.get().as_nanos() as u64));
            }
        }
        if plan.errors > 0.0 && entry.uniform(u32::from(plan.resource) + 1) < plan.errors {
            refused_after = Some(0);
        }
        if let Some(after) = refused_after {
            self.offered += work * ERROR_WORK;
            self.answered += 1;
            self.errors += 1;
            return Fate {
                at: entry.at + after + (work * ERROR_WORK * SECOND as f64) as u64,
                verdict: Verdict::Error,
            };
        }
        self.offered += work;
        if self.coldness > 0.0 {
            work = (work * (1.0 + self.coldness)).min(LONGEST_WORK);
        }
        self.queue(plan, timeout, entry.at, work, lost)
    }

    fn queue(&mut self, plan: &NodePlan, timeout: u64, arrival: u64, work: f64, lost: Fate) -> Fate {
        let start = self.free[0].max(arrival);
        let given_up = arrival + timeout;
        if start > arrival {
            let from = self.waiting_until.max(arrival);
            let to = start.min(given_up);
            if to > from {
                account(&mut self.waiting, from, to);
                self.waiting_until = to;
            }
        }
        if start >= given_up {
            // Nobody waits for it any more: the worker passes it over.
            return lost;
        }
        let speed = plan.cores / f64::from(plan.workers) * plan.left(start);
        let finish = start + (work / speed * SECOND as f64) as u64;
        if !plan.faults.is_empty() && finish > plan.next_loss(arrival) {
            // The node goes down with it; when it is back, it begins empty.
            let back =
                plan.fault(FaultKind::NodeLoss, plan.next_loss(arrival)).map_or(u64::MAX, |(_, to, _)| *to);
            if start < plan.next_loss(arrival) {
                account(&mut self.busy, start, plan.next_loss(arrival));
            }
            self.free.fill(back);
            return lost;
        }
        account(&mut self.busy, start, finish);
        self.occupy(finish);
        if let Some(cold) = plan.cold
            && self.coldness > 0.0
        {
            self.coldness *= 1.0 - 1.0 / cold.entries.get().max(1.0);
        }
        if finish > given_up {
            return lost;
        }
        self.answered += 1;
        Fate { at: finish, verdict: Verdict::Acknowledged }
    }

    /// The worker on top of the heap is free at `finish` again.
    fn occupy(&mut self, finish: u64) {
        let heap = &mut self.free;
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            let Some(&first) = heap.get(left) else { break };
            let child = match heap.get(left + 1) {
                Some(&second) if second < first => left + 1,
                _ => left,
            };
            if heap[child] >= finish {
                break;
            }
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = finish;
    }

    pub(super) fn close_second(&mut self, plan: &NodePlan, second: u64) {
        let slot = second as usize % AHEAD;
        let (busy, waiting) = (std::mem::take(&mut self.busy[slot]), std::mem::take(&mut self.waiting[slot]));
        // What the antagonist takes is read where the second is half over.
        let at = second * SECOND + SECOND / 2;
        let up = plan.is_up(at);
        let left = plan.left(at);
        let own = busy as f64 / SECOND as f64 * plan.cores / f64::from(plan.workers) * left;
        let others = plan.antagonist.as_ref().map_or(0.0, |_| plan.cores * (1.0 - left));
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            used: if up { (own + others).min(plan.cores) } else { 0.0 },
            own: own.min(plan.cores),
            waiting: waiting as f64 / SECOND as f64,
            offered: std::mem::take(&mut self.offered),
            left,
            answered: std::mem::take(&mut self.answered),
            errors: std::mem::take(&mut self.errors),
            up,
        });
    }
}

/// Spreads a stretch of time over the seconds that it touches.
fn account(ring: &mut [u64], mut from: u64, to: u64) {
    let last = from / SECOND + AHEAD as u64 - 1;
    let to = to.min(last * SECOND);
    while from < to {
        let second = from / SECOND;
        let until = to.min((second + 1) * SECOND);
        ring[second as usize % AHEAD] += until - from;
        from = until;
    }
}
