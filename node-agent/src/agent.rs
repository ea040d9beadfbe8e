//! The loop that turns once a second: read the node, fold the sample in, show and keep the persona.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use foreshift_daemon::shutdown::Stop;
use k8s_openapi::jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    entries::Answered,
    metrics::{Metrics, Which},
    outage::Outage,
    persona::{Persona, Report},
    sources::Sources,
    store::Store,
    watch::Known,
};

/// Time between two samples.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Time between two saves; a lost agent forgets no more than this.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// Failed samples in a row that make the agent not ready.
const FAILURES_MAX: u32 = 5;

/// Everything the loop turns.
pub struct Agent {
    sources: Sources,
    persona: Persona,
    store: Option<Store>,
    metrics: Metrics,
    wall: fn() -> Timestamp,
    sampling: Arc<AtomicBool>,
    failures: u32,
    sample_outage: Outage,
    save_outage: Outage,
}

impl Agent {
    /// `wall` tells the time of day; time that passes is measured by the runtime's clock.
    #[must_use]
    pub fn new(
        sources: Sources,
        persona: Persona,
        store: Option<Store>,
        metrics: Metrics,
        wall: fn() -> Timestamp,
    ) -> Self {
        Self {
            sources,
            persona,
            store,
            metrics,
            wall,
            sampling: Arc::default(),
            failures: 0,
            sample_outage: Outage::new("sampling the node"),
            save_outage: Outage::new("saving the state"),
        }
    }

    /// Whether the node can be sampled, for readiness.
    #[must_use]
    pub fn sampling(&self) -> Arc<AtomicBool> {
        self.sampling.clone()
    }

    /// Samples until it shall stop, then saves what is known.
    pub async fn run(
        mut self,
        known: watch::Receiver<Known>,
        mut answered: mpsc::Receiver<Answered>,
        reports: watch::Sender<Option<Arc<Report>>>,
        mut stop: Stop,
    ) {
        let start = Instant::now();
        let mut ticks = interval(PERIOD);
        // A late sample covers more time; catching up would only take two at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut save_at = start + SAVE_EVERY;
        loop {
            tokio::select! {
                now = ticks.tick() => {
                    let known = known.borrow().clone();
                    while let Ok(look) = answered.try_recv() {
                        self.persona.answered(&look);
                    }
                    if let Some(report) = self.turn(now.max(start) - start, &known) {
                        reports.send_replace(Some(Arc::new(report)));
                    }
                    if now >= save_at {
                        self.save(&known);
                        save_at = now + SAVE_EVERY;
                    }
                }
                () = stop.requested() => break,
            }
        }
        let known = known.borrow().clone();
        self.save(&known);
    }

    fn turn(&mut self, at: Duration, known: &Known) -> Option<Report> {
        let began = Instant::now();
        self.sources.observe(&known.surroundings.workloads);
        self.sources.allow(known.surroundings.allocatable);
        let unix = (self.wall)().as_millisecond() as f64 / 1000.0;
        let outcome = match self.sources.sample(at, unix) {
            Ok(sample) => {
                if let Some(sample) = sample {
                    self.persona.observe(sample, &known.surroundings);
                }
                self.failures = 0;
                self.sample_outage.over();
                "taken"
            }
            Err(error) => {
                self.persona.failed(error.to_string());
                self.failures += 1;
                self.sample_outage.failed(&error);
                "failed"
            }
        };
        self.sampling.store(self.failures < FAILURES_MAX, Ordering::Relaxed);
        self.metrics.samples.get_or_create(&Which { kind: outcome }).inc();
        self.metrics.sample_duration.observe(began.elapsed().as_secs_f64());
        let report = self.persona.report(&known.surroundings);
        report.inspect(|report| self.metrics.show(report))
    }

    fn save(&mut self, known: &Known) {
        let Some(store) = &self.store else { return };
        let Some(memory) = self.persona.memory(&known.surroundings) else { return };
        match store.save(&memory) {
            Ok(()) => self.save_outage.over(),
            Err(error) => self.save_outage.failed(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use foreshift_daemon::shutdown::{self, Stopper};
    use prometheus_client::registry::Registry;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::{
        persona::{Costing, HALF_LIFE, Identity},
        sources::{Roots, fixture::Tree},
    };

    /// An agent on a made-up node, its reports and the switch that stops it.
    struct Bench {
        tree: Tree,
        sampling: Arc<AtomicBool>,
        reports: watch::Receiver<Option<Arc<Report>>>,
        stopper: Stopper,
        task: JoinHandle<()>,
    }

    /// A clock that moves by a second with every look.
    fn wall() -> Timestamp {
        static SECONDS: AtomicI64 = AtomicI64::new(1_800_000_000);
        Timestamp::from_second(SECONDS.fetch_add(1, Ordering::Relaxed)).unwrap()
    }

    fn bench() -> Bench {
        let tree = Tree::new();
        for (path, text) in [
            ("cgroup/cgroup.controllers", "cpu memory"),
            ("cgroup/n1/cpu.max", "50000 100000"),
            ("cgroup/n1/memory.max", "max"),
            ("cgroup/n1/memory.current", "1000"),
            ("cgroup/n1/memory.stat", "inactive_file 0"),
            ("cgroup/n1/cpu.stat", "usage_usec 1000"),
        ] {
            tree.write(path, text);
        }
        let roots = Roots {
            proc: tree.root().join("proc"),
            cgroup: tree.root().join("cgroup"),
            sys: None,
            node_cgroup: Some("n1".into()),
            network_capacity: None,
            memory_capacity: None,
        };
        let persona = Persona::new(Identity::default(), Costing::default(), HALF_LIFE, None, 0.0);
        let metrics = Metrics::register(&mut Registry::default());
        let sources = Sources::open(&roots).unwrap();
        let agent = Agent::new(sources, persona, Some(Store::new(tree.root())), metrics, wall);
        let sampling = agent.sampling();
        let (stopper, stop) = shutdown::channel();
        let (report, reports) = watch::channel(None);
        let (_, known) = watch::channel(Known::default());
        let (_, answered) = mpsc::channel(1);
        let task = tokio::spawn(agent.run(known, answered, report, stop));
        Bench { tree, sampling, reports, stopper, task }
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_comes_every_second_from_the_second_look_on() {
        let mut bench = bench();
        let start = Instant::now();
        for seconds in 1..=3 {
            bench.reports.changed().await.unwrap();
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
        assert!(bench.sampling.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_saved_when_it_stops() {
        let mut bench = bench();
        bench.reports.changed().await.unwrap();
        bench.stopper.stop();
        bench.task.await.unwrap();
        let newest = bench.reports.borrow().clone().unwrap().status.clone();
        assert_eq!(Store::new(bench.tree.root()).load().unwrap().unwrap().status, newest);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_cannot_be_read_is_reported_so_and_soon_not_ready() {
        let mut bench = bench();
        bench.reports.changed().await.unwrap();
        bench.tree.remove("cgroup/n1");
        for _ in 0..FAILURES_MAX {
            bench.reports.changed().await.unwrap();
        }
        let report = bench.reports.borrow().clone().unwrap();
        assert!(report.status.conditions.iter().any(|condition| condition.reason == "NotSampled"));
        assert!(!bench.sampling.load(Ordering::Relaxed));
    }
}
