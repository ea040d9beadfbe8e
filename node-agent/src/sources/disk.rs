//! How busy the machine's disks are, for kernels that do not tell how long work waits for them (no PSI).
//!
//! Only the machine's own `/proc/diskstats` tells it; cgroup version 1 counts bytes and operations, which say nothing
//! of how full a disk is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::files::{Files, number, risen};

/// Devices that are told apart; a machine with more has its first ones watched.
const DEVICES_MAX: usize = 256;

/// The disks of the machine.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    statistics: Option<PathBuf>,
    before: Option<(Duration, Ticks)>,
}

/// Milliseconds in which each device had something to do, since boot.
type Ticks = BTreeMap<String, u64>;

impl Disks {
    pub(crate) fn of_machine(proc_root: &Path) -> Self {
        Self { statistics: Some(proc_root.join("diskstats")), before: None }
    }

    /// Part of the time since the call before in which the busiest disk had something to do, 0 to 1. A partition is
    /// never busier than its disk, nor a loop device than what is below it. `at` is monotonic.
    pub(crate) fn busy(&mut self, files: &mut Files, at: Duration) -> Option<f64> {
        let now = files.read(self.statistics.as_ref()?, |text| Some(ticks(text))).ok()?;
        let (before_at, before) = self.before.replace((at, now))?;
        let (_, now) = self.before.as_ref()?;
        let milliseconds = at.saturating_sub(before_at).as_secs_f64() * 1000.0;
        let busiest = now.iter().filter_map(|(device, now)| Some(risen(*before.get(device)?, *now)));
        let busiest = busiest.reduce(f64::max)?;
        (milliseconds > 0.0).then(|| (busiest / milliseconds).min(1.0))
    }
}

/// Name (field 3) and time with I/O in flight (field 13) of every line.
fn ticks(text: &str) -> Ticks {
    let device = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.nth(2)?.to_owned();
        Some((name, number(fields.nth(9)?)?))
    };
    text.lines().filter_map(device).take(DEVICES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::files::fixture::Tree, *};

    const TEXT: &str = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
         259       0 nvme0n1 1201 0 90712 410 880 12 7040 900 3 700 1310 0 0 0 0 0 0\n \
         259       1 nvme0n1p1 1101 0 90002 400 880 12 7040 900 0 650 1300\n\
         garbage\n   8 0 sdb 1 2 3\n";

    #[test]
    fn the_time_with_something_to_do_is_read_and_what_is_no_device_is_left_out() {
        let expected = [("loop0", 0), ("nvme0n1", 700), ("nvme0n1p1", 650)];
        assert_eq!(ticks(TEXT), expected.map(|(name, ticks)| (name.to_owned(), ticks)).into());
    }

    #[test]
    fn the_busiest_disk_counts_and_a_device_that_is_new_or_began_anew_does_not() {
        let tree = Tree::new();
        let mut disks = Disks::of_machine(tree.root());
        let mut files = Files::default();
        let mut look = |seconds: u64, text: &str| {
            tree.write("diskstats", text);
            disks.busy(&mut files, Duration::from_secs(seconds))
        };
        assert_eq!(look(1, "8 0 sda 0 0 0 0 0 0 0 0 0 100 0\n8 1 sdb 0 0 0 0 0 0 0 0 0 100 0\n"), None);
        let second = "8 0 sda 0 0 0 0 0 0 0 0 0 300 0\n8 1 sdb 0 0 0 0 0 0 0 0 0 600 0\n8 2 sdc 0 0 0 0 0 0 0 0 0 9999 0\n";
        assert_eq!(look(2, second), Some(0.5));
        assert_eq!(look(3, "8 0 sda 0 0 0 0 0 0 0 0 0 7 0\n"), Some(0.0));
        assert_eq!(look(4, "8 0 sda 0 0 0 0 0 0 0 0 0 18446744073709551615 0\n"), Some(1.0));
        assert_eq!(look(4, ""), None);
    }
}
