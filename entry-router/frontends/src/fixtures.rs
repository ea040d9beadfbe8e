//! An assigner that always answers the same.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::assign::{Assign, Assigned, Class, Entry, Outcome, Refusal};

/// Assigns everything to `b`, except for what its route is named for.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    next: AtomicU64,
    closed: Mutex<Vec<Closed>>,
}

/// What the assigner heard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Closed {
    pub(crate) ticket: u64,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) outcome: Outcome,
}

impl Fixed {
    pub(crate) fn assigned(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub(crate) fn closed(&self) -> Vec<Closed> {
        self.closed.lock().unwrap().clone()
    }
}

impl Assign for Fixed {
    type Ticket = u64;

    fn assign(&self, entry: &Entry<'_>) -> Result<Assigned<u64>, Refusal> {
        match entry.route {
            "shop/full" => return Err(Refusal::Overloaded(std::time::Duration::from_secs(2))),
            "shop/empty" => return Err(Refusal::NoEndpoint(entry.route.into())),
            "shop/journal" => {}
            other => return Err(Refusal::UnknownRoute(other.into())),
        }
        let all: [SocketAddr; 2] = ["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()];
        let allowed = |endpoint: &SocketAddr| entry.within.is_none_or(|within| within.contains(endpoint));
        let endpoints: Vec<SocketAddr> = all.into_iter().filter(allowed).collect();
        if endpoints.is_empty() {
            return Err(Refusal::NoEndpoint(entry.route.into()));
        }
        let reason = match entry.class {
            Class::Named(class) => class.to_owned(),
            Class::Request(head) => {
                let class = head.headers.get("x-entry-type").map_or("", |v| v.to_str().unwrap());
                format!("{} {} {class}", head.method, head.uri.path())
            }
        };
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Assigned { ticket, resource: "b".into(), endpoints, reason })
    }

    fn close(&self, ticket: u64, endpoint: Option<SocketAddr>, outcome: Outcome) {
        self.closed.lock().unwrap().push(Closed { ticket, endpoint, outcome });
    }

    fn is_ready(&self) -> bool {
        true
    }
}
