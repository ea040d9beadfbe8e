//! Reads the node: counters of the kernel in, a [`Sample`] of rates out.
//!
//! CPU and memory must be readable; network, pressure and pods are left out where the node does not tell.

mod cgroup;
mod cpu;
mod disk;
mod files;
mod machine;
mod memory;
mod network;
mod pod;
mod pods;
mod power;
mod pressure;
mod search;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use foreshift_api::resource_persona::WorkloadSpec;
use foreshift_engine::persona::load::Usage;

use self::{
    cgroup::{Cgroup, Hierarchy},
    disk::Disks,
    files::Files,
    machine::Machine,
    network::Network,
    pods::Pods,
    power::Power,
    pressure::{Pressure, Stalls, waited},
};
use crate::{args::Args, outage::Outage, sample::Sample};

#[cfg(test)]
pub(crate) use self::files::fixture;
#[cfg(test)]
mod fuzz;
pub use self::{cgroup::CgroupError, files::ReadError};

/// Why the node cannot be sampled at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cgroups are not as the flags say.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The machine does not tell what it has.
    #[error("cannot read the machine's CPUs and memory: {0}")]
    Machine(#[from] sysinfo::Error),
}

/// Where to look.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The node's `/proc`.
    pub proc: PathBuf,
    /// The node's `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// The node's `/sys`, for the speed of its links.
    pub sys: Option<PathBuf>,
    /// Cgroup that stands for the node; `None` for the whole machine.
    pub node_cgroup: Option<PathBuf>,
    /// Bytes a second that the network carries, where it is declared.
    pub network_capacity: Option<f64>,
    /// Bytes of memory that the node's work may take, where it is declared.
    pub memory_capacity: Option<f64>,
}

/// The node's figures, open for reading.
#[derive(Debug)]
pub struct Sources {
    files: Files,
    machine: Machine,
    node: Option<Cgroup>,
    network: Network,
    network_outage: Outage,
    pressure: Pressure,
    disks: Disks,
    memory_declared: Option<f64>,
    memory_allocatable: Option<f64>,
    pods: Pods,
    power: Power,
    before: Option<Counters>,
    description: String,
    boot_id: String,
}

/// What only rises, at one instant.
#[derive(Clone, Copy, Debug)]
struct Counters {
    at: Duration,
    cpu: cpu::Counters,
    network: Option<network::Reading>,
    stalls: Stalls,
}

impl From<&Args> for Roots {
    fn from(args: &Args) -> Self {
        Self {
            proc: args.proc_root.clone(),
            cgroup: args.cgroup_root.clone(),
            sys: args.sys_root.clone(),
            node_cgroup: args.node_cgroup.clone(),
            network_capacity: args.network_capacity,
            memory_capacity: args.memory_capacity,
        }
    }
}

impl Sources {
    /// Finds everything that is read later.
    pub fn open(roots: &Roots) -> Result<Self, OpenError> {
        let hierarchy = Hierarchy::detect(&roots.cgroup)?;
        // A node in a container of its own (kind, k3d, LXC) mounts its own cgroup as the root.
        let nested = hierarchy.is_nested().then(PathBuf::new);
        let node_cgroup = roots.node_cgroup.clone().or(nested);
        let node = node_cgroup.as_deref().map(|path| hierarchy.existing(path)).transpose()?;
        let pressure = match &node {
            Some(cgroup) => Pressure::of_cgroup(cgroup),
            None => Pressure::of_machine(&roots.proc),
        };
        let disks = if node.is_none() { Disks::of_machine(&roots.proc) } else { Disks::default() };
        let description = node_cgroup.as_deref().map(|path| hierarchy.name(path));
        let mut files = Files::default();
        let power = match (&node, &roots.sys) {
            // The counters are those of the machine: the nodes on it cannot tell their parts.
            (None, Some(sys)) => Power::of_machine(sys, &mut files),
            _ => Power::default(),
        };
        let below = roots.node_cgroup.clone().unwrap_or_default();
        Ok(Self {
            files,
            machine: Machine::open()?,
            node,
            network: Network::new(&roots.proc, roots.sys.as_deref(), roots.network_capacity),
            network_outage: Outage::new("reading the network's counters"),
            pressure,
            disks,
            memory_declared: roots.memory_capacity,
            memory_allocatable: None,
            pods: Pods::new(hierarchy, below),
            power,
            before: None,
            description: description.unwrap_or_else(|| "/proc".to_owned()),
            boot_id: boot_id(&roots.proc),
        })
    }

