//! Bytes that the node's links carried, and what they can carry.
//!
//! Bytes of pods pass a veth and the link as well: only the links of the default route count, or without
//! one all interfaces that are not virtual.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use super::files::{Files, ReadError, number, risen};

/// Interfaces that carry what a link carries as well, or nothing that leaves the node.
const VIRTUAL: [&str; 12] =
    ["lo", "veth", "cni", "docker", "br-", "cali", "cilium", "lxc", "flannel", "dummy", "ifb", "kube-"];

/// Bytes a second in a link speed of one Mbit/s.
const BYTES_PER_MEGABIT: f64 = 125_000.0;

/// Where to read it.
#[derive(Debug)]
pub(crate) struct Network {
    devices: PathBuf,
    routes: PathBuf,
    links: Option<PathBuf>,
    declared: Option<f64>,
}

/// Bytes since the interfaces came up, summed over the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// One look at the links.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) counters: Counters,
    /// Bytes a second in one direction; zero when not known.
    pub(crate) capacity: f64,
}

impl Network {
    /// The interfaces of the node's first process; their speed from `sys_root` unless it is `declared`.
    pub(crate) fn new(proc_root: &Path, sys_root: Option<&Path>, declared: Option<f64>) -> Self {
        let folder = proc_root.join("1/net");
        Self {
            devices: folder.join("dev"),
            routes: folder.join("route"),
            links: sys_root.map(|root| root.join("class/net")),
            declared,
        }
    }

    pub(crate) fn read(&self, files: &mut Files) -> Result<Reading, ReadError> {
        // A node with IPv6 only has no such file, or an empty one.
        let routed = files.read(&self.routes, |text| Some(default_links(text))).unwrap_or_default();
        let (links, counters) = files.read(&self.devices, |text| {
            let mut links = Vec::new();
            let mut sum = Counters::default();
            for (name, counters) in devices(text).filter(|(name, _)| counts(name, &routed)) {
                links.push(name.to_owned());
                sum.received += counters.received;
                sum.sent += counters.sent;
            }
            Some((links, sum))
        })?;
        let capacity = self.declared.unwrap_or_else(|| self.speed(files, &links));
        Ok(Reading { counters, capacity })
    }

    /// Sum of the links' speeds; zero when one of them tells none, as most virtual machines do.
    fn speed(&self, files: &mut Files, links: &[String]) -> f64 {
        let Some(folder) = &self.links else { return 0.0 };
        let speeds = links.iter().map(|link| files.read(&folder.join(link).join("speed"), number).ok());
        speeds.sum::<Option<u64>>().unwrap_or(0) as f64 * BYTES_PER_MEGABIT
    }
}

impl Counters {
    /// Bytes a second of the busier direction: links carry both at once.
    pub(crate) fn rate_since(&self, before: &Self, elapsed: Duration) -> f64 {
        let bytes = risen(before.received, self.received).max(risen(before.sent, self.sent));
        if elapsed.is_zero() { 0.0 } else { bytes / elapsed.as_secs_f64() }
    }
}

fn counts(name: &str, routed: &BTreeSet<String>) -> bool {
    if routed.is_empty() {
        !VIRTUAL.iter().any(|prefix| name.starts_with(prefix))
    } else {
        routed.contains(name)
    }
}

/// Name and counters of every line of `net/dev`; field 1 is what was received, field 9 what was sent.
fn devices(text: &str) -> impl Iterator<Item = (&str, Counters)> {
    text.lines().filter_map(|line| {
        let (name, fields) = line.split_once(':')?;
        let mut fields = fields.split_ascii_whitespace();
        let (received, sent) = (number(fields.next()?)?, number(fields.nth(7)?)?);
        Some((name.trim(), Counters { received, sent }))
    })
}

/// Interfaces with a default route in `net/route`: destination and mask are zero.
fn default_links(text: &str) -> BTreeSet<String> {
    let link = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (name, destination, mask) = (fields.next()?, fields.next()?, fields.nth(5)?);
        (destination == "00000000" && mask == "00000000").then(|| name.to_owned())
    };
    text.lines().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::files::fixture::Tree, *};

    const DEVICES: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
  eth0: 1000      10    0    0    0     0          0         0      300       3    0    0    0     0       0          0
  eth1:  500       5    0    0    0     0          0         0       50       3    0    0    0     0       0          0
veth12:  800       8    0    0    0     0          0         0      200       2    0    0    0     0       0          0
";
    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    fn tree() -> Tree {
        let tree = Tree::new();
        tree.write("proc/1/net/dev", DEVICES);
        tree.write("proc/1/net/route", ROUTES);
        tree.write("sys/class/net/eth0/speed", "1000\n");
        tree.write("sys/class/net/eth1/speed", "-1\n");
        tree
    }

    fn read(tree: &Tree, sys: bool, declared: Option<f64>) -> Reading {
        let sys = sys.then(|| tree.root().join("sys"));
        let network = Network::new(&tree.root().join("proc"), sys.as_deref(), declared);
        network.read(&mut Files::default()).unwrap()
    }

    #[test]
    fn the_links_of_the_default_route_count_and_their_speed_is_the_capacity() {
        let tree = tree();
        let reading = read(&tree, true, None);
        assert_eq!(reading.counters, Counters { received: 1000, sent: 300 });
        assert_eq!(reading.capacity, 125e6);
        assert_eq!(read(&tree, true, Some(7.0)).capacity, 7.0, "what is declared wins");
        assert_eq!(read(&tree, false, None).capacity, 0.0, "not known");
    }

    #[test]
    fn without_a_default_route_every_real_interface_counts() {
        let tree = tree();
        tree.write("proc/1/net/route", "");
        let reading = read(&tree, true, None);
        assert_eq!(reading.counters, Counters { received: 1500, sent: 350 });
        assert_eq!(reading.capacity, 0.0, "the speed of one is not known");
    }

    #[test]
    fn the_busier_direction_is_the_rate() {
        let at = |received, sent| Counters { received, sent };
        let second = Duration::from_secs(2);
        assert_eq!(at(1000, 900).rate_since(&at(0, 100), second), 500.0);
        assert_eq!(at(10, 900).rate_since(&at(50, 100), second), 400.0, "counters that began anew");
        assert_eq!(at(1, 1).rate_since(&at(0, 0), Duration::ZERO), 0.0);
    }
}
