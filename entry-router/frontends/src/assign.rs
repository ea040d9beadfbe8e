//! What a frontend asks of an assigner.

use std::{fmt, net::SocketAddr, time::Duration};

use http::request::Parts;

/// The longest class, in bytes.
pub const LONGEST_CLASS: usize = 128;

/// Assigns single entries and hears what became of them. Implementations must answer in microseconds: they are asked
/// on the threads that serve connections.
pub trait Assign: fmt::Debug + Send + Sync + 'static {
    /// One assignment that is under way.
    type Ticket: fmt::Debug + Send + 'static;

    /// Assigns an entry; from now on it counts as being worked on.
    ///
    /// # Errors
    /// [`Refusal`], each variant.
    fn assign(&self, entry: &Entry<'_>) -> Result<Assigned<Self::Ticket>, Refusal>;

    /// What became of an entry; `endpoint` took it, if that is known.
    fn close(&self, ticket: Self::Ticket, endpoint: Option<SocketAddr>, outcome: Outcome);

    /// Whether what is needed to assign is known.
    fn is_ready(&self) -> bool;
}

/// An entry, as far as its place depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The route, as `NAMESPACE/NAME`.
    pub route: &'a str,
    /// What it is.
    pub class: Class<'a>,
    /// Its size.
    pub bytes: u64,
    /// The only endpoints that may be chosen; `None` is all of the route's.
    pub within: Option<&'a [SocketAddr]>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub enum Class<'a> {
    /// A class by its name.
    Named(&'a str),
    /// The head of the request that carries it, from which the route's `classify` reads the class.
    Request(&'a Parts),
}

/// Where an entry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned<T> {
    /// To be closed.
    pub ticket: T,
    /// Name of the Service.
    pub resource: String,
    /// Endpoints, best first; never empty.
    pub endpoints: Vec<SocketAddr>,
    /// Why there, in a word.
    pub reason: String,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Acknowledged after this long.
    Acknowledged(Duration),
    /// Refused, or not answered.
    Failed,
    /// Never sent, or nobody knows.
    Released,
}

/// Why an entry was not assigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such route.
    #[error("there is no route `{0}` that the router knows; name a JournalRoute as NAMESPACE/NAME")]
    UnknownRoute(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Nothing to choose from.
    #[error("no resource of `{0}` has a ready endpoint that may take the entry; look at its pods")]
    NoEndpoint(String),
    /// Too much is under way.
    #[error("too many entries are under way; ask again in {} s", .0.as_secs())]
    Overloaded(Duration),
}