    /// Where the CPU figures come from, as the persona names it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The kernel's boot id; empty where it is not readable.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Which Services to observe from now on.
    pub fn observe(&mut self, workloads: &[WorkloadSpec]) {
        self.pods.observe(workloads);
    }

    /// Bytes of memory that the kubelet lets pods have before it evicts, as far as the Node tells.
    pub fn allow(&mut self, allocatable: Option<f64>) {
        self.memory_allocatable = allocatable;
    }

    /// Rates since the last call that succeeded, `None` the first time. `at` is monotonic, `unix` the wall clock
    /// in seconds since 1970.
    pub fn sample(&mut self, at: Duration, unix: f64) -> Result<Option<Sample>, ReadError> {
        self.machine.refresh();
        let now = self.counters(at)?;
        let memory = self.memory(now.stalls, at)?;
        let quota = match &self.node {
            Some(cgroup) => cpu::quota(&mut self.files, cgroup)?,
            None => f64::INFINITY,
        };
        let workloads = self.pods.sample(&mut self.files, at);
        let watts = self.power.watts(&mut self.files, at);
        let disk = if now.stalls.disk.is_none() { self.disks.busy(&mut self.files, at) } else { None };
        let Some(before) = self.before.replace(now).filter(|before| before.at < at) else { return Ok(None) };
        let elapsed = at.saturating_sub(before.at);
        let waited_for_disks = waited(before.stalls.disk, now.stalls.disk, elapsed);
        Ok(Some(Sample {
            unix,
            elapsed,
            uptime: Machine::uptime(),
            cpu: self.cpu(&before, &now, elapsed, quota),
            memory,
            network: network_use(before.network, now.network, elapsed),
            disk: waited_for_disks.or(disk),
            watts,
            workloads,
        }))
    }

    fn counters(&mut self, at: Duration) -> Result<Counters, ReadError> {
        let cpu = match &self.node {
            Some(cgroup) => cpu::Counters::read(&mut self.files, cgroup)?,
            None => cpu::Counters::default(),
        };
        let network = match self.network.read(&mut self.files) {
            Ok(reading) => {
                self.network_outage.over();
                Some(reading)
            }
            Err(error) => {
                self.network_outage.failed(&error);
                None
            }
        };
        Ok(Counters { at, cpu, network, stalls: self.pressure.read(&mut self.files) })
    }

    fn cpu(&self, before: &Counters, now: &Counters, elapsed: Duration, quota: f64) -> Usage {
        let cores = self.machine.cores();
        let pressure = waited(before.stalls.cpu, now.stalls.cpu, elapsed);
        if self.node.is_none() {
            return Usage { capacity: cores, used: self.machine.busy_cores(), pressure, throttled: None };
        }
        let work = now.cpu.since(&before.cpu, elapsed);
        Usage {
            capacity: quota.min(cores),
            used: work.cores,
            pressure,
            throttled: quota.is_finite().then(|| work.throttled()),
        }
    }

    fn memory(&mut self, stalls: Stalls, at: Duration) -> Result<Usage, ReadError> {
        let before = self.before.map_or((None, Duration::ZERO), |before| (before.stalls.memory, before.at));
        let pressure = waited(before.0, stalls.memory, at.saturating_sub(before.1));
        let (limit, used) = match &self.node {
            Some(cgroup) => {
                (memory::limit(&mut self.files, cgroup)?, memory::working_set(&mut self.files, cgroup)?)
            }
            None => (f64::INFINITY, self.machine.used_memory_bytes()),
        };
        // The kubelet evicts before the kernel kills.
        let allowed = self.memory_declared.or(self.memory_allocatable).unwrap_or(f64::INFINITY);
        let capacity = self.machine.memory_bytes().min(limit).min(allowed);
        Ok(Usage { capacity, used, pressure, throttled: None })
    }
}

