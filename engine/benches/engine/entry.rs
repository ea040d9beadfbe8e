//! One entry among many alternates, where it is hardest: nobody has room, so all of them are looked at.

use std::{hint::black_box, time::Duration};

use foreshift_engine::{
    assign::{Assignment, Candidates, Reason, Tick, assign_entry},
    impact::Impacts,
    policy::Policy,
    resource::{Freshness, Readiness, Resource, Scores},
};

const NOW: Duration = Duration::from_secs(1);
const PRIOR: f64 = 0.01;
const CLASSES: usize = 4;

/// A lead and its alternates, all of them full.
pub(crate) struct Crowd {
    candidates: Candidates,
    impacts: Impacts,
}

impl Crowd {
    pub(crate) fn of(alternates: usize) -> Self {
        let resource = |name: String, affinity: f64| Resource {
            name,
            capacity: 4.0,
            load: 0.2,
            background: 0.2,
            own_cores: 0.0,
            entries: None,
            error_ratio: 0.0,
            endpoints: 4,
            scores: Scores { affinity, ..Scores::default() },
            freshness: Freshness::Fresh,
            readiness: Readiness::Ready,
            drained: false,
        };
        let lead = resource("lead".into(), 50.0);
        let alternates: Vec<Resource> =
            (0..alternates).map(|n| resource(format!("alternate-{n}"), (n * 7919 % 100) as f64)).collect();
        let mut impacts = Impacts::default();
        for class in 0..CLASSES {
            let class = impacts.admit(&format!("class-{class}"), NOW);
            for place in 0..=alternates.len() {
                impacts.observe(class, place, PRIOR, Some(PRIOR * (1.0 + (place % 5) as f64 / 5.0)), NOW);
            }
        }
        let mut policy = Policy::default();
        policy.limits.min_lead_share = 0;
        let mut candidates = Candidates::default();
        let tick = Tick {
            now: NOW,
            lead: &lead,
            alternates: &alternates,
            present: &[],
            warm: &[],
            unseen: &[],
            part: 1.0,
            policy: &policy,
        };
        candidates.prepare(&tick, CLASSES + 1, |class, place| impacts.affinity(class, place + 1));
        for place in 0..=alternates.len() {
            for _ in 0..20 + place % 7 {
                // Never taken back: what is in flight stays so for the whole measurement.
                let _ = candidates.start(place, PRIOR, NOW);
            }
        }
        let crowd = Self { candidates, impacts };
        assert_eq!(crowd.assign().reason, Reason::ByHeadroom, "the measurement is of the longest way");
        crowd
    }

    pub(crate) fn assign(&self) -> Assignment {
        // Once an entry, as its class and prior are: within the closure it would make every candidate's numbers be read anew.
        let (class, prior) = (black_box(1), black_box(PRIOR));
        let impact = |resource| self.impacts.predict(class, resource, prior);
        assign_entry(&self.candidates, class, black_box(NOW), impact, black_box(&[]))
    }
}
