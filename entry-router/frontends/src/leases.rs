//! Tickets that clients hold: each ends by a report or with its lease, so that a client that dies leaves no entry
//! counted as being worked on for ever.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// How long an assignment waits for its report.
pub const LEASE: Duration = Duration::from_secs(30);

/// Assignments that may wait at once; about 20 MB.
pub const MOST: usize = 65_536;

/// The longest entry id, in bytes.
pub const LONGEST_ENTRY_ID: usize = 256;

/// What was leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease<T> {
    /// The value.
    pub value: T,
    /// When it was leased.
    pub since: Instant,
}

/// All leases of one process.
#[derive(Debug)]
pub struct Leases<T> {
    /// Tells this process's tickets from those of the one before.
    epoch: u64,
    next: u64,
    open: HashMap<u64, (Lease<T>, Option<String>)>,
    entries: HashMap<String, u64>,
    /// By the end of the lease; those that were closed are still named here until then.
    ends: VecDeque<(Instant, u64)>,
}

impl<T> Leases<T> {
    /// No leases; `epoch` differs from process to process.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self { epoch, next: 0, open: HashMap::new(), entries: HashMap::new(), ends: VecDeque::new() }
    }

    /// Whether one more fits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.ends.len() < MOST
    }

    /// Leases; answers the ticket.
    pub fn open(&mut self, value: T, entry: Option<&str>, now: Instant) -> String {
        let id = self.next;
        self.next += 1;
        let entry = entry.filter(|entry| !entry.is_empty()).map(str::to_owned);
        if let Some(entry) = &entry {
            self.entries.insert(entry.clone(), id);
        }
        self.open.insert(id, (Lease { value, since: now }, entry));
        self.ends.push_back((now + LEASE, id));
        self.ticket(id)
    }

    /// The open lease of an entry, with its ticket.
    #[must_use]
    pub fn of_entry(&self, entry: &str) -> Option<(String, &Lease<T>)> {
        let id = *self.entries.get(entry)?;
        let (lease, _) = self.open.get(&id)?;
        Some((self.ticket(id), lease))
    }

    /// Ends a lease; `None` if the ticket is not known (any more).
    pub fn close(&mut self, ticket: &str) -> Option<Lease<T>> {
        let (epoch, id) = ticket.split_once('-')?;
        let parse = |part: &str| u64::from_str_radix(part, 16).ok();
        if parse(epoch)? != self.epoch {
            return None;
        }
        self.end(parse(id)?)
    }

    /// Ends every lease whose time is over.
    pub fn expire(&mut self, now: Instant) -> Vec<Lease<T>> {
        let mut expired = Vec::new();
        while let Some(&(end, id)) = self.ends.front() {
            if end > now {
                break;
            }
            self.ends.pop_front();
            expired.extend(self.end(id));
        }
        expired
    }

    fn end(&mut self, id: u64) -> Option<Lease<T>> {
        let (lease, entry) = self.open.remove(&id)?;
        if let Some(entry) = entry
            && self.entries.get(&entry) == Some(&id)
        {
            self.entries.remove(&entry);
        }
        Some(lease)
    }

    fn ticket(&self, id: u64) -> String {
        format!("{:x}-{id:x}", self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_closes_once() {
        let (mut leases, now) = (Leases::new(7), Instant::now());
        let ticket = leases.open("b", None, now);
        assert_eq!(leases.close(&ticket).unwrap().value, "b");
        assert!(leases.close(&ticket).is_none());
    }

    #[test]
    fn tickets_of_another_process_and_nonsense_are_unknown() {
        let mut leases = Leases::new(7);
        let ticket = Leases::new(8).open((), None, Instant::now());
        leases.open((), None, Instant::now());
        for unknown in [ticket.as_str(), "", "-", "7", "7-", "7-zz", "7-1", "-0"] {
            assert!(leases.close(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn what_is_never_reported_ends_with_its_lease() {
        let (mut leases, now) = (Leases::new(7), Instant::now());
        let reported = leases.open(1, None, now);
        leases.open(2, None, now + Duration::from_secs(1));
        leases.close(&reported);
        assert!(leases.expire(now + LEASE).is_empty());
        let expired: Vec<i32> =
            leases.expire(now + LEASE + Duration::from_secs(1)).into_iter().map(|l| l.value).collect();
        assert_eq!(expired, [2]);
        assert!(leases.ends.is_empty() && leases.open.is_empty());
    }

    #[test]
    fn an_entry_has_one_lease_while_it_is_open() {
        let (mut leases, now) = (Leases::new(7), Instant::now());
        let ticket = leases.open("b", Some("e1"), now);
        assert_eq!(
            leases.of_entry("e1").map(|(ticket, lease)| (ticket, lease.value)),
            Some((ticket.clone(), "b"))
        );
        leases.close(&ticket);
        assert!(leases.of_entry("e1").is_none() && leases.entries.is_empty());
    }

    #[test]
    fn there_is_an_end_to_them() {
        let (mut leases, now) = (Leases::new(7), Instant::now());
        for _ in 0..MOST {
            leases.open((), None, now);
        }
        assert!(!leases.has_room());
        leases.expire(now + LEASE);
        assert!(leases.has_room());
    }
}
