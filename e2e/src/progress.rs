//! How far a demo is: on a terminal a line that is rewritten in place, elsewhere a line now and then.

use std::{
    cell::Cell,
    io::{IsTerminal as _, Write as _, stdout},
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    drive::Moment,
    plan::{Phase, Plan, clock},
    sample::Sample,
};

/// Follows a demo through its plan, and shows how far it is. Dropping it clears its line.
#[derive(Debug)]
pub struct Progress {
    plan: Plan,
    began: Instant,
    now: Cell<Now>,
    terminal: bool,
    shown: Cell<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    step: usize,
    since: Instant,
    load: Option<Load>,
}

/// What a sample says of the entries.
#[derive(Clone, Copy, Debug)]
struct Load {
    offered: f64,
    moved: f64,
}

/// Between two lines where they are not rewritten.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Clears what is right of the cursor.
const CLEAR: &str = "\x1b[K";

impl Progress {
    /// Begins with the first step of `plan`.
    #[must_use]
    pub fn start(plan: Plan) -> Self {
        let began = Instant::now();
        Self {
            plan,
            began,
            now: Cell::new(Now { step: 0, since: began, load: None }),
            terminal: stdout().is_terminal(),
            shown: Cell::new(began),
        }
    }

    /// Does the work that begins with `phase`, and shows every second how far it is.
    pub async fn during<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        self.enter(phase);
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = seconds.tick() => self.show(),
            }
        }
    }

    /// Takes note of what a drive has come to.
    pub fn reached(&self, moment: Moment<'_>) {
        match moment {
            Moment::Started => self.enter(Phase::Shape),
            Moment::Sampled(sample) => {
                self.now.set(Now { load: Some(Load::of(sample)), ..self.now.get() });
            }
            Moment::Driven => self.enter(Phase::Journals),
        }
    }

    fn enter(&self, phase: Phase) {
        let before = self.now.get();
        if let Some(step) = self.plan.next(before.step, phase) {
            let (took, to) = (before.since.elapsed().as_secs_f64(), phase);
            tracing::info!(from = ?self.plan.phase(before.step), took, ?to, "next step");
            self.now.set(Now { step, since: Instant::now(), load: None });
        }
    }

    fn show(&self) {
        let now = self.now.get();
        let seconds = |since: Instant| since.elapsed().as_secs() as u32;
        let text = line(&self.plan, now.step, seconds(self.began), seconds(now.since), now.load);
        if self.terminal {
            let mut out = stdout().lock();
            // A closed terminal is no reason to stop measuring.
            let _ = write!(out, "\r{text}{CLEAR}\r").and_then(|()| out.flush());
        } else if self.shown.get().elapsed() >= PLAIN_EVERY {
            self.shown.set(Instant::now());
            say(&text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let mut out = stdout().lock();
            let _ = write!(out, "\r{CLEAR}").and_then(|()| out.flush());
        }
    }
}

impl Load {
    fn of(sample: &Sample) -> Self {
        let [_, alternates @ ..] = sample.share();
        Self { offered: sample.offered, moved: alternates.iter().sum() }
    }
}

/// To the person who watches; it takes the place of the progress line. A closed terminal is no reason to stop
/// measuring.
pub fn say(text: &str) {
    let mut out = stdout().lock();
    let clear = if out.is_terminal() { CLEAR } else { "" };
    let _ = writeln!(out, "{clear}{text}");
}

/// The progress line: fits into 80 columns, as a line that wraps cannot be rewritten.
fn line(plan: &Plan, step: usize, elapsed: u32, in_step: u32, load: Option<Load>) -> String {
    let doing = match (plan.phase(step), load) {
        (Some(Phase::Preparation), _) => " | fresh pods, nodes at rest".into(),
        (Some(Phase::Shape), Some(load)) => {
            format!(" | offered {:.2} | {:.0} % moved", load.offered, load.moved * 100.0)
        }
        (Some(Phase::Journals), _) => " | reading journals".into(),
        _ => String::new(),
    };
    let (elapsed, left) = (clock(elapsed), clock(plan.left(step, in_step)));
    format!("{} | {elapsed} elapsed, ~{left} left{doing}", plan.title(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Ahead, tests::two_runs},
        shape::Shape,
    };

    #[test]
    fn the_line_says_which_run_how_long_what_is_offered_and_what_is_moved() {
        let plan = two_runs();
        let step = plan.next(3, Phase::Shape).and_then(|step| plan.next(step + 1, Phase::Shape)).unwrap();
        let load = Load { offered: 1.2, moved: 0.375 };
        assert_eq!(
            line(&plan, step, 192, 32, Some(load)),
            "run 2 of 2 Foreshift | 3:12 elapsed, ~0:57 left | offered 1.20 | 38 % moved"
        );
        assert_eq!(line(&plan, 1, 11, 1, None), "capacity of the lead | 0:11 elapsed, ~3:58 left");
    }

    #[test]
    fn the_longest_line_fits_into_80_columns() {
        let plan = Plan::new(Shape::Saw, true, &[Ahead { title: "kept alive", rest: 15 }; 4]);
        let load = Load { offered: 1.6, moved: 1.0 };
        for step in 0..14 {
            let line = line(&plan, step, 754, 0, Some(load));
            assert!(line.len() < 80, "{line}");
        }
    }

    #[test]
    fn without_endpoints_nothing_is_moved() {
        assert_eq!(Load::of(&Sample::default()).moved, 0.0);
        assert_eq!(Load::of(&Sample { endpoints: [4, 4, 0], ..Sample::default() }).moved, 0.5);
    }

    #[test]
    fn a_drive_goes_through_the_steps_of_its_run() {
        let progress = Progress::start(two_runs());
        let step = || progress.now.get().step;
        for (run, first) in [(1, 2), (2, 5)] {
            progress.enter(Phase::Preparation);
            assert_eq!(step(), first, "run {run}");
            progress.reached(Moment::Started);
            progress.reached(Moment::Sampled(&Sample::default()));
            assert_eq!(step(), first + 1, "run {run}");
            progress.reached(Moment::Driven);
            assert_eq!(step(), first + 2, "run {run}");
        }
    }
}
