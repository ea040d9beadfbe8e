//! What the operator writes to personas: what an agent observes and compares, and the forecast of its node.

pub mod forecast;
pub mod record;
pub mod reference;
pub mod workloads;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use tokio::sync::watch;
use tracing::debug;

use foreshift_api::{ResourcePersona, operator_field_manager as field_manager};
use foreshift_daemon::shutdown::Stop;
use foreshift_view::Caches;

use crate::{history::History, models::Models, write::Gate};

/// Writes under way at once.
const CONCURRENCY: usize = 8;

/// What the pass over all personas needs.
#[derive(Clone)]
pub struct Context {
    /// For the writes.
    pub client: kube::Client,
    /// What is known.
    pub caches: Caches,
    /// Whether to write.
    pub gate: Gate,
    /// What forecasts.
    pub models: watch::Receiver<Models>,
    /// Where loads are recorded.
    pub history: History,
}

/// One thing to write to one persona.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// The node.
    pub node: String,
    /// The body of a server-side apply.
    pub body: serde_json::Value,
    /// Whether it goes to `status`; otherwise it goes to `spec`.
    pub status: bool,
}

/// Passes over all personas once a tick until asked to stop.
pub async fn run(ctx: Context, tick: Duration, mut stop: Stop) {
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut assignments = workloads::Assignments::default();
    let mut forecasts = forecast::Forecasts::default();
    let mut recorded = record::Recorded::default();
    loop {
        tokio::select! {
            () = stop.requested() => return,
            _ = ticks.tick() => {}
        }
        // A standby records as well: what only the leader had would be gone with its pod.
        recorded.follow(&ctx.caches.personas.state(), &ctx.history);
        if !ctx.gate.is_open() {
            // Another replica writes: what this one knows of its own writes grows old.
            (assignments, forecasts) = Default::default();
            continue;
        }
        pass(&ctx, &mut assignments, &mut forecasts, Timestamp::now()).await;
    }
}

/// One pass: what is due is written, what fails is due again.
async fn pass(
    ctx: &Context,
    assignments: &mut workloads::Assignments,
    forecasts: &mut forecast::Forecasts,
    now: Timestamp,
) {
    let personas = ctx.caches.personas.state();
    let models = ctx.models.borrow().clone();
    let wanted = workloads::wanted(&ctx.caches);
    let mut errands = assignments.due(&personas, wanted);
    errands.extend(forecasts.due(&personas, &models, now));
    let calls: Vec<_> = errands.into_iter().map(|errand| send(ctx.clone(), errand)).collect();
    let results: Vec<Result<(), Errand>> = stream::iter(calls).buffer_unordered(CONCURRENCY).collect().await;
    for failed in results.into_iter().filter_map(Result::err) {
        if failed.status { forecasts.retry(&failed.node) } else { assignments.retry(&failed.node) }
    }
}

/// Runs one errand and gives it back if it failed.
async fn send(ctx: Context, errand: Errand) -> Result<(), Errand> {
    let personas: Api<ResourcePersona> = Api::all(ctx.client.clone());
    let body = Patch::Apply(&errand.body);
    let result = if errand.status {
        let params = PatchParams::apply(field_manager::FORECAST).force();
        let call = personas.patch_status(&errand.node, &params, &body);
        ctx.gate.send("persona_forecast", call).await
    } else {
        let params = PatchParams::apply(field_manager::WORKLOADS).force();
        ctx.gate.send("persona_workloads", personas.patch(&errand.node, &params, &body)).await
    };
    match result {
        Ok(_) => Ok(()),
        Err(error) => {
            debug!(node = errand.node, %error, "a persona was not written");
            Err(errand)
        }
    }
}

fn name(persona: &Arc<ResourcePersona>) -> &str {
    persona.metadata.name.as_deref().unwrap_or_default()
}