fn network_use(before: Option<network::Reading>, now: Option<network::Reading>, elapsed: Duration) -> Usage {
    let both = before.zip(now);
    both.map_or_else(Usage::default, |(before, now)| Usage {
        capacity: now.capacity,
        used: now.counters.rate_since(&before.counters, elapsed),
        ..Usage::default()
    })
}

fn boot_id(proc_root: &Path) -> String {
    let id = std::fs::read_to_string(proc_root.join("sys/kernel/random/boot_id"));
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{files::fixture::Tree, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn hybrid() -> Tree {
        let tree = Tree::new();
        for (path, text) in [
            ("cgroup/cpu/kc/n1/cpu.cfs_quota_us", "30000"),
            ("cgroup/cpu/kc/n1/cpu.cfs_period_us", "100000"),
            ("cgroup/memory/kc/n1/memory.usage_in_bytes", "3000"),
            ("cgroup/memory/kc/n1/memory.stat", "total_inactive_file 1000\n"),
            ("cgroup/memory/kc/n1/memory.limit_in_bytes", "8000"),
            ("proc/1/net/route", "eth0 00000000 0 0003 0 0 0 00000000 0 0 0\n"),
            ("proc/sys/kernel/random/boot_id", "0a1b\n"),
        ] {
            tree.write(path, text);
        }
        counted(&tree, 0);
        tree
    }

    /// The counters after `seconds` at 0.15 cores, half the periods throttled, a fifth of the time waited.
    fn counted(tree: &Tree, seconds: u64) {
        let ten = seconds * 10;
        tree.write("cgroup/cpuacct/kc/n1/cpuacct.usage", &(seconds * 150_000_000).to_string());
        tree.write("cgroup/cpu/kc/n1/cpu.stat", &format!("nr_periods {ten}\nnr_throttled {}\n", ten / 2));
        for file in ["cpu.pressure", "memory.pressure"] {
            let text = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={}\n", seconds * 200_000);
            tree.write(&format!("cgroup/unified/kc/n1/{file}"), &text);
        }
        tree.write(
            "proc/1/net/dev",
            &format!(" eth0: {} 0 0 0 0 0 0 0 {} 0\n", seconds * 500, seconds * 100),
        );
    }

    fn roots(tree: &Tree, node_cgroup: Option<&str>) -> Roots {
        Roots {
            proc: tree.root().join("proc"),
            cgroup: tree.root().join("cgroup"),
            sys: None,
            node_cgroup: node_cgroup.map(PathBuf::from),
            network_capacity: Some(1000.0),
            memory_capacity: None,
        }
    }

    #[test]
    fn a_hybrid_node_cgroup_is_sampled_whole() {
        let tree = hybrid();
        let mut sources = Sources::open(&roots(&tree, Some("kc/n1"))).unwrap();
        assert_eq!((sources.description(), sources.boot_id()), ("cgroup v1 kc/n1", "0a1b"));
        assert_eq!(sources.sample(SECOND, 100.0).unwrap(), None, "no rate without two looks");
        counted(&tree, 2);
        let sample = sources.sample(3 * SECOND, 102.0).unwrap().unwrap();
        let usage = |capacity, used, pressure, throttled| Usage { capacity, used, pressure, throttled };
        assert_eq!(sample.cpu, usage(0.3, 0.15, Some(0.2), Some(0.5)));
        assert_eq!(sample.memory, usage(8000.0, 2000.0, Some(0.2), None));
        assert_eq!(sample.network, usage(1000.0, 500.0, None, None));
        assert_eq!((sample.unix, sample.elapsed), (102.0, 2 * SECOND));
    }

    #[test]
    fn the_whole_machine_needs_no_cgroup_of_its_own() {
        let tree = hybrid();
        tree.write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
        let mut sources = Sources::open(&roots(&tree, None)).unwrap();
        sources.sample(SECOND, 100.0).unwrap();
        let sample = sources.sample(2 * SECOND, 101.0).unwrap().unwrap();
        assert_eq!(sources.description(), "/proc");
        assert!(sample.cpu.capacity >= 1.0 && sample.memory.capacity > sample.memory.used);
        assert_eq!(
            (sample.cpu.pressure, sample.cpu.throttled, sample.memory.pressure),
            (Some(0.0), None, None)
        );
    }

    #[test]
    fn a_node_that_is_a_container_is_found_by_the_root_of_its_cgroups() {
        let tree = Tree::new();
        for (path, text) in [
            ("cgroup/cgroup.controllers", "cpu memory"),
            ("cgroup/cpu.max", "150000 100000"),
            ("cgroup/cpu.stat", "usage_usec 1000000\nnr_periods 0\nnr_throttled 0\n"),
            ("cgroup/memory.max", "8000"),
            ("cgroup/memory.current", "3000"),
            ("cgroup/memory.stat", "inactive_file 1000\n"),
        ] {
            tree.write(path, text);
        }
        let mut sources = Sources::open(&roots(&tree, None)).unwrap();
        assert_eq!(sources.description(), "cgroup v2 / (nested)");
        sources.sample(SECOND, 100.0).unwrap();
        tree.write("cgroup/cpu.stat", "usage_usec 1500000\nnr_periods 10\nnr_throttled 1\n");
        let sample = sources.sample(2 * SECOND, 101.0).unwrap().unwrap();
        let cpu = Usage { capacity: 1.5, used: 0.5, pressure: None, throttled: Some(0.1) };
        assert_eq!(sample.cpu, Usage { capacity: 1.5_f64.min(sources.machine.cores()), ..cpu });
        assert_eq!((sample.memory.capacity, sample.memory.used), (8000.0, 2000.0));
    }

    #[test]
    fn memory_ends_where_the_kubelet_evicts_unless_another_end_is_declared() {
        let tree = hybrid();
        let cases = [
            (None, None, 8000.0),
            (Some(6000.0), None, 6000.0),
            (Some(9000.0), None, 8000.0),
            (Some(6000.0), Some(7000.0), 7000.0),
            (None, Some(9000.0), 8000.0),
        ];
        for (allocatable, declared, expected) in cases {
            let roots = Roots { memory_capacity: declared, ..roots(&tree, Some("kc/n1")) };
            let mut sources = Sources::open(&roots).unwrap();
            sources.allow(allocatable);
            sources.sample(SECOND, 100.0).unwrap();
            let memory = sources.sample(2 * SECOND, 101.0).unwrap().unwrap().memory;
            assert_eq!(memory.capacity, expected, "{allocatable:?} {declared:?}");
        }
    }

    #[test]
    fn without_pressure_of_disks_the_busiest_of_the_machine_counts() {
        let tree = hybrid();
        tree.write("proc/diskstats", "8 0 sda 1 0 8 2 0 0 0 0 0 1000 1000\n");
        let mut sources = Sources::open(&roots(&tree, None)).unwrap();
        sources.sample(SECOND, 100.0).unwrap();
        tree.write("proc/diskstats", "8 0 sda 1 0 8 2 0 0 0 0 0 1250 1250\n");
        assert_eq!(sources.sample(2 * SECOND, 101.0).unwrap().unwrap().disk, Some(0.25));
        tree.write("proc/pressure/io", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        sources.sample(3 * SECOND, 102.0).unwrap();
        tree.write("proc/pressure/io", "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n");
        assert_eq!(sources.sample(4 * SECOND, 103.0).unwrap().unwrap().disk, Some(0.5));
    }

    #[test]
    fn a_failed_look_is_bridged_by_the_next() {
        let tree = hybrid();
        let mut sources = Sources::open(&roots(&tree, Some("kc/n1"))).unwrap();
        sources.sample(SECOND, 100.0).unwrap();
        tree.write("cgroup/cpuacct/kc/n1/cpuacct.usage", "");
        assert!(sources.sample(2 * SECOND, 101.0).is_err());
        counted(&tree, 4);
        let sample = sources.sample(5 * SECOND, 104.0).unwrap().unwrap();
        assert_eq!((sample.cpu.used, sample.elapsed), (0.15, 4 * SECOND));
    }

    #[test]
    fn without_network_counters_there_is_still_a_sample() {
        let tree = hybrid();
        tree.remove("proc/1");
        let mut sources = Sources::open(&roots(&tree, Some("kc/n1"))).unwrap();
        sources.sample(SECOND, 100.0).unwrap();
        assert_eq!(sources.sample(2 * SECOND, 101.0).unwrap().unwrap().network, Usage::default());
    }
}
