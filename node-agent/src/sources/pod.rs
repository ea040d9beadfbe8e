//! One pod on this node: what its cgroup used, and how often its containers came to grief.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use foreshift_engine::persona::load::Usage;

use super::{
    cgroup::{Cgroup, Version},
    cpu::{self, Work},
    files::{Files, ReadError, keyed},
    memory,
    pressure::{Pressure, Stalls, waited},
};

/// Containers that come and go in a pod this young are its init containers.
const STARTING: Duration = Duration::from_mins(1);

/// A pod whose cgroup was found.
#[derive(Debug)]
pub(super) struct Pod {
    cgroup: Cgroup,
    pressure: Pressure,
    found_at: Duration,
    before: Option<(Duration, cpu::Counters, Stalls)>,
    cpu_limit: f64,
    memory_limit: f64,
    containers: Containers,
    oom_kills: Option<u64>,
}

/// What a pod, or several together, used between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PodUse {
    work: Work,
    waited: Option<f64>,
    working_set: f64,
    cpu_limit: f64,
    memory_limit: f64,
    pub(super) restarts: f64,
}

/// Folders of a pod's containers; kubelet restarts a container by replacing it.
#[derive(Debug, Default)]
struct Containers {
    names: BTreeSet<String>,
    ended: usize,
}

impl Pod {
    pub(super) fn new(cgroup: Cgroup, now: Duration) -> Self {
        Self {
            pressure: Pressure::of_cgroup(&cgroup),
            cgroup,
            found_at: now,
            before: None,
            cpu_limit: f64::INFINITY,
            memory_limit: f64::INFINITY,
            containers: Containers::default(),
            oom_kills: None,
        }
    }

    /// What it used since the call before; `slowly` also looks at limits, restarts and OOM kills.
    pub(super) fn sample(
        &mut self,
        files: &mut Files,
        now: Duration,
        slowly: bool,
    ) -> Result<PodUse, ReadError> {
        let counters = cpu::Counters::read(files, &self.cgroup)?;
        let working_set = memory::working_set(files, &self.cgroup)?;
        let stalls = self.pressure.read(files);
        let mut restarts = 0.0;
        if slowly {
            self.cpu_limit = cpu::quota(files, &self.cgroup)?;
            self.memory_limit = memory::limit(files, &self.cgroup)?;
            restarts = self.restarts(files, now);
        }
        let before = self.before.replace((now, counters, stalls));
        let (work, waited) = before.map_or((Work::UNKNOWN, None), |(at, cpu, stalled)| {
            let elapsed = now.saturating_sub(at);
            (counters.since(&cpu, elapsed), waited(stalled.cpu, stalls.cpu, elapsed))
        });
        let (cpu_limit, memory_limit) = (self.cpu_limit, self.memory_limit);
        Ok(PodUse { work, waited, working_set, cpu_limit, memory_limit, restarts })
    }

    fn restarts(&mut self, files: &mut Files, now: Duration) -> f64 {
        let starting = now.saturating_sub(self.found_at) < STARTING;
        let replaced = self.containers.replaced(folders(&self.cgroup.cpu), starting);
        let kills = self.oom_kills(files);
        let killed = self.oom_kills.replace(kills).map_or(0, |before| kills.saturating_sub(before));
        replaced as f64 + killed as f64
    }

    /// Version 2 counts for the pod as a whole, version 1 for each container.
    fn oom_kills(&self, files: &mut Files) -> u64 {
        let mut read = |path: &Path| files.read(path, |text| keyed(text, "oom_kill")).unwrap_or(0);
        match self.cgroup.version {
            Version::V2 => read(&self.cgroup.memory.join("memory.events")),
            Version::V1 => {
                let of = |name: &String| self.cgroup.memory.join(name).join("memory.oom_control");
                self.containers.names.iter().map(|name| read(&of(name))).sum()
            }
        }
    }
}

