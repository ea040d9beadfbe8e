//! The steps of a demo, and about how long each of them takes. Pure.

use std::fmt;

use crate::{calibrate, shape::Shape};

/// What is done in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The journal services start.
    Start,
    /// Probes measure the lead's capacity.
    Capacity,
    /// A run gets fresh pods, nodes at rest and its route.
    Preparation,
    /// A run drives the shape.
    Shape,
    /// The journals of a run are read back.
    Journals,
}

/// A run to plan for.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// Its title.
    pub title: &'static str,
    /// Seconds for which nodes are at rest before it.
    pub rest: u32,
}

/// The steps of a demo, in their order.
#[derive(Clone, Debug)]
pub struct Plan {
    shape: Shape,
    titles: Vec<&'static str>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    phase: Phase,
    run: Option<usize>,
    seconds: u32,
}

/// Three Deployments, from their manifests to ready pods.
const START: u32 = 10;
/// Pods that are replaced, and a route that is programmed: what a preparation takes
/// beside the rest of the nodes.
const RENEWAL: u32 = 6;
/// Entries of so many seconds are read back in one second.
const READ_IN_A_SECOND: u32 = 25;

impl Plan {
    /// The steps of `runs` that drive `shape`; the lead's capacity is measured, or given.
    #[must_use]
    pub fn new(shape: Shape, measured: bool, runs: &[Ahead]) -> Self {
        let drive = shape.curve().seconds().round() as u32;
        let step = |phase, run, seconds| Step { phase, run, seconds };
        let mut steps = vec![step(Phase::Start, None, START)];
        if measured {
            steps.push(step(Phase::Capacity, None, calibrate::LEAST_SECONDS));
        }
        for (number, run) in runs.iter().enumerate() {
            steps.extend([
                step(Phase::Preparation, Some(number), run.rest + RENEWAL),
                step(Phase::Shape, Some(number), drive),
                step(Phase::Journals, Some(number), drive.div_ceil(READ_IN_A_SECOND)),
            ]);
        }
        Self { shape, titles: runs.iter().map(|run| run.title).collect(), steps }
    }

    /// What is done in a step; `None` after the last.
    #[must_use]
    pub fn phase(&self, step: usize) -> Option<Phase> {
        self.steps.get(step).map(|step| step.phase)
    }

    /// The next step, from `step` on, in which `phase` is done.
    #[must_use]
    pub fn next(&self, step: usize, phase: Phase) -> Option<usize> {
        (step..self.steps.len()).find(|&later| self.phase(later) == Some(phase))
    }

    /// Seconds that are left after `passed` seconds of `step`.
    /// A step that takes longer than planned has none left.
    #[must_use]
    pub fn left(&self, step: usize, passed: u32) -> u32 {
        let [now, later @ ..] = self.steps.get(step..).unwrap_or_default() else { return 0 };
        now.seconds.saturating_sub(passed) + later.iter().map(|step| step.seconds).sum::<u32>()
    }

    /// The run that a step belongs to, otherwise what is done in it.
    #[must_use]
    pub fn title(&self, step: usize) -> String {
        match self.steps.get(step) {
            Some(Step { run: Some(run), .. }) => self.run_title(*run),
            Some(Step { phase: Phase::Capacity, .. }) => "capacity of the lead".into(),
            _ => "journal services".into(),
        }
    }

    fn run_title(&self, run: usize) -> String {
        format!("run {} of {} {}", run + 1, self.titles.len(), self.titles[run])
    }

    fn write_run(&self, f: &mut fmt::Formatter<'_>, run: usize) -> fmt::Result {
        let of = |step: &&Step| step.run == Some(run);
        let seconds: u32 = self.steps.iter().filter(of).map(|step| step.seconds).sum();
        let parts = self.steps.iter().filter(of).map(|step| {
            let what = match step.phase {
                Phase::Shape => self.shape.name(),
                Phase::Journals => "read journals",
                _ => "prepare",
            };
            format!("{what} {}", clock(step.seconds))
        });
        let parts = parts.collect::<Vec<_>>().join(", ");
        write!(f, "\n{:>7}  {}: {parts}", clock(seconds), self.run_title(run))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "This takes about {} minutes:", clock(self.left(0, 0)))?;
        for step in self.steps.iter().filter(|step| step.run.is_none()) {
            let what = match step.phase {
                Phase::Capacity => "measure the lead's capacity",
                _ => "start the journal services",
            };
            write!(f, "\n{:>7}  {what}", clock(step.seconds))?;
        }
        (0..self.titles.len()).try_for_each(|run| self.write_run(f, run))
    }
}

/// Minutes and seconds.
#[must_use]
pub fn clock(seconds: u32) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn two_runs() -> Plan {
        let runs = [Ahead { title: "reactive", rest: 5 }, Ahead { title: "Foreshift", rest: 15 }];
        Plan::new(Shape::ShortRamp, true, &runs)
    }

    #[test]
    fn the_plan_names_every_step_and_its_time() {
        let lines = [
            "This takes about 4:09 minutes:",
            "   0:10  start the journal services",
            "   0:29  measure the lead's capacity",
            "   1:40  run 1 of 2 reactive: prepare 0:11, short-ramp 1:25, read journals 0:04",
            "   1:50  run 2 of 2 Foreshift: prepare 0:21, short-ramp 1:25, read journals 0:04",
        ];
        assert_eq!(two_runs().to_string(), lines.join("\n"));
    }

    #[test]
    fn what_is_left_falls_to_nothing_and_a_late_step_holds_it() {
        let plan = two_runs();
        assert_eq!((plan.left(0, 0), plan.left(0, 10), plan.left(0, 99)), (249, 239, 239));
        let last = plan.next(5, Phase::Journals).unwrap();
        assert_eq!((plan.left(last, 3), plan.left(last, 4), plan.left(last + 1, 0)), (1, 0, 0));
    }

    #[test]
    fn a_capacity_that_is_given_is_not_measured() {
        let plan = Plan::new(Shape::Ramp, false, &[Ahead { title: "Foreshift", rest: 15 }]);
        assert_eq!(plan.next(0, Phase::Capacity), None);
        assert_eq!(plan.title(1), "run 1 of 1 Foreshift");
        assert_eq!(plan.left(0, 0), 10 + 21 + 200 + 8);
    }
}
