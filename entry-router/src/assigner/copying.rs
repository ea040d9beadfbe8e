//! A copy of an entry for an alternate, from its order to its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use foreshift_engine::assign::Ticket;

use super::{Outcome, Shared, state::CopyOrder};
use crate::{shadow::Mark, snapshot::Protocol};

/// A copy that was ordered. Dropped before its end, it is withdrawn.
#[derive(Debug)]
pub(crate) struct Copying {
    shared: Arc<Shared>,
    order: CopyOrder,
    ticket: Option<Ticket>,
    ended: bool,
}

impl Copying {
    pub(super) fn new(shared: Arc<Shared>, order: CopyOrder) -> Self {
        Self { shared, order, ticket: None, ended: false }
    }

    /// Where it goes.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.order.chosen.endpoint
    }

    /// What is spoken there.
    pub(crate) fn protocol(&self) -> Protocol {
        self.order.protocol
    }

    /// What marks it.
    pub(crate) fn mark(&self) -> &Mark {
        &self.order.mark
    }

    /// How long it may take.
    pub(crate) fn patience(&self, original: Option<f64>) -> Duration {
        self.order.shadow.patience(original)
    }

    /// From now on it takes room on the alternate, if there still is some.
    pub(crate) fn start(&mut self) -> bool {
        if self.ticket.is_none() {
            self.ticket = self.shared.state().start_copy(&self.order, self.shared.now());
        }
        self.ticket.is_some()
    }

    /// It has ended: the time to its acknowledgement, or what went wrong; and the seconds of its original, if that was
    /// acknowledged.
    pub(crate) fn finish(mut self, original: Option<f64>, taken: Result<Duration, Outcome>) {
        self.ended = true;
        if let Some(ticket) = self.ticket.take() {
            self.shared.state().finish_copy(&self.order, ticket, original, taken, self.shared.now());
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.state().withdraw_copy(&self.order, self.ticket.take(), self.shared.now());
        }
    }
}
