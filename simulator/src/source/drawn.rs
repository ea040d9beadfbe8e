//! Entries drawn from a demand shape: open loop, Poisson or in bursts.

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp1, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::{Entry, SECOND, Source};
use crate::{
    error::Result,
    scenario::{Class, Scenario, Size},
    shape::Shape,
};

/// The rate is looked up this often.
const SLOT: u64 = SECOND / 20;

/// A rate so low that nothing comes within a slot.
const NONE: f64 = 1e-9;

/// A stream of drawn entries.
#[derive(Debug)]
pub struct Drawn {
    dice: Pcg64Mcg,
    shape: Shape,
    /// Entries a second at level 1, and how many of them come together.
    rate: f64,
    burst: f64,
    settle: f64,
    route: u16,
    kinds: Vec<Kind>,
    slot_end: u64,
    /// Mean time between arrivals in this slot, in nanoseconds.
    gap: f64,
    /// Mean gaps until the next arrival.
    left: f64,
    next: u64,
}

/// What is drawn of one class.
#[derive(Clone, Copy, Debug)]
struct Kind {
    up_to: f64,
    work: f64,
    work_per_byte: f64,
    bytes: Size,
}

impl Drawn {
    /// The stream of route number `route` of a scenario that begins `settle` seconds before its time zero.
    #[must_use]
    pub fn new(scenario: &Scenario, route: usize, settle: u64, seed: u64) -> Option<Self> {
        let (spec, demand) = scenario.routes().nth(route)?;
        let lead = scenario.resources.get(&spec.lead.service)?;
        let weights: f64 = scenario.classes.iter().map(|class| class.weight.get()).sum();
        let mut up_to = 0.0;
        let mut mean_work = 0.0;
        let mut kinds = Vec::new();
        for class in &scenario.classes {
            let part = class.weight.get() / weights;
            let speed = lead.speed.get(&class.name).map_or(1.0, |speed| speed.get());
            up_to += part;
            mean_work += part * class_work(class, mean(class.bytes)) / speed;
            kinds.push(Kind {
                up_to,
                work: class.work_ms.get() / 1000.0,
                work_per_byte: class.work_ms_per_kilobyte.get() / 1e6,
                bytes: class.bytes,
            });
        }
        let mut drawn = Self {
            dice: Pcg64Mcg::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(route as u64)),
            shape: demand.shape.clone(),
            rate: lead.capacity() / mean_work,
            burst: demand.burst.get().max(1.0),
            settle: settle as f64,
            route: route as u16,
            kinds,
            slot_end: 0,
            gap: f64::INFINITY,
            left: 0.0,
            next: 0,
        };
        drawn.left = Exp1.sample(&mut drawn.dice);
        Some(drawn)
    }

    /// Entries a second, on average, at `t` seconds of the scenario.
    #[must_use]
    pub fn rate(&self, t: f64) -> f64 {
        self.rate * self.shape.at(t)
    }

    /// Moves on to the next arrival before `end`, or to `end`.
    fn arrives(&mut self, end: u64) -> bool {
        while self.next < end {
            if self.next >= self.slot_end {
                let t = self.slot_end as f64 / SECOND as f64 - self.settle;
                self.slot_end += SLOT;
                let rate = self.rate(t) / self.burst;
                self.gap = if rate > NONE { SECOND as f64 / rate } else { f64::INFINITY };
            }
            let stop = self.slot_end.min(end);
            let stretch = (stop - self.next) as f64;
            if self.left * self.gap < stretch {
                self.next += (self.left * self.gap) as u64;
                return true;
            }
            self.left -= stretch / self.gap;
            self.next = stop;
        }
        false
    }

    fn entry(&mut self) -> Entry {
        let which: f64 = self.dice.random();
        let class = self.kinds.partition_point(|kind| kind.up_to <= which).min(self.kinds.len() - 1);
        let kind = self.kinds[class];
        let bytes = match kind.bytes {
            Size::Fixed(bytes) => bytes.get(),
            Size::Lognormal { median, sigma } => {
                let z: f64 = StandardNormal.sample(&mut self.dice);
                median.get() * (sigma.get() * z).exp()
            }
            Size::Pareto { least, most, tail } => {
                // Inverse of the cut-off distribution function.
                let (tail, ratio) = (tail.get(), (least.get() / most.get()).powf(tail.get()));
                let u: f64 = self.dice.random();
                least.get() / (1.0 - u * (1.0 - ratio)).powf(1.0 / tail)
            }
        };
        Entry {
            at: self.next,
            work: (kind.work + kind.work_per_byte * bytes) as f32,
            luck: StandardNormal.sample(&mut self.dice),
            bytes: bytes as u32,
            draw: self.dice.random(),
            class: class as u16,
            route: self.route,
        }
    }
}

