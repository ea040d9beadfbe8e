//! Runs a scenario: every policy on the same entries, seed by seed.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    cluster::ShippedModel,
    error::Result,
    figures::{self, Figures},
    fleet::Layout,
    lane::Runner,
    policies::{self, Named, Settings},
    scenario::Scenario,
    source::{Drawn, Entry, SECOND, Source, Trace},
    tally::Tally,
};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Entries of the first route, instead of drawn ones.
    pub trace: Option<&'a Path>,
    /// The policies.
    pub policies: &'a [Named],
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Settings of policies.
    pub settings: Settings,
}

/// What came out of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Figures of each policy, in the order asked for.
    pub policies: Vec<Outcome>,
    /// The route's layout.
    pub layout: Arc<Layout>,
}

/// One policy's outcome.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The policy.
    pub policy: Named,
    /// Its figures over all seeds.
    pub figures: Figures,
    /// The counts of the first seed.
    pub first: Tally,
}

impl Report {
    /// Figures of a policy by name.
    #[must_use]
    pub fn figures(&self, name: &str) -> Option<&Figures> {
        self.policies.iter().find(|outcome| outcome.policy.name == name).map(|outcome| &outcome.figures)
    }
}

/// Runs all policies over all seeds.
///
/// # Errors
/// What is wrong with a trace.
pub fn run(order: Order<'_>, model: &ShippedModel) -> Result<Report> {
    // A trace has no level to settle at.
    let settle = if order.trace.is_some() { 0 } else { order.scenario.settle.get().as_secs() };
    let layout = Arc::new(Layout::new(order.scenario, settle));
    let mut tallies: Vec<Vec<Tally>> = vec![Vec::new(); order.policies.len()];
    let mut progress = Progress::new(order.seeds, layout.settle + order.scenario.duration.get().as_secs());
    for seed in order.first_seed..order.first_seed.saturating_add(order.seeds) {
        let lane = |&policy| policies::lane(policy, order.scenario, &layout, model, order.settings, seed);
        let mut lanes: Vec<Box<dyn Runner>> = order.policies.iter().map(lane).collect();
        drive(order, &layout, seed, &mut lanes, &mut progress)?;
        for (tallies, lane) in tallies.iter_mut().zip(&lanes) {
            tallies.push(lane.tally().clone());
        }
    }
    progress.done();
    let outcome = |(policy, tallies): (&Named, Vec<Tally>)| {
        let figures = figures::of(&tallies, &layout, policy.kind);
        tallies.into_iter().next().map(|first| Outcome { policy: *policy, figures, first })
    };
    let policies = order.policies.iter().zip(tallies).filter_map(outcome).collect();
    Ok(Report { policies, layout })
}

fn drive(
    order: Order<'_>,
    layout: &Layout,
    seed: u64,
    lanes: &mut [Box<dyn Runner>],
    progress: &mut Progress,
) -> Result<()> {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if let Some(path) = order.trace {
        sources.push(Box::new(Trace::open(path, order.scenario, seed)?));
    }
    let drawn = |route| {
        Drawn::new(order.scenario, route, layout.settle, seed).map(|drawn| Box::new(drawn) as Box<dyn Source>)
    };
    sources.extend((sources.len()..layout.pools.len()).filter_map(drawn));
    let length = match order.trace {
        Some(_) => u64::MAX,
        None => layout.settle + order.scenario.duration.get().as_secs(),
    };
    let mut entries: Vec<Entry> = Vec::new();
    for second in 0..length {
        if order.trace.is_some() && sources[0].ended() {
            break;
        }
        entries.clear();
        for source in &mut sources {
            source.until((second + 1) * SECOND, &mut entries)?;
        }
        if sources.len() > 1 {
            entries.sort_by_key(|entry| entry.at);
        }
        for lane in &mut *lanes {
            lane.second(&entries, second >= layout.settle);
        }
        progress.second();
    }
    Ok(())
}

/// Tells how far a long run is, when somebody watches.
#[derive(Debug)]
struct Progress {
    seconds: u64,
    done: u64,
    begun: Instant,
    told: Option<Instant>,
}

impl Progress {
    fn new(seeds: u64, seconds: u64) -> Self {
        Self { seconds: seeds.saturating_mul(seconds), done: 0, begun: Instant::now(), told: None }
    }

    fn second(&mut self) {
        const LONG: Duration = Duration::from_secs(2);
        const EVERY: Duration = Duration::from_millis(500);
        self.done += 1;
        if !self.done.is_multiple_of(16) || self.begun.elapsed() < LONG || !std::io::stderr().is_terminal() {
            return;
        }
        if self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.told = Some(Instant::now());
            let part = (self.done as f64 / self.seconds.max(1) as f64).min(1.0);
            let bar = "#".repeat((part * 40.0) as usize);
            // Nobody is helped by an error about a progress bar.
            let _ = write!(std::io::stderr(), "\r[{bar:<40}] {:3.0} %", part * 100.0);
        }
    }

    fn done(&self) {
        if self.told.is_some() {
            let _ = write!(std::io::stderr(), "\r{:<50}\r", "");
        }
    }
}
