//! Tells gRPC clients whether the doors can assign, by the gRPC health protocol.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::desk::Desk;

/// What the endpoint picker protocol calls the process itself.
const LIVENESS: &str = "liveness";

/// The names under which readiness is asked for.
const READINESS: [&str; 4] =
    ["", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor", "foreshift.router.v1.Router"];

/// The desk is asked this often.
const PERIOD: Duration = Duration::from_secs(1);

/// The health of a desk, to be followed for as long as it is served.
pub struct Pulse<D> {
    reporter: HealthReporter,
    desk: Arc<D>,
}

/// A health service, and what keeps it true.
#[must_use]
pub fn of<D: Desk>(desk: Arc<D>) -> (HealthServer<impl Health>, Pulse<D>) {
    let (reporter, service) = health_reporter();
    (service, Pulse { reporter, desk })
}

impl<D: Desk> Pulse<D> {
    /// Follows the desk until `stop` completes.
    pub async fn follow(self, stop: impl Future<Output = ()>) {
        self.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        self.tell().await;
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let following = async {
            loop {
                ticks.tick().await;
                self.tell().await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = following => {}
        }
    }

    async fn tell(&self) {
        let status = if self.desk.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in READINESS {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
