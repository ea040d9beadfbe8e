//! Turns once a tick and reconciles every route; one whose spec changed does not wait for the tick.
//!
//! A route's state travels into its reconcile and comes back with it: a route is never reconciled twice at once, and
//! one that hangs holds up no other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foreshift_daemon::shutdown::Stop;
use foreshift_view::RouteKey;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{Instrument, info_span, warn};

use crate::{
    admin::Health,
    route::{Context, Error, State, reconcile},
};

/// The loop over all routes.
pub struct Controller {
    ctx: Arc<Context>,
    health: Health,
    routes: HashMap<RouteKey, Slot>,
    busy: FuturesUnordered<BoxFuture<'static, (RouteKey, Box<State>)>>,
}

/// Where a route's state is.
enum Slot {
    Idle(Box<State>),
    Busy,
    /// Its spec changed while it was busy.
    Again,
}

impl Controller {
    /// A controller that has not turned.
    #[must_use]
    pub fn new(ctx: Arc<Context>, health: Health) -> Self {
        Self { ctx, health, routes: HashMap::new(), busy: FuturesUnordered::new() }
    }

    /// Turns until asked to stop, then finishes what is being written.
    pub async fn run(mut self, tick: Duration, mut changed: mpsc::Receiver<RouteKey>, mut stop: Stop) {
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some((key, state)) = self.busy.next() => self.finish(&key, state),
                Some(key) = changed.recv() => self.start(&key),
                _ = ticks.tick() => self.turn(),
            }
        }
        while let Some((key, state)) = self.busy.next().await {
            self.routes.insert(key, Slot::Idle(state));
        }
        for slot in self.routes.into_values() {
            if let Slot::Idle(mut state) = slot {
                state.stop().await;
            }
        }
    }

    fn turn(&mut self) {
        self.health.turned();
        let leading = self.ctx.gate.is_open();
        self.ctx.metrics.leading(leading);
        let keys: Vec<RouteKey> =
            self.ctx.caches.routes.state().iter().map(|route| RouteKey::of(route)).collect();
        let gone: Vec<RouteKey> =
            self.routes.keys().filter(|key| !leading || !keys.contains(key)).cloned().collect();
        for key in gone {
            // A leader that comes back goes on from what the statuses say then.
            self.routes.remove(&key);
            self.ctx.forget(&key);
        }
        for key in &keys {
            self.start(key);
        }
    }

    fn start(&mut self, key: &RouteKey) {
        if !self.ctx.gate.is_open() || self.ctx.route(key).is_none() {
            return;
        }
        let slot = self.routes.entry(key.clone()).or_insert_with(|| Slot::Idle(Box::default()));
        match std::mem::replace(slot, Slot::Busy) {
            Slot::Idle(state) => self.busy.push(Box::pin(one(self.ctx.clone(), key.clone(), state))),
            Slot::Busy | Slot::Again => *slot = Slot::Again,
        }
    }

    fn finish(&mut self, key: &RouteKey, state: Box<State>) {
        // A route that is no longer here was deleted, or the lease was lost, while it was busy.
        let Some(slot) = self.routes.get_mut(key) else { return };
        let again = matches!(slot, Slot::Again);
        *slot = Slot::Idle(state);
        if again {
            self.start(key);
        }
    }
}

async fn one(ctx: Arc<Context>, key: RouteKey, mut state: Box<State>) -> (RouteKey, Box<State>) {
    let Some(route) = ctx.route(&key) else { return (key, state) };
    let span = info_span!("reconcile", route = %key);
    async {
        let begun = Instant::now();
        let result = reconcile(&route, &mut state, &ctx, Timestamp::now()).await;
        ctx.metrics
            .reconciled(result.as_ref().map_or_else(Error::kind, |()| "ok"), begun.elapsed().as_secs_f64());
        if let Err(error) = result {
            warn!(%error, "the next tick tries again");
        }
    }
    .instrument(span)
    .await;
    (key, state)
}
