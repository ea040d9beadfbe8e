//! What is looked at once a second during a run, and the sampler that looks.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use foreshift_api::{Decimal, JournalRoute, ResourcePersona, journal_route::Phase};
use kube::Client;

use crate::{
    cgroup::stolen_time,
    gauge::{self, Gauge},
    route,
    router::{Given, Router},
    shape::Curve,
    shares::{Endpoints, ShareWatch, shares},
    stage::RESOURCES,
    tally::{Recent, Tally},
};

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Seconds since the run began.
    pub t: f64,
    /// Offered rate over the lead's capacity, in the second before.
    pub offered: f64,
    /// CPU used over quota on each resource's node, in the second before.
    pub load: [f64; 3],
    /// Part of the lead's periods that were throttled in the second before.
    pub throttled: f64,
    /// Load of the lead's node as its agent published it last.
    pub persona_load: Option<f64>,
    /// Endpoints of each resource behind the target.
    pub endpoints: Endpoints,
    /// Part of the entries that the router gave to each resource in the second before, where entries go through it.
    pub served: Option<[f64; 3]>,
    /// The lead's p90 at the planning horizon, with the shares that the plan wants.
    pub p90: Option<f64>,
    /// The lead's p90 in 60 s if everything stayed on it.
    pub p90_in_60s: Option<f64>,
    /// What the route says it is doing.
    pub phase: Option<Phase>,
    /// Requests that ended in the second before.
    pub recent: Recent,
    /// Part of the machine's CPU time that its host gave to others.
    pub stolen: f64,
}

impl Sample {
    /// Part of the entries that each resource gets: as the router gave them, otherwise by its endpoints.
    #[must_use]
    pub fn share(&self) -> [f64; 3] {
        self.served.unwrap_or_else(|| shares(self.endpoints))
    }
}

/// Takes samples of a run.
pub struct Sampler {
    client: Client,
    gauges: [Gauge; 3],
    watch: ShareWatch,
    router: Option<(Router, Given)>,
    served: Option<[f64; 3]>,
    tally: Arc<Tally>,
    curve: Curve,
    start: Instant,
    stolen: (u64, u64),
    route: Option<JournalRoute>,
    personas: BTreeMap<String, ResourcePersona>,
}

/// A second without news is shown as the one before it; the next second asks again.
const NEWS_WITHIN: Duration = Duration::from_millis(800);

impl Sampler {
    /// A sampler of the run that began, or begins, at `start`.
    #[must_use]
    pub fn new(
        client: &Client,
        gauges: [Gauge; 3],
        watch: ShareWatch,
        tally: Arc<Tally>,
        curve: Curve,
        start: Instant,
    ) -> Self {
        Self {
            client: client.clone(),
            gauges,
            watch,
            router: None,
            served: None,
            tally,
            curve,
            start,
            stolen: stolen_time(),
            route: None,
            personas: BTreeMap::new(),
        }
    }

    /// The same of a run whose entries go through `router`.
    pub async fn with_router(mut self, router: Option<Router>) -> Self {
        if let Some(router) = router {
            let given = router.given().await.unwrap_or_default();
            self.router = Some((router, given));
        }
        self
    }

    /// Looks at everything now. To be called once a second.
    pub async fn take(&mut self) -> Sample {
        let t = self.start.elapsed().as_secs_f64();
        let nodes = self.gauges.each_mut().map(|gauge| gauge.read(&self.personas));
        let recent = self.tally.take_recent();
        let stolen = self.stolen_since();
        self.refresh().await;
        let status = self.route.as_ref().and_then(|route| route.status.as_ref());
        let lead = status.and_then(|status| status.shares.iter().find(|s| s.resource == RESOURCES[0]));
        Sample {
            t,
            offered: self.curve.level((t - 0.5).max(0.0)),
            load: nodes.map(|node| node.load),
            throttled: nodes[0].throttled,
            persona_load: gauge::persona_load(&self.personas, self.gauges[0].node()),
            endpoints: self.watch.now(),
            served: self.served,
            p90: lead.and_then(|lead| lead.p90).map(Decimal::get),
            p90_in_60s: status.and_then(|status| status.p90_in_60s).map(Decimal::get),
            phase: status.map(|status| status.phase),
            recent,
            stolen,
        }
    }

