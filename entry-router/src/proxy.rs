//! The proxy frontend: HTTP/1.1 and HTTP/2 (prior knowledge), on either side.
//!
//! Each thread has a listener on the same port, a runtime, and connections of its own, so a request stays on one
//! core; what they share is the assigner. [`forward`] is the way of one entry.

pub mod access;
mod answer;
mod budget;
pub(crate) mod forward;
pub(crate) mod headers;
mod listen;
pub(crate) mod pool;
pub(crate) mod source;
mod streams;
mod timers;
pub mod tls;
pub(crate) mod verdict;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use foreshift_daemon::shutdown::Stop;
use http::{HeaderValue, Request};

use crate::{
    assigner::Assigner,
    routes::Routes,
    shadow::{self, Queue},
    snapshot::RouteKey,
};
use access::Sampling;
use budget::Budget;
use pool::Pool;
use source::Keeping;
use timers::Timers;
use tls::Tls;

/// Bounds of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To a connection with a resource.
    pub connect: Duration,
    /// To an answer after the body, and between two pieces of a body, from wherever.
    pub answer: Duration,
    /// To the whole head of a request, from the end of the last one on the same connection; so it also bounds how
    /// long a connection may idle.
    pub head: Duration,
    /// To the end of what is under way when the process is asked to end.
    pub drain: Duration,
    /// Bytes a second at which a body of a known length must come at least, over `answer` each time.
    pub body_rate: u64,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Connections of clients at once.
    pub connections: usize,
    /// Bytes of one body that are kept for a retry.
    pub kept_each: usize,
    /// The same for all bodies together.
    pub kept: usize,
    /// Part of the entries that may be tried again, 0 to 1.
    pub retries: f64,
    /// Of the copies that alternates are tried with.
    pub shadow: shadow::Limits,
    /// Part of the entries that the access log tells of, 0 to 1.
    pub told: f64,
}

/// The listening threads.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    threads: Vec<std::thread::JoinHandle<()>>,
    figures: Arc<Figures>,
}

/// What the proxy counts beside the assigner.
#[derive(Debug, Default)]
pub struct Figures {
    /// Connections of clients now.
    pub connections: AtomicUsize,
    /// Answers by the hundreds of their status, 1xx to 5xx.
    pub answers: [AtomicU64; 5],
    /// Entries that were tried again.
    pub retries: AtomicU64,
    /// Of the copies that alternates are tried with.
    pub shadow: Arc<shadow::Figures>,
}

/// What all requests of a thread share.
#[derive(Debug)]
struct Worker {
    routes: Routes,
    route: Option<RouteKey>,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    sampling: Sampling,
    pool: Pool,
    timers: Timers,
    budget: Mutex<Budget>,
    keeping: Arc<Keeping>,
    copies: Queue,
    figures: Arc<Figures>,
    /// Half of an id is the process's, half the entry's number.
    ids: (u64, AtomicU64),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            answer: Duration::from_secs(30),
            head: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            // As Kestrel's MinRequestBodyDataRate.
            body_rate: 240,
            head_bytes: 32 << 10,
            connections: 20_000,
            kept_each: 64 << 10,
            kept: 64 << 20,
            retries: 0.2,
            shadow: shadow::Limits::default(),
            told: 0.0,
        }
    }
}

impl Proxy {
    /// Listens on `address` with as many threads as asked for, for one route or for all by their target's host; with TLS
    /// and nothing else where there is a certificate.
    ///
    /// # Errors
    /// If the port is taken or a thread cannot be started.
    pub fn start(
        address: SocketAddr,
        threads: usize,
        routes: &Routes,
        route: Option<&RouteKey>,
        limits: Limits,
        tls: Option<&Arc<Tls>>,
        stop: &Stop,
    ) -> std::io::Result<Self> {
        let figures = Arc::new(Figures::default());
        let keeping = Arc::new(Keeping::new(limits.kept, limits.kept_each));
        let process = process_number();
        let (copies, copying) =
            shadow::start(limits.shadow, limits.connect, limits.answer, &figures.shadow, stop)?;
        let mut proxy = Self { address, threads: vec![copying], figures: Arc::clone(&figures) };
        for number in 0..threads.max(1) {
            let worker = Arc::new(Worker {
                routes: routes.clone(),
                route: route.cloned(),
                limits: Limits { connections: limits.connections.div_ceil(threads.max(1)), ..limits },
                tls: tls.cloned(),
                sampling: Sampling::new(limits.told),
                pool: Pool::default(),
                timers: Timers::default(),
                budget: Mutex::new(Budget::new(limits.retries)),
                keeping: Arc::clone(&keeping),
                copies: copies.clone(),
                figures: Arc::clone(&figures),
                ids: (process, AtomicU64::new((number as u64) << 48)),
            });
            let listener = listen::bind(proxy.address)?;
            // A free port was asked for: the other threads take the same.
            proxy.address = listener.local_addr()?;
            let stop = stop.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let run = move || runtime.block_on(listen::serve(&worker, listener, stop));
            proxy.threads.push(std::thread::Builder::new().name(format!("proxy-{number}")).spawn(run)?);
        }
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Returns when all threads have ended, after they were asked to stop.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the proxy panicked");
            }
        }
    }
}

impl Worker {
    fn route_of<B>(&self, request: &Request<B>) -> Option<Assigner> {
        match &self.route {
            Some(key) => self.routes.get(key),
            None => self.routes.only().or_else(|| self.routes.at_host(host(request)?)),
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = self.ids.1.fetch_add(1, Ordering::Relaxed);
        let both = u128::from(self.ids.0) << 64 | u128::from(number);
        let id: [u8; 32] = std::array::from_fn(|i| DIGITS[(both >> (124 - 4 * i)) as usize & 0xf]);
        HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

fn host<B>(request: &Request<B>) -> Option<&str> {
    let named = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    request.uri().host().or(named.map(|host| host.split(':').next().unwrap_or(host)))
}

/// Tells this process from its replicas and from itself before a restart.
fn process_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hashers are seeded by the operating system.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
