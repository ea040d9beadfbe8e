//! The API for journal services that send entries themselves: ask where an entry goes, send it, report what became of
//! it. [`grpc`] and [`json`] are two encodings of the [`AssignApi`].

pub mod grpc;
pub mod json;
pub mod openapi;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tracing::info;

use crate::{
    assign::{Assign, Assigned, Class, Entry, LONGEST_CLASS, Outcome, Refusal},
    leases::{LEASE, LONGEST_ENTRY_ID, Leases},
};

/// Entries or outcomes in one call.
pub const LARGEST_BATCH: usize = 1024;

/// Expired leases are looked for this often.
const SWEEP: Duration = Duration::from_secs(1);

/// No service takes longer; what is reported beyond is a mistake in its unit.
const LONGEST_SERVICE: f64 = 86_400.0;

/// A question of a client.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The route, as `NAMESPACE/NAME`.
    pub route: &'a str,
    /// The class; empty where the entry says nothing of itself.
    pub class: &'a str,
    /// Its size.
    pub bytes: u64,
    /// What tells the entry apart; empty where it is not told.
    pub entry_id: &'a str,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Name of the Service.
    pub resource: String,
    /// Endpoints, best first.
    pub endpoints: Vec<SocketAddr>,
    /// To be named in the report.
    pub ticket: String,
    /// Why there, in a word.
    pub reason: String,
}

/// What a client says became of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// As answered.
    pub ticket: &'a str,
    /// Acknowledged, failed or never sent.
    pub result: Reported,
    /// Seconds to the acknowledgement; 0 is the time since the answer.
    pub service_seconds: f64,
    /// Where it went; empty is the first endpoint of the answer.
    pub endpoint: &'a str,
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The resource acknowledged it.
    Acknowledged,
    /// The resource refused it or did not answer.
    Failed,
    /// It was never sent.
    Released,
}

/// Answers questions and keeps the leases of what it answered.
#[derive(Debug)]
pub struct AssignApi<D: Assign> {
    assigner: Arc<D>,
    leases: Mutex<Leases<Assigned<D::Ticket>>>,
}

/// Both encodings of the API, and its health, on one port.
pub fn frontend<D: Assign>(api: &Arc<AssignApi<D>>, health: HealthServer<impl Health>) -> axum::Router {
    Routes::new(grpc::service(api.clone()))
        .add_service(health)
        .into_axum_router()
        .merge(json::router(api.clone()))
}

impl<D: Assign> AssignApi<D> {
    /// An api in front of an assigner. `epoch` differs from process to process, so that a ticket of the process before
    /// is not taken for one of this.
    #[must_use]
    pub fn new(assigner: Arc<D>, epoch: u64) -> Self {
        Self { assigner, leases: Mutex::new(Leases::new(epoch)) }
    }

    /// Assigns an entry. The same entry id gets the same answer while its lease is open.
    ///
    /// # Errors
    /// [`Refusal`], each variant.
    pub fn ask(&self, question: &Question<'_>, now: Instant) -> Result<Answer, Refusal> {
        question.check()?;
        let mut leases = self.leases();
        let known = (!question.entry_id.is_empty()).then(|| leases.of_entry(question.entry_id)).flatten();
        if let Some((ticket, lease)) = known {
            return Ok(Answer::of(&lease.value, ticket));
        }
        if !leases.has_room() {
            return Err(Refusal::Overloaded(SWEEP));
        }
        let assigned = self.assigner.assign(&Entry {
            route: question.route,
            class: Class::Named(question.class),
            bytes: question.bytes,
            within: None,
        })?;
        let mut answer = Answer::of(&assigned, String::new());
        answer.ticket = leases.open(assigned, Some(question.entry_id), now);
        Ok(answer)
    }

    /// Takes a report; false if the ticket is not known (any more).
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if the report makes no sense; its ticket stays open.
    pub fn report(&self, report: &Report<'_>, now: Instant) -> Result<bool, Refusal> {
        let told = report.service_seconds;
        if !(0.0..=LONGEST_SERVICE).contains(&told) {
            return Err(invalid("the service time is not between 0 and 86400 seconds; tell it in seconds"));
        }
        let endpoint: Option<SocketAddr> = match report.endpoint {
            "" => None,
            endpoint => Some(endpoint.parse().map_err(|_| {
                invalid(&format!("endpoint `{endpoint}` is not ADDRESS:PORT; name it as it was assigned"))
            })?),
        };
        let Some(lease) = self.leases().close(report.ticket) else { return Ok(false) };
        let outcome = match report.result {
            Reported::Acknowledged if told > 0.0 => Outcome::Acknowledged(Duration::from_secs_f64(told)),
            Reported::Acknowledged => Outcome::Acknowledged(now.saturating_duration_since(lease.since)),
            Reported::Failed => Outcome::Failed,
            Reported::Released => Outcome::Released,
        };
        let endpoint = endpoint.or(lease.value.endpoints.first().copied());
        self.assigner.close(lease.value.ticket, endpoint, outcome);
        Ok(true)
    }