impl PodUse {
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            work: self.work.plus(other.work),
            waited: [self.waited, other.waited].into_iter().flatten().reduce(f64::max),
            working_set: self.working_set + other.working_set,
            cpu_limit: self.cpu_limit + other.cpu_limit,
            memory_limit: self.memory_limit + other.memory_limit,
            restarts: self.restarts + other.restarts,
        }
    }

    /// CPU against the limits; the pressure of several pods is the worst of them.
    pub(super) fn cpu(&self) -> Usage {
        Usage {
            capacity: finite(self.cpu_limit),
            used: self.work.cores,
            pressure: self.waited,
            throttled: Some(self.work.throttled()),
        }
    }

    /// Memory against the limits.
    pub(super) fn memory(&self) -> Usage {
        Usage { capacity: finite(self.memory_limit), used: self.working_set, ..Usage::default() }
    }
}

impl Containers {
    /// How many of `names` took the place of one that ended; while the pod is `starting` none did.
    fn replaced(&mut self, names: BTreeSet<String>, starting: bool) -> usize {
        let (ended, begun) = (self.names.difference(&names).count(), names.difference(&self.names).count());
        self.names = names;
        if starting {
            return 0;
        }
        self.ended += ended;
        let replaced = begun.min(self.ended);
        self.ended -= replaced;
        replaced
    }
}

/// A limit; zero where there is none.
fn finite(limit: f64) -> f64 {
    if limit.is_finite() { limit } else { 0.0 }
}

fn folders(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{cgroup::Hierarchy, files::fixture::Tree},
        *,
    };

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_replaced_container_is_a_restart_even_when_its_successor_comes_late() {
        let mut containers = Containers::default();
        assert_eq!(containers.replaced(names(&["pause", "init"]), true), 0);
        assert_eq!(containers.replaced(names(&["pause", "main"]), true), 0, "an init container ended");
        assert_eq!(containers.replaced(names(&["pause", "main"]), false), 0);
        assert_eq!(containers.replaced(names(&["pause", "main-2"]), false), 1);
        assert_eq!(containers.replaced(names(&["pause"]), false), 0, "backing off");
        assert_eq!(containers.replaced(names(&["pause", "main-3"]), false), 1);
        assert_eq!(containers.replaced(names(&["pause", "main-3", "debug"]), false), 0, "one was added");
    }

    #[test]
    fn oom_kills_are_counted_as_they_happen() {
        for (version, files) in [
            (
                Version::V1,
                [
                    "cpuacct/p/cpuacct.usage",
                    "memory/p/memory.usage_in_bytes",
                    "memory/p/c1/memory.oom_control",
                ],
            ),
            (Version::V2, ["cgroup.controllers", "p/memory.current", "p/memory.events"]),
        ] {
            let tree = Tree::new();
            tree.write(files[0], "7");
            tree.write(files[1], "7");
            for path in ["cpu/p/c1/cpu.stat", "cpu/p/cpu.stat"] {
                tree.write(path, "");
            }
            for (path, text) in [
                ("p/cpu.stat", "usage_usec 1\n"),
                ("p/cpu.max", "max 100000\n"),
                ("p/memory.stat", "inactive_file 0\n"),
                ("p/memory.max", "max\n"),
                ("cpu/p/cpu.cfs_quota_us", "-1"),
                ("cpu/p/cpu.cfs_period_us", "100000"),
                ("memory/p/memory.stat", "total_inactive_file 0\n"),
                ("memory/p/memory.limit_in_bytes", "9223372036854771712"),
            ] {
                tree.write(path, text);
            }
            let hierarchy = Hierarchy::detect(tree.root()).unwrap();
            let mut pod = Pod::new(hierarchy.cgroup("p".as_ref()), Duration::ZERO);
            let mut seen = |at, kills: u64| {
                tree.write(files[2], &format!("oom_kill_disable 0\noom_kill {kills}\n"));
                pod.sample(&mut Files::default(), Duration::from_secs(at), true).unwrap().restarts
            };
            assert_eq!([seen(1, 3), seen(2, 3), seen(3, 5)], [0.0, 0.0, 2.0], "{version:?}");
        }
    }
}
