//! What a node really used: CPU time, quota and throttling of its cgroup, read from the kernel and not from Foreshift.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::{Error, Result};

/// The files of one cgroup, in either of the kernel's two layouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroup {
    /// A folder per controller.
    V1 {
        /// Of the controller `cpu`: quota and throttling.
        cpu: PathBuf,
        /// Of the controller `cpuacct`: use.
        cpuacct: PathBuf,
    },
    /// One folder.
    V2(PathBuf),
}

/// Counters since the cgroup was made, and the quota now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuReading {
    /// CPU time used.
    pub used: Duration,
    /// CPU quota in cores; `None` when there is no limit.
    pub quota: Option<f64>,
    /// Periods over which the quota was counted.
    pub periods: u64,
    /// Those of them in which the quota was used up.
    pub throttled: u64,
}

impl Cgroup {
    /// The cgroup `name` (relative to the root of the hierarchy) by the mounts of this machine.
    pub fn find(name: &str) -> Result<Self> {
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|source| Error::File { path: path.into(), source })
        };
        let mounts = read("/proc/self/mounts")?;
        Self::among(&mounts, name)
            .filter(Self::exists)
            .ok_or_else(|| Error::Unfit(format!("there is no cgroup {name} on this machine")))
    }

    /// Reads the counters.
    pub fn read(&self) -> Result<CpuReading> {
        match self {
            Self::V1 { cpu, cpuacct } => Ok(CpuReading {
                used: Duration::from_nanos(number(&text(&cpuacct.join("cpuacct.usage"))?)),
                quota: quota(&text(&cpu.join("cpu.cfs_quota_us"))?, &text(&cpu.join("cpu.cfs_period_us"))?),
                ..throttling(&text(&cpu.join("cpu.stat"))?)
            }),
            Self::V2(folder) => {
                let (stat, max) = (text(&folder.join("cpu.stat"))?, text(&folder.join("cpu.max"))?);
                let (limit, period) = max.split_once(' ').unwrap_or(("max", ""));
                Ok(CpuReading {
                    used: Duration::from_micros(counter(&stat, "usage_usec")),
                    quota: quota(limit, period),
                    ..throttling(&stat)
                })
            }
        }
    }

    fn among(mounts: &str, name: &str) -> Option<Self> {
        let folder = |kind: &str, controller: &str| {
            mounts.lines().find_map(|line| {
                let fields: Vec<_> = line.split(' ').collect();
                let fits = fields.get(2) == Some(&kind)
                    && (controller.is_empty()
                        || fields.get(3)?.split(',').any(|option| option == controller));
                fits.then(|| Path::new(fields[1]).join(name.trim_start_matches('/')))
            })
        };
        match (folder("cgroup", "cpu"), folder("cgroup", "cpuacct")) {
            (Some(cpu), Some(cpuacct)) => Some(Self::V1 { cpu, cpuacct }),
            _ => folder("cgroup2", "").map(Self::V2),
        }
    }

    fn exists(&self) -> bool {
        match self {
            Self::V1 { cpu: folder, .. } | Self::V2(folder) => folder.is_dir(),
        }
    }
}

impl CpuReading {
    /// CPU used since `earlier`, in cores, over `elapsed`.
    #[must_use]
    pub fn cores_since(&self, earlier: &Self, elapsed: Duration) -> f64 {
        self.used.saturating_sub(earlier.used).as_secs_f64() / elapsed.as_secs_f64()
    }

    /// Part of the periods since `earlier` that were throttled.
    #[must_use]
    pub fn throttled_since(&self, earlier: &Self) -> f64 {
        let periods = self.periods.saturating_sub(earlier.periods);
        if periods == 0 { 0.0 } else { (self.throttled - earlier.throttled) as f64 / periods as f64 }
    }
}

/// `(stolen, all)` time of the machine's CPUs in ticks: what the host took away from this machine.
#[must_use]
pub fn stolen_time() -> (u64, u64) {
    stolen(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn stolen(stat: &str) -> (u64, u64) {
    // user nice system idle iowait irq softirq steal; guest time is part of user.
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).map(number).collect();
    (ticks.get(7).copied().unwrap_or(0), ticks.iter().sum())
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

fn counter(stat: &str, name: &str) -> u64 {
    stat.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .map_or(0, |(_, v)| number(v))
}

fn throttling(stat: &str) -> CpuReading {
    CpuReading {
        periods: counter(stat, "nr_periods"),
        throttled: counter(stat, "nr_throttled"),
        ..CpuReading::default()
    }
}

/// Both in microseconds; `-1` and `max` are no limit.
fn quota(limit: &str, period: &str) -> Option<f64> {
    let limit: u64 = limit.trim().parse().ok()?;
    Some(limit as f64 / number(period).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_read_from_the_mounts() {
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let v1 = Cgroup::V1 {
            cpu: "/sys/fs/cgroup/cpu/f/n1".into(),
            cpuacct: "/sys/fs/cgroup/cpuacct/f/n1".into(),
        };
        assert_eq!(Cgroup::among(hybrid, "/f/n1"), Some(v1));
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        assert_eq!(Cgroup::among(unified, "f/n1"), Some(Cgroup::V2("/sys/fs/cgroup/f/n1".into())));
        assert_eq!(Cgroup::among("", "f"), None);
    }

    #[test]
    fn a_quota_is_in_cores_and_may_be_missing() {
        assert_eq!(quota("20000\n", "100000\n"), Some(0.2));
        assert_eq!(quota("-1\n", "100000\n"), None);
        assert_eq!(quota("max", "100000"), None);
    }

    #[test]
    fn use_and_throttling_are_differences() {
        let reading = |used, periods, throttled| CpuReading {
            used: Duration::from_millis(used),
            quota: Some(0.2),
            periods,
            throttled,
        };
        let (earlier, later) = (reading(1000, 10, 2), reading(1100, 20, 7));
        assert!((later.cores_since(&earlier, Duration::from_secs(1)) - 0.1).abs() < 1e-9);
        assert!((later.throttled_since(&earlier) - 0.5).abs() < 1e-9);
        assert_eq!(throttling("nr_periods 20\nnr_throttled 7\nthrottled_time 1\n").throttled, 7);
    }

    #[test]
    fn stolen_time_is_the_eighth_column() {
        assert_eq!(stolen("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n"), (8, 36));
        assert_eq!(stolen(""), (0, 0));
    }
}
