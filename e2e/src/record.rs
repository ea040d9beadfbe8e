//! Records what nodes look like under many shapes of load: drives a [`program`] and keeps what the nodes' agents see.
//!
//! The agents are asked through the API server, so that it works wherever `kubectl` does.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use foreshift_api::resource_persona::ResourcePersonaStatus;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use tokio::time::{MissedTickBehavior, timeout};

use crate::{
    args::RecordArgs,
    demo::prepare,
    drive::Driver,
    error::{Error, Result, ask},
    program::{Course, Part, program},
    progress::say,
    route::{self, Run},
    sender::{Load, Sender},
    shares::{ShareWatch, shares},
    stage::{RESOURCES, TARGET},
    tally::Tally,
    trace::{self, Driven, PERIOD, Trace},
};

/// Between two looks at the agents: shorter than a step of their grid, so that signals are those of their step.
const LOOK: Duration = Duration::from_secs(1);

/// A look without an answer is made up by the next: windows reach back further.
const ANSWER_WITHIN: Duration = Duration::from_millis(800);

const AGENTS: &str = "app.kubernetes.io/name=foreshift,app.kubernetes.io/component=node-agent";
const AGENT_PORT: u16 = 9101;

/// Drives all parts; what was recorded is written after each, so that a broken recording keeps its beginning.
pub async fn run(args: &RecordArgs) -> Result<()> {
    let driver = prepare(&args.stage).await?;
    driver.fresh_stage().await?;
    let mut recorder = Recorder::new(&driver).await?;
    let parts = program(args.parts, args.seed);
    for (number, part) in (1..).zip(&parts) {
        say(&format!("part {number} of {}: {}", parts.len(), described(part)));
        recorder.drive(number, part).await?;
        let rows = trace::write(&args.out, &recorder.traces)?;
        say(&format!("{rows} rows in {}", args.out.display()));
    }
    route::delete(driver.stage.client()).await
}

struct Recorder<'a> {
    driver: &'a Driver,
    /// Paths of the nodes' personas at their agents.
    agents: [String; 3],
    traces: Vec<Trace>,
    watch: ShareWatch,
}

/// Requests of one sender, counted between two rows.
struct Stream {
    sender: Sender,
    tally: Arc<Tally>,
    course: Course,
    under_way: f64,
}

impl<'a> Recorder<'a> {
    async fn new(driver: &'a Driver) -> Result<Self> {
        let nodes = driver.stage.nodes();
        Ok(Self {
            driver,
            agents: agents(driver.stage.client(), nodes).await?,
            traces: nodes.iter().map(|node| Trace::new(node)).collect(),
            watch: ShareWatch::start(driver.stage.client()),
        })
    }

    async fn drive(&mut self, number: u32, part: &Part) -> Result<()> {
        if part.routed {
            self.driver.all_on_the_lead(&Run::Foreshift.route()?, &self.watch).await?;
        } else {
            route::delete(self.driver.stage.client()).await?;
        }
        let start = Instant::now();
        let mut streams = self.send(number, part, start).await?;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let seconds = part.courses[0].curve.seconds();
        let mut acknowledged = [0.0; 3];
        while start.elapsed().as_secs_f64() < seconds {
            looks.tick().await;
            self.look(number, part, start, &mut streams, &mut acknowledged).await;
        }
        for stream in streams {
            stream.sender.finish().await?;
        }
        Ok(())
    }

    /// A sender for each course: to the node's own Service, or the first of a routed part to the route's target.
    async fn send(&self, number: u32, part: &Part, start: Instant) -> Result<Vec<Stream>> {
        let mut streams = Vec::new();
        for (resource, course) in RESOURCES.into_iter().zip(&part.courses) {
            let service = if part.routed && resource == RESOURCES[0] { TARGET } else { resource };
            let target = self.driver.stage.address(service).await?;
            let load = self.driver.load(target, format!("part{number}-{resource}"));
            let load = Load { max_in_flight: load.max_in_flight / RESOURCES.len(), ..load };
            let arrivals = course.curve.arrivals(self.driver.capacity.requests_per_second);
            let sender = Sender::start(load, Arc::clone(&self.driver.pool), arrivals, start)?;
            streams.push(Stream { tally: sender.tally(), sender, course: course.clone(), under_way: 0.0 });
        }
        Ok(streams)
    }

    async fn look(
        &mut self,
        number: u32,
        part: &Part,
        start: Instant,
        streams: &mut [Stream],
        acknowledged: &mut [f64; 3],
    ) {
        let client = self.driver.stage.client();
        let [a, b, c] = &self.agents;
        let (a, b, c) = tokio::join!(persona(client, a), persona(client, b), persona(client, c));
        let parts = if part.routed { shares(self.watch.now()) } else { [1.0, 0.0, 0.0] };
        let level = |course: &Course| course.curve.level(start.elapsed().as_secs_f64());
        let routed = (level(&streams[0].course), streams[0].take(self.driver.batch), streams[0].under_way);
        for (node, status) in [a, b, c].into_iter().enumerate() {
            let mut driven = Driven {
                part: number,
                shape: streams[node].course.shape.name(),
                routed: part.routed,
                offered: routed.0 * parts[node],
                entries: 0.0,
                under_way: routed.2 * parts[node],
            };
            acknowledged[node] += routed.1 * parts[node];
            if node > 0 {
                driven.offered += level(&streams[node].course);
                acknowledged[node] += streams[node].take(self.driver.batch);
                driven.under_way += streams[node].under_way;
            }
            driven.entries = acknowledged[node] / PERIOD.get().as_secs_f64();
            let Some(status) = status else { continue };
            if self.traces[node].follow(&status, &driven) > 0 {
                acknowledged[node] = 0.0;
            }
        }
    }
}

impl Stream {
    /// Entries that were acknowledged since the last call.
    fn take(&mut self, batch: u32) -> f64 {
        let counts = self.tally.take_recent().counts;
        self.under_way += counts.sent as f64 - (counts.acknowledged + counts.failed()) as f64;
        counts.acknowledged as f64 * f64::from(batch)
    }
}

/// Where each node's agent shows its persona, through the API server.
async fn agents(client: &Client, nodes: &[String; 3]) -> Result<[String; 3]> {
    let pods: Api<Pod> = Api::all(client.clone());
    let found = ask("list the agents", pods.list(&ListParams::default().labels(AGENTS))).await?;
    let by_node: BTreeMap<String, String> = found
        .into_iter()
        .filter_map(|pod| {
            let (namespace, name) = (pod.metadata.namespace?, pod.metadata.name?);
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{AGENT_PORT}/proxy/persona");
            Some((pod.spec?.node_name?, path))
        })
        .collect();
    let path = |node: &String| {
        by_node.get(node).cloned().ok_or_else(|| Error::Unfit(format!("no agent runs on node {node}")))
    };
    let [a, b, c] = nodes;
    Ok([path(a)?, path(b)?, path(c)?])
}

/// What an agent shows now; nothing when it does not answer in time.
async fn persona(client: &Client, path: &str) -> Option<ResourcePersonaStatus> {
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    timeout(ANSWER_WITHIN, client.request(request)).await.ok()?.ok()
}

fn described(part: &Part) -> String {
    let shapes: Vec<_> = part.courses.iter().map(|course| course.shape.name()).collect();
    format!("{}{}", shapes.join(", "), if part.routed { ", the first through a route" } else { "" })
}
