//! Which replica leads: a claim on a Lease that is compared with the clock whenever it is used.
//!
//! Somebody else's claim is judged by how long *this* process has seen it unrenewed, so that clock skew between
//! nodes does not matter. Writes are server-side applies of the same plan: a short double leadership costs work,
//! not correctness.

use std::time::Duration;

use foreshift_daemon::shutdown::Stop;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

/// Name of the Lease.
pub const NAME: &str = "foreshift-operator";

/// How long a claim holds without renewal; with the two below the timings of client-go.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells whether this replica leads.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<Option<Instant>>);

/// One replica that wants to lead.
pub struct Candidate {
    leases: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
    claim: watch::Sender<Option<Instant>>,
}

/// A state of the Lease, and since when this process knows it.
#[derive(Debug, PartialEq)]
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

impl Leadership {
    /// Whether the claim holds now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.borrow().is_some_and(|expiry| Instant::now() < expiry)
    }
}

impl Candidate {
    /// A candidate that does not lead yet; `identity` must differ between replicas.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String) -> (Self, Leadership) {
        let (claim, leadership) = watch::channel(None);
        let leases = Api::namespaced(client, namespace);
        (Self { leases, identity, seen: None, claim }, Leadership(leadership))
    }

    /// Claims and renews until asked to stop, then gives the claim back.
    pub async fn run(mut self, mut stop: Stop) {
        loop {
            self.turn().await;
            tokio::select! {
                () = stop.requested() => break,
                () = sleep(RENEW_EVERY) => {}
            }
        }
        self.release().await;
    }

    /// One attempt. A failed one leaves the claim as it is: it ends by its own expiry.
    pub async fn turn(&mut self) {
        match timeout(CALL_TIMEOUT, self.attempt()).await {
            Ok(Ok(claim)) => {
                let before = self.claim.send_replace(claim);
                match (before.is_some(), claim.is_some()) {
                    (false, true) => info!(identity = self.identity, "this replica leads"),
                    (true, false) => warn!(identity = self.identity, "another replica leads"),
                    _ => {}
                }
            }
            Ok(Err(error)) => debug!(%error, "the lease was not renewed"),
            Err(_) => warn!("the API server did not answer about the lease"),
        }
    }

    async fn attempt(&mut self) -> Result<Option<Instant>, kube::Error> {
        let begun = Instant::now();
        let claimed = Some(begun + DURATION);
        let Some(mut lease) = self.leases.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.claimed(&LeaseSpec::default())) };
            self.leases.create(&PostParams::default(), &lease).await?;
            return Ok(claimed);
        };
        let spec = lease.spec.take().unwrap_or_default();
        if !self.may_take(&spec, begun) {
            return Ok(None);
        }
        // The resourceVersion that was read makes this a compare-and-swap.
        lease.spec = Some(self.claimed(&spec));
        self.leases.replace(NAME, &PostParams::default(), &lease).await?;
        Ok(claimed)
    }

    /// Whether the Lease is free, ours, or was not renewed for as long as its holder promised.
    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        match &self.seen {
            Some(seen) if seen.spec == *spec => {
                let promised = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or(0);
                now.duration_since(seen.since) >= Duration::from_secs(promised)
            }
            _ => {
                self.seen = Some(Seen { spec: spec.clone(), since: now });
                false
            }
        }
    }

    fn claimed(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = before.holder_identity.as_deref() == Some(self.identity.as_str());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: before.acquire_time.clone().filter(|_| ours).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            ..LeaseSpec::default()
        }
    }

    /// Lets another replica take over at once.
    async fn release(self) {
        if self.claim.send_replace(None).is_none() {
            return;
        }
        let vacate = async {
            let mut lease = self.leases.get(NAME).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(self.identity.as_str()) {
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
                self.leases.replace(NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        if let Ok(Ok(())) = timeout(CALL_TIMEOUT, vacate).await {
            info!("the lease is free");
        } else {
            warn!("the lease was not given back; it expires in {} s", DURATION.as_secs());
        }
    }
}

#[cfg(test)]
impl Leadership {
    pub(crate) fn for_ever() -> Self {
        Self(watch::channel(Some(Instant::now() + Duration::from_hours(24))).1)
    }

    pub(crate) fn never() -> Self {
        Self(watch::channel(None).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{ApiServer, Fault, NAMESPACE};

    fn candidate(server: &ApiServer, name: &str) -> (Candidate, Leadership) {
        Candidate::new(server.client(), NAMESPACE, name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_leads_and_the_second_waits_for_as_long_as_it_renews() {
        let server = ApiServer::default();
        let ((mut one, first), (mut two, second)) = (candidate(&server, "one"), candidate(&server, "two"));
        for _ in 0..10 {
            one.turn().await;
            two.turn().await;
            assert!(first.is_held() && !second.is_held());
            tokio::time::advance(RENEW_EVERY).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_not_renewed_passes_on_and_never_is_held_twice() {
        let server = ApiServer::default();
        let ((mut one, first), (mut two, second)) = (candidate(&server, "one"), candidate(&server, "two"));
        one.turn().await;
        while !second.is_held() {
            two.turn().await;
            assert!(!(first.is_held() && second.is_held()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        one.turn().await;
        assert!(!first.is_held(), "the old leader sees that it was replaced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_ends_by_itself_while_the_api_server_hangs_or_refuses() {
        for fault in [Fault::Hang, Fault::Status(409), Fault::Status(500)] {
            let server = ApiServer::default();
            let (mut one, leadership) = candidate(&server, "one");
            one.turn().await;
            server.fail("leases", Some(fault));
            one.turn().await;
            assert!(leadership.is_held(), "one failure is no loss");
            tokio::time::advance(DURATION).await;
            assert!(!leadership.is_held(), "{fault:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_ends_well_lets_the_next_one_lead_at_once() {
        let server = ApiServer::default();
        let ((one, first), (mut two, second)) = (candidate(&server, "one"), candidate(&server, "two"));
        let (stopper, stop) = foreshift_daemon::shutdown::channel();
        stopper.stop();
        one.run(stop).await;
        assert!(!first.is_held());
        two.turn().await;
        assert!(second.is_held());
    }
}
