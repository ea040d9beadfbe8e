//! One drive of a curve through a route, on a fresh stage, and the count afterwards.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use foreshift_api::JournalRoute;
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, timeout},
};

use crate::{
    calibrate::Capacity,
    cgroup::Cgroup,
    entries::Pool,
    error::{Error, Result, until},
    gauge::Gauge,
    journal::{self, Reader},
    local::LocalCluster,
    outcome::{Outcome, Record},
    route,
    router::Router,
    sample::{Sample, Sampler},
    sender::{Connections, Load, Sender, most_in_flight},
    shape::Curve,
    shares::{self, ShareWatch},
    stage::{Stage, TARGET},
};

/// A request without an answer for this long has failed.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where, what and how much is driven.
pub struct Driver {
    /// The resources and the Service in front of them.
    pub stage: Stage,
    /// The local cluster, if it is that one.
    pub local: Option<LocalCluster>,
    /// Cgroup of the lead's node, if it is on this machine and not of the local cluster.
    pub lead_cgroup: Option<String>,
    /// Where requests go, if not to the cluster IP of the target.
    pub target: Option<SocketAddr>,
    /// The address that requests come from, if not one that the kernel takes.
    pub from: Option<IpAddr>,
    /// The entry router, if there is one.
    pub router: Option<Router>,
    /// The entries.
    pub pool: Arc<Pool>,
    /// Entries in a request.
    pub batch: u32,
    /// What the lead carries.
    pub capacity: Capacity,
}

/// How entries get to the resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Through the entry router, otherwise through the target Service.
    pub router: bool,
    /// Over which connections.
    pub connections: Connections,
}

/// What a drive has come to.
#[derive(Clone, Copy, Debug)]
pub enum Moment<'a> {
    /// The first request is about to leave.
    Started,
    /// A second of the curve has passed.
    Sampled(&'a Sample),
    /// The curve is over, and the journals are about to be read.
    Driven,
}

const ROUTE_SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// A node that still sends to endpoints that are gone is found out by some of so many connections.
const PROBES: usize = 20;
const PROBE_WITHIN: Duration = Duration::from_millis(500);
/// The router sends entries elsewhere from this part of them on; what is less, it only explores with.
const ELSEWHERE: f64 = 0.05;

