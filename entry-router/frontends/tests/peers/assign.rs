//! An assigner that spreads in turn over endpoints that really serve.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use foreshift_frontends::assign::{Assign, Assigned, Entry, Outcome, Refusal};

/// `shop/journal` has these endpoints; `shop/full` and `shop/empty` are what they are called.
#[derive(Debug)]
pub(crate) struct InTurn {
    endpoints: Vec<SocketAddr>,
    next: AtomicUsize,
    closed: Mutex<Vec<(Option<SocketAddr>, Outcome)>>,
}

impl InTurn {
    pub(crate) fn over(endpoints: Vec<SocketAddr>) -> Self {
        Self { endpoints, next: AtomicUsize::new(0), closed: Mutex::default() }
    }

    pub(crate) fn assigned(&self) -> usize {
        self.next.load(Ordering::SeqCst)
    }

    pub(crate) fn closed(&self) -> Vec<(Option<SocketAddr>, Outcome)> {
        self.closed.lock().unwrap().clone()
    }
}

impl Assign for InTurn {
    type Ticket = ();

    fn assign(&self, entry: &Entry<'_>) -> Result<Assigned<()>, Refusal> {
        match entry.route {
            "shop/journal" => {}
            "shop/full" => return Err(Refusal::Overloaded(Duration::from_secs(2))),
            "shop/empty" => return Err(Refusal::NoEndpoint(entry.route.into())),
            other => return Err(Refusal::UnknownRoute(other.into())),
        }
        let turn = self.next.fetch_add(1, Ordering::SeqCst);
        let mut endpoints = self.endpoints.clone();
        endpoints.rotate_left(turn % self.endpoints.len());
        Ok(Assigned { ticket: (), resource: "b".into(), endpoints, reason: "in turn".into() })
    }

    fn close(&self, (): (), endpoint: Option<SocketAddr>, outcome: Outcome) {
        self.closed.lock().unwrap().push((endpoint, outcome));
    }

    fn is_ready(&self) -> bool {
        true
    }
}
