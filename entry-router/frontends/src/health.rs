//! Tells gRPC clients whether the frontends can assign, by the gRPC health protocol.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::assign::Assign;

/// What the endpoint picker protocol calls the process itself.
const LIVENESS: &str = "liveness";

/// The names under which readiness is asked for.
const READINESS: [&str; 4] =
    ["", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor", "foreshift.router.v1.Router"];

/// The assigner is asked this often.
const PERIOD: Duration = Duration::from_secs(1);

/// The health of an assigner, to be followed for as long as it is served.
pub struct Pulse<D> {
    reporter: HealthReporter,
    assigner: Arc<D>,
}

/// A health service, and what keeps it true.
#[must_use]
pub fn of<D: Assign>(assigner: Arc<D>) -> (HealthServer<impl Health>, Pulse<D>) {
    let (reporter, service) = health_reporter();
    (service, Pulse { reporter, assigner })
}

impl<D: Assign> Pulse<D> {
    /// Follows the assigner until `stop` completes.
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
        let status =
            if self.assigner.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in READINESS {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
