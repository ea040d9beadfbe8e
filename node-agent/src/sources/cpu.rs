//! CPU time, quota and throttling of a cgroup.

use std::time::Duration;

use super::{
    cgroup::{Cgroup, Version},
    files::{Files, ReadError, keyed, number, risen},
};

/// What the kernel counted since the cgroup was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// CPU time, in nanoseconds.
    pub(crate) used: u64,
    pub(crate) throttling: Throttling,
}

/// CFS periods in which the cgroup had work, and those of them in which its quota ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttling {
    pub(crate) periods: u64,
    pub(crate) throttled: u64,
}

/// What happened between two [`Counters`]; can be summed over cgroups.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work {
    /// Cores in use, on average.
    pub(crate) cores: f64,
    periods: f64,
    throttled: f64,
}

impl Counters {
    pub(crate) fn read(files: &mut Files, cgroup: &Cgroup) -> Result<Self, ReadError> {
        let stat = cgroup.cpu.join("cpu.stat");
        match cgroup.version {
            Version::V1 => Ok(Self {
                used: files.read(&cgroup.cpuacct.join("cpuacct.usage"), number)?,
                throttling: files.read(&stat, |text| Some(throttling(text)))?,
            }),
            Version::V2 => files.read(&stat, |text| {
                let used = keyed(text, "usage_usec")?.saturating_mul(1000);
                Some(Self { used, throttling: throttling(text) })
            }),
        }
    }

    pub(crate) fn since(&self, before: &Self, elapsed: Duration) -> Work {
        let nanoseconds = (elapsed.as_nanos() as f64).max(1.0);
        Work {
            cores: risen(before.used, self.used) / nanoseconds,
            periods: risen(before.throttling.periods, self.throttling.periods),
            throttled: risen(before.throttling.throttled, self.throttling.throttled),
        }
    }
}

impl Work {
    /// One look alone tells nothing.
    pub(crate) const UNKNOWN: Self = Self { cores: f64::NAN, periods: 0.0, throttled: 0.0 };

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cores: self.cores + other.cores,
            periods: self.periods + other.periods,
            throttled: self.throttled + other.throttled,
        }
    }

    /// Part of the periods that were throttled; zero when there was no work to throttle.
    pub(crate) fn throttled(&self) -> f64 {
        if self.periods > 0.0 { self.throttled / self.periods } else { 0.0 }
    }
}

/// The quota in cores; infinite where there is none.
pub(crate) fn quota(files: &mut Files, cgroup: &Cgroup) -> Result<f64, ReadError> {
    match cgroup.version {
        Version::V1 => {
            let period = files.read(&cgroup.cpu.join("cpu.cfs_period_us"), number)?;
            files.read(&cgroup.cpu.join("cpu.cfs_quota_us"), |text| quota_v1(text, period))
        }
        Version::V2 => files.read(&cgroup.cpu.join("cpu.max"), quota_v2),
    }
}

/// `cpu.stat` of either version; it lacks these lines where the CPU controller is off.
fn throttling(text: &str) -> Throttling {
    let count = |key| keyed(text, key).unwrap_or(0);
    Throttling { periods: count("nr_periods"), throttled: count("nr_throttled") }
}

/// `cpu.cfs_quota_us`: microseconds of every period, or -1.
fn quota_v1(text: &str, period: u64) -> Option<f64> {
    let quota: i64 = text.trim().parse().ok()?;
    Some(if quota >= 0 && period > 0 { quota as f64 / period as f64 } else { f64::INFINITY })
}

/// `cpu.max`: `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let period = number(period).filter(|&period| period > 0)?;
    if quota == "max" { Some(f64::INFINITY) } else { Some(number(quota)? as f64 / period as f64) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{cgroup::Hierarchy, files::fixture::Tree},
        *,
    };

    #[test]
    fn quotas_of_version_1() {
        let cases = [
            ("30000\n", 100_000, Some(0.3)),
            ("-1\n", 100_000, Some(f64::INFINITY)),
            ("250000", 100_000, Some(2.5)),
            ("1000", 0, Some(f64::INFINITY)),
            ("max", 100_000, None),
            ("", 100_000, None),
        ];
        for (text, period, expected) in cases {
            assert_eq!(quota_v1(text, period), expected, "{text}");
        }
    }

    #[test]
    fn quotas_of_version_2() {
        let cases = [
            ("30000 100000\n", Some(0.3)),
            ("max 100000\n", Some(f64::INFINITY)),
            ("30000", None),
            ("30000 0", None),
            ("x 100000", None),
        ];
        for (text, expected) in cases {
            assert_eq!(quota_v2(text), expected, "{text}");
        }
    }

    #[test]
    fn both_versions_tell_the_same_of_the_same_work() {
        let v1 = Tree::new();
        v1.write("cpu/n1/cpu.stat", "nr_periods 200\nnr_throttled 50\nthrottled_time 12\n");
        v1.write("cpuacct/n1/cpuacct.usage", "7000000000\n");
        v1.write("cpu/n1/cpu.cfs_quota_us", "30000\n");
        v1.write("cpu/n1/cpu.cfs_period_us", "100000\n");
        let v2 = Tree::new();
        v2.write("cgroup.controllers", "cpu\n");
        v2.write("n1/cpu.stat", "usage_usec 7000000\nuser_usec 1\nnr_periods 200\nnr_throttled 50\n");
        v2.write("n1/cpu.max", "30000 100000\n");
        let throttling = Throttling { periods: 200, throttled: 50 };
        for tree in [v1, v2] {
            let cgroup = Hierarchy::detect(tree.root()).unwrap().existing(Path::new("n1")).unwrap();
            let mut files = Files::default();
            let counters = Counters::read(&mut files, &cgroup).unwrap();
            assert_eq!(counters, Counters { used: 7_000_000_000, throttling });
            assert_eq!(quota(&mut files, &cgroup).unwrap(), 0.3);
        }
    }

    #[test]
    fn work_is_the_difference_and_adds_up() {
        let at = |used, periods, throttled| Counters { used, throttling: Throttling { periods, throttled } };
        let two_seconds = Duration::from_secs(2);
        let work = at(3_000_000_000, 30, 12).since(&at(2_000_000_000, 20, 10), two_seconds);
        assert_eq!((work.cores, work.throttled()), (0.5, 0.2));
        let both = work.plus(at(4_000_000_000, 10, 3).since(&at(1_000_000_000, 0, 0), two_seconds));
        assert_eq!((both.cores, both.throttled()), (2.0, 0.25));
        assert_eq!(at(0, 0, 0).since(&at(9, 9, 9), Duration::ZERO), Work::default(), "made anew");
        assert_eq!(Work::default().throttled(), 0.0);
    }
}
