//! Pressure stall information: how long at least one task waited (`some`), for CPU, for memory and for disks.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    cgroup::Cgroup,
    files::{Files, number, risen},
};

/// Where to read it. Kernels without PSI have no such files; then there is no pressure to tell of.
#[derive(Clone, Debug)]
pub(crate) struct Pressure {
    cpu: PathBuf,
    memory: PathBuf,
    disk: PathBuf,
}

/// Microseconds of waiting since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stalls {
    pub(crate) cpu: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) disk: Option<u64>,
}

impl Pressure {
    /// Of the whole machine.
    pub(crate) fn of_machine(proc_root: &Path) -> Self {
        let folder = proc_root.join("pressure");
        Self { cpu: folder.join("cpu"), memory: folder.join("memory"), disk: folder.join("io") }
    }

    /// Of one cgroup.
    pub(crate) fn of_cgroup(cgroup: &Cgroup) -> Self {
        let file = |name: &str| cgroup.pressure.join(name);
        Self { cpu: file("cpu.pressure"), memory: file("memory.pressure"), disk: file("io.pressure") }
    }

    pub(crate) fn read(&self, files: &mut Files) -> Stalls {
        Stalls {
            cpu: files.read(&self.cpu, some_total).ok(),
            memory: files.read(&self.memory, some_total).ok(),
            disk: files.read(&self.disk, some_total).ok(),
        }
    }
}

/// Part of `elapsed` that was waited, 0 to 1; `None` unless both ends are known.
pub(crate) fn waited(before: Option<u64>, now: Option<u64>, elapsed: Duration) -> Option<f64> {
    let microseconds = elapsed.as_micros() as f64;
    let waited = risen(before?, now?);
    (microseconds > 0.0).then(|| (waited / microseconds).min(1.0))
}

/// The `total` of the `some` line.
fn some_total(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|field| number(field.strip_prefix("total=")?))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{cgroup::Hierarchy, files::fixture::Tree},
        *,
    };

    const TEXT: &str = "some avg10=90.15 avg60=89.29 avg300=49.28 total=2000000\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";

    #[test]
    fn the_total_of_some_is_read() {
        for (text, expected) in
            [(TEXT, Some(2_000_000)), ("full total=7\n", None), ("some total=x\n", None), ("", None)]
        {
            assert_eq!(some_total(text), expected, "{text}");
        }
    }

    #[test]
    fn a_hybrid_machine_has_the_pressure_of_a_cgroup_in_the_unified_tree() {
        let tree = Tree::new();
        tree.write("cpu/kc/n1/cpu.stat", "");
        tree.write("unified/kc/n1/cpu.pressure", TEXT);
        tree.write("unified/kc/n1/io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
        let cgroup = Hierarchy::detect(tree.root()).unwrap().cgroup("kc/n1".as_ref());
        let stalls = Pressure::of_cgroup(&cgroup).read(&mut Files::default());
        assert_eq!(stalls, Stalls { cpu: Some(2_000_000), memory: None, disk: Some(9) });
    }

    #[test]
    fn pressure_is_a_part_of_the_time_and_unknown_without_two_figures() {
        let second = Duration::from_secs(1);
        let cases = [
            (Some(1_000_000), Some(1_250_000), Some(0.25)),
            (Some(0), Some(9_000_000), Some(1.0)),
            (None, Some(1), None),
            (Some(1), None, None),
        ];
        for (before, now, expected) in cases {
            assert_eq!(waited(before, now, second), expected);
        }
        assert_eq!(waited(Some(1), Some(2), Duration::ZERO), None);
    }
}