    /// Whether questions can be answered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.assigner.is_ready()
    }

    /// Ends leases whose time is over, until `stop` completes.
    pub async fn sweep(&self, stop: impl Future<Output = ()>) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sweeping = async {
            loop {
                ticks.tick().await;
                self.expire(Instant::now());
            }
        };
        tokio::select! {
            () = stop => {}
            () = sweeping => {}
        }
    }

    /// Releases what was never reported.
    pub fn expire(&self, now: Instant) {
        let expired = self.leases().expire(now);
        if !expired.is_empty() {
            info!(entries = expired.len(), "were assigned and not reported within {} s", LEASE.as_secs());
        }
        for lease in expired {
            self.assigner.close(lease.value.ticket, None, Outcome::Released);
        }
    }

    fn leases(&self) -> MutexGuard<'_, Leases<Assigned<D::Ticket>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let named = self.route.split_once('/').is_some_and(|(namespace, name)| {
            !namespace.is_empty() && !name.is_empty() && !name.contains('/')
        });
        if !named {
            return Err(invalid(&format!("`{}` is not a route; write NAMESPACE/NAME", shown(self.route))));
        }
        if self.class.len() > LONGEST_CLASS {
            return Err(invalid(
                "the class is longer than 128 bytes; name types of entries, not single ones",
            ));
        }
        if self.class.chars().any(char::is_control) {
            return Err(invalid("the class has control characters; write plain text"));
        }
        if self.entry_id.len() > LONGEST_ENTRY_ID {
            return Err(invalid("the entry id is longer than 256 bytes; send a digest of it"));
        }
        Ok(())
    }
}

impl Answer {
    fn of<T>(assigned: &Assigned<T>, ticket: String) -> Self {
        Self {
            resource: assigned.resource.clone(),
            endpoints: assigned.endpoints.clone(),
            ticket,
            reason: assigned.reason.clone(),
        }
    }
}

/// Refuses a batch that is too large.
pub(crate) fn check_batch(size: usize) -> Result<(), Refusal> {
    if size > LARGEST_BATCH {
        return Err(invalid(&format!("{size} are too many for one call; send at most {LARGEST_BATCH}")));
    }
    Ok(())
}

pub(crate) fn invalid(why: &str) -> Refusal {
    Refusal::Invalid(why.to_owned())
}

/// What a client sent, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Closed, Fixed};

    fn api() -> (Arc<Fixed>, AssignApi<Fixed>) {
        let assigner = Arc::new(Fixed::default());
        (assigner.clone(), AssignApi::new(assigner, 7))
    }

    fn question(entry_id: &str) -> Question<'_> {
        Question { route: "shop/journal", class: "audit", bytes: 512, entry_id }
    }

    fn report(ticket: &str) -> Report<'_> {
        Report { ticket, result: Reported::Acknowledged, service_seconds: 0.0, endpoint: "" }
    }

    #[test]
    fn an_entry_is_assigned_and_its_outcome_reaches_the_desk() {
        let (assigner, api) = api();
        let now = Instant::now();
        let answer = api.ask(&question(""), now).unwrap();
        assert_eq!((answer.resource.as_str(), answer.endpoints.len()), ("b", 2));
        assert_eq!(api.report(&report(&answer.ticket), now + Duration::from_millis(30)), Ok(true));
        let first = Some(answer.endpoints[0]);
        let after = Outcome::Acknowledged(Duration::from_millis(30));
        assert_eq!(assigner.closed(), [Closed { ticket: 0, endpoint: first, outcome: after }]);
        assert_eq!(api.report(&report(&answer.ticket), now), Ok(false), "a second report changes nothing");
        assert_eq!(assigner.closed().len(), 1);
    }

    #[test]
    fn an_entry_that_is_asked_for_again_is_assigned_once() {
        let (assigner, api) = api();
        let now = Instant::now();
        let (first, again) = (api.ask(&question("e1"), now), api.ask(&question("e1"), now));
        assert_eq!(first, again);
        assert_eq!(assigner.assigned(), 1);
    }

    #[test]
    fn an_assignment_that_is_never_reported_is_released_after_its_lease() {
        let (assigner, api) = api();
        let now = Instant::now();
        let answer = api.ask(&question(""), now).unwrap();
        api.expire(now + LEASE - Duration::from_millis(1));
        assert!(assigner.closed().is_empty());
        api.expire(now + LEASE);
        assert_eq!(assigner.closed(), [Closed { ticket: 0, endpoint: None, outcome: Outcome::Released }]);
        assert_eq!(api.report(&report(&answer.ticket), now + LEASE), Ok(false));
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write_instead() {
        let (assigner, api) = api();
        let (long, control) = ("x".repeat(300), "a\nb");
        let cases = [
            (Question { route: "journal", ..question("") }, "write NAMESPACE/NAME"),
            (Question { route: "a/b/c", ..question("") }, "write NAMESPACE/NAME"),
            (Question { class: &long, ..question("") }, "longer than 128 bytes"),
            (Question { class: control, ..question("") }, "control characters"),
            (question(&long), "send a digest"),
        ];
        for (asked, advice) in cases {
            let refused = api.ask(&asked, Instant::now()).unwrap_err().to_string();
            assert!(refused.contains(advice), "{refused}");
        }
        assert_eq!(assigner.assigned(), 0);
        let ticket = api.ask(&question(""), Instant::now()).unwrap().ticket;
        for service_seconds in [f64::NAN, -1.0, 1e6] {
            let wrong = Report { service_seconds, ..report(&ticket) };
            assert!(api.report(&wrong, Instant::now()).is_err());
        }
        let wrong = Report { endpoint: "b:http", ..report(&ticket) };
        assert!(api.report(&wrong, Instant::now()).unwrap_err().to_string().contains("ADDRESS:PORT"));
        assert_eq!(api.report(&report(&ticket), Instant::now()), Ok(true), "the ticket stayed open");
    }
}