impl Source for Drawn {
    fn until(&mut self, end: u64, into: &mut Vec<Entry>) -> Result<()> {
        while self.arrives(end) {
            let entry = self.entry();
            into.push(entry);
            // A geometric number with the right mean comes at once.
            let last = self.burst <= 1.0 || self.dice.random::<f64>() < 1.0 / self.burst;
            self.left = if last { Exp1.sample(&mut self.dice) } else { 0.0 };
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        false
    }
}

/// Work of one step of a class, in seconds of one core.
pub(super) fn class_work(class: &Class, bytes: f64) -> f64 {
    (class.work_ms.get() + class.work_ms_per_kilobyte.get() * bytes / 1000.0) / 1000.0
}

fn mean(size: Size) -> f64 {
    match size {
        Size::Fixed(bytes) => bytes.get(),
        Size::Lognormal { median, sigma } => median.get() * (sigma.get() * sigma.get() / 2.0).exp(),
        Size::Pareto { least, most, tail } => {
            let (low, high, a) = (least.get(), most.get(), tail.get());
            let all = 1.0 - (low / high).powf(a);
            if (a - 1.0).abs() < 1e-9 {
                low * (high / low).ln() / all
            } else {
                low.powf(a) * a / (a - 1.0) * (low.powf(1.0 - a) - high.powf(1.0 - a)) / all
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn drawn(classes: &str, demand: &str, seed: u64) -> Vec<Entry> {
        let yaml = format!(
            "duration: 100s\nsettle: 0s\nresources:\n  a: {{nodes: [{{cores: 2}}]}}\n  b: {{nodes: [{{cores: 2}}]}}\nclasses: {classes}\nroute:\n  lead: {{service: a, port: 1}}\n  alternates: [{{service: b, port: 1}}]\n  target: {{service: t}}\ndemand: {demand}\n"
        );
        let scenario = Scenario::parse(Path::new("s.yaml"), &yaml).unwrap();
        let mut entries = Vec::new();
        Drawn::new(&scenario, 0, 0, seed).unwrap().until(100 * SECOND, &mut entries).unwrap();
        entries
    }

    const PLAIN: &str = "[{name: x, workMs: 5}]";

    #[test]
    fn offered_work_is_what_the_shape_asks_of_the_lead_whatever_the_sizes() {
        let pareto = "[{name: x, workMs: 1, workMsPerKilobyte: 1, bytes: {pareto: {least: 1000, most: 100000, tail: 1.5}}}]";
        let lognormal = "[{name: x, workMs: 1, workMsPerKilobyte: 1, bytes: {lognormal: {median: 2000, sigma: 1}}}, {name: y, workMs: 3}]";
        for classes in [PLAIN, pareto, lognormal] {
            for burst in [1, 5] {
                let entries =
                    drawn(classes, &format!("{{shape: {{constant: {{level: 0.5}}}}, burst: {burst}}}"), 1);
                let work: f64 = entries.iter().map(|entry| f64::from(entry.work)).sum();
                assert!((work / 100.0 - 1.0).abs() < 0.05, "{classes}: {work}");
                assert!(entries.is_sorted_by_key(|entry| entry.at));
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_entries_and_another_gives_others() {
        let demand = "{shape: {sine: {low: 0.1, high: 1.0, period: 20s}}}";
        assert_eq!(drawn(PLAIN, demand, 7), drawn(PLAIN, demand, 7));
        assert_ne!(drawn(PLAIN, demand, 7), drawn(PLAIN, demand, 8));
    }

    #[test]
    fn a_demand_of_nothing_brings_nothing() {
        assert!(drawn(PLAIN, "{shape: {constant: {level: 0}}}", 1).is_empty());
        let demand = "{shape: {square: {low: 0.0, high: 0.5, period: 100s, after: 50s}}}";
        let entries = drawn(PLAIN, demand, 1);
        assert!(
            entries.iter().all(|entry| entry.at >= 49 * SECOND) && entries.len() > 5000,
            "{}",
            entries.len()
        );
    }
}