    /// The watch of shares, for what happened between samples.
    #[must_use]
    pub fn watch(&self) -> &ShareWatch {
        &self.watch
    }

    async fn refresh(&mut self) {
        let given = async {
            match &self.router {
                Some((router, _)) => router.given().await,
                None => None,
            }
        };
        let news = async { tokio::join!(route::get(&self.client), route::personas(&self.client), given) };
        let Ok((route, personas, given)) = tokio::time::timeout(NEWS_WITHIN, news).await else { return };
        if let (Some((_, before)), Some(given)) = (&mut self.router, given) {
            self.served = parts(before, &given).or(self.served);
            *before = given;
        }
        if let Ok(route) = route {
            self.route = route;
        }
        if let Ok(personas) = personas {
            self.personas = gauge::by_node(personas);
        }
    }

    fn stolen_since(&mut self) -> f64 {
        let (stolen, all) = stolen_time();
        let (before, all_before) = std::mem::replace(&mut self.stolen, (stolen, all));
        (stolen - before) as f64 / (all - all_before).max(1) as f64
    }
}

/// Parts of what was given since `before`; `None` if nothing was.
fn parts(before: &Given, now: &Given) -> Option<[f64; 3]> {
    let since: Given = std::array::from_fn(|i| now[i].saturating_sub(before[i]));
    let all = since.iter().sum::<u64>() as f64;
    (all > 0.0).then(|| since.map(|given| given as f64 / all))
}

/// Samples as comma-separated values with a header line.
#[must_use]
pub fn csv(samples: &[Sample]) -> String {
    let mut csv = String::from(
        "t,offered,load_lead,load_alternate_1,load_alternate_2,throttled,persona_load,share_lead,share_alternate_1,\
         share_alternate_2,p90,p90_in_60s,phase,sent,acknowledged,timed_out,refused,overflowed,p50_ms,p99_ms,stolen\n",
    );
    let or_empty = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
    for s in samples {
        let c = &s.recent.counts;
        let numbers =
            [s.t, s.offered, s.load[0], s.load[1], s.load[2], s.throttled].map(|v| format!("{v:.3}"));
        let share = s.share().map(|v| format!("{v:.3}"));
        let phase = s.phase.map_or(String::new(), |phase| format!("{phase:?}"));
        // Writing to a string does not fail.
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{phase},{},{},{},{},{},{},{},{:.4}",
            numbers.join(","),
            or_empty(s.persona_load),
            share.join(","),
            or_empty(s.p90),
            or_empty(s.p90_in_60s),
            c.sent,
            c.acknowledged,
            c.timed_out,
            c.refused,
            c.overflowed,
            or_empty(s.recent.p50_ms),
            or_empty(s.recent.p99_ms),
            s.stolen
        );
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_served_goes_before_what_was_programmed() {
        assert_eq!(parts(&[10, 0, 0], &[40, 10, 0]), Some([0.75, 0.25, 0.0]));
        assert_eq!(parts(&[10, 0, 0], &[10, 0, 0]), None);
        let sample = Sample { endpoints: [4, 0, 0], served: Some([0.75, 0.25, 0.0]), ..Sample::default() };
        assert_eq!(sample.share(), [0.75, 0.25, 0.0]);
    }

    #[test]
    fn every_line_of_the_csv_has_the_columns_of_the_header() {
        let full = Sample { p90: Some(0.7), phase: Some(Phase::Shifting), ..Sample::default() };
        let csv = csv(&[Sample::default(), full]);
        let columns: Vec<_> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, [21, 21, 21]);
        assert!(csv.contains(",Shifting,"));
    }
}