impl Driver {
    /// Drives `curve` through `route` on its `way`, and shows what it has come to. `run` is part of every entry's id.
    pub async fn drive(
        &self,
        run: &str,
        route: &JournalRoute,
        way: Way,
        curve: &Curve,
        mut show: impl FnMut(Moment<'_>),
    ) -> Result<(Outcome, Vec<Sample>)> {
        let pods = self.fresh_stage_before(route).await?;
        let watch = ShareWatch::start(self.stage.client());
        let programmed_after = self.all_on_the_lead(route, &watch).await?;
        let router = self.router_of(way)?.cloned();
        if let Some(router) = &router {
            until("the entry router to know the route", ROUTE_SETTLES_WITHIN, async || {
                Ok(router.knows_the_route().await)
            })
            .await?;
        }
        show(Moment::Started);
        let start = Instant::now();
        let sender = self.send(run, way, curve, start).await?;
        let mut look =
            Sampler::new(self.stage.client(), self.gauges()?, watch, sender.tally(), curve.clone(), start)
                .with_router(router)
                .await;
        let samples =
            sample_until(&mut look, start + Duration::from_secs_f64(curve.seconds()), &mut show).await;
        show(Moment::Driven);
        let total = sender.finish().await?;
        let changes = if way.router { turns(&samples) } else { share_changes(look.watch(), start) };
        let stored = self.reader().read(&pods, run).await?;
        let outcome = Outcome::of(&Record {
            samples: &samples,
            changes: &changes,
            total: &total,
            balance: journal::balance(&total, &stored),
            curve,
            capacity: self.capacity,
            objective: route.spec.objective.lead_load.get(),
        });
        Ok((Outcome { programmed_after_s: programmed_after.as_secs_f64(), ..outcome }, samples))
    }

    /// Starts sending `curve`.
    pub async fn send(&self, run: &str, way: Way, curve: &Curve, start: Instant) -> Result<Sender> {
        let target = match (self.router_of(way)?, self.target) {
            (Some(router), _) => router.address(),
            (None, Some(target)) => target,
            (None, None) => self.stage.address(TARGET).await?,
        };
        let load = Load { connections: way.connections, ..self.load(target, run.to_owned()) };
        Sender::start(load, Arc::clone(&self.pool), curve.arrivals(self.capacity.requests_per_second), start)
    }

    /// Requests to `target`, each over a connection of its own.
    #[must_use]
    pub fn load(&self, target: SocketAddr, run: String) -> Load {
        Load {
            target,
            from: self.from,
            run,
            batch: self.batch,
            timeout: CLIENT_TIMEOUT,
            max_in_flight: most_in_flight(),
            connections: Connections::New,
        }
    }

    /// Applies the route and waits until every entry goes to the lead, as the API server has it and as the nodes do it;
    /// returns how long the route took to be programmed.
    pub async fn all_on_the_lead(&self, route: &JournalRoute, watch: &ShareWatch) -> Result<Duration> {
        let programmed_after = route::apply(self.stage.client(), route).await?;
        let alone = [self.stage.pods_each() as u32, 0, 0];
        until("all entries to go to the lead", ROUTE_SETTLES_WITHIN, async || {
            let endpoints = watch.now();
            Ok(if endpoints == alone {
                Ok(())
            } else {
                Err(format!("endpoints behind {TARGET}: {endpoints:?}"))
            })
        })
        .await?;
        let target = self.stage.address(TARGET).await?;
        until("the target to answer", ROUTE_SETTLES_WITHIN, async || Ok(answers(target).await)).await?;
        if let Some(local) = &self.local {
            local.forget_connections(target.ip()).await?;
        }
        Ok(programmed_after)
    }

    fn router_of(&self, way: Way) -> Result<Option<&Router>> {
        match (way.router, &self.router) {
            (false, _) => Ok(None),
            (true, None) => {
                Err(Error::Unfit("there is no entry router to send through; name it with --router".into()))
            }
            (true, router) => Ok(router.as_ref()),
        }
    }

    /// A gauge for each resource's node.
    pub fn gauges(&self) -> Result<[Gauge; 3]> {
        let gauge = |i: usize| {
            let node = &self.stage.nodes()[i];
            let cgroup = match (&self.lead_cgroup, &self.local) {
                (Some(name), _) if i == 0 => Some(Cgroup::find(name)?),
                (_, Some(local)) => Some(local.cgroup(node)?),
                _ => None,
            };
            Gauge::new(node, cgroup)
        };
        Ok([gauge(0)?, gauge(1)?, gauge(2)?])
    }

    /// How the journals are read.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.local.clone().map_or(Reader::Exec, Reader::Volumes)
    }
}

/// When shares changed since `start`, in seconds, and the lead's share from then on.
#[must_use]
pub fn share_changes(watch: &ShareWatch, start: Instant) -> Vec<(f64, f64)> {
    shares::changes(&watch.seen())
        .into_iter()
        .filter(|change| change.at >= start)
        .map(|change| ((change.at - start).as_secs_f64(), shares::shares(change.endpoints)[0]))
        .collect()
}

/// When entries began to go elsewhere through the router, and when they came back, in seconds, and the lead's share from
/// then on.
fn turns(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut turns = Vec::new();
    let mut elsewhere = false;
    for sample in samples {
        let lead = sample.share()[0];
        if sample.served.is_some() && (lead < 1.0 - ELSEWHERE) != elsewhere {
            elsewhere = !elsewhere;
            turns.push((sample.t, if elsewhere { lead } else { 1.0 }));
        }
    }
    turns
}

/// Whether a row of connections to `target` all come about.
async fn answers(target: SocketAddr) -> Result<(), String> {
    for probe in 1..=PROBES {
        match timeout(PROBE_WITHIN, TcpStream::connect(target)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("connection {probe} of {PROBES}: {error}")),
            Err(_) => return Err(format!("connection {probe} of {PROBES} hangs")),
        }
    }
    Ok(())
}

/// A sample a second until `end`.
async fn sample_until(sampler: &mut Sampler, end: Instant, show: &mut impl FnMut(Moment<'_>)) -> Vec<Sample> {
    let mut taken = Vec::new();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick is at once and ends no second.
    seconds.tick().await;
    while Instant::now() < end {
        seconds.tick().await;
        let sample = sampler.take().await;
        show(Moment::Sampled(&sample));
        taken.push(sample);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exploring_is_no_turn_but_going_elsewhere_and_coming_back_are() {
        let second = |t, lead| Sample { t, served: Some([lead, 1.0 - lead, 0.0]), ..Sample::default() };
        let samples = [second(1.0, 0.99), second(2.0, 0.7), second(3.0, 0.6), second(4.0, 0.97)];
        assert_eq!(turns(&samples), [(2.0, 0.7), (4.0, 1.0)]);
        assert!(turns(&[Sample::default()]).is_empty());
    }
}
