//! Electrical power as the CPU measures it: RAPL, through the kernel's powercap.
//!
//! Packages and their memory (`dram`) are added up. The counters are for root only on most kernels; where they are
//! not readable there is no measured power, and the model of the command line counts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::files::{Files, number};

/// Nothing that is one node takes more; a counter that says so was reset.
const WATTS_MAX: f64 = 10_000.0;

/// Time between two looks: energy is a slow signal, and each zone a file.
const EVERY: Duration = Duration::from_secs(5);

/// The counters of the machine.
#[derive(Debug, Default)]
pub(crate) struct Power {
    zones: Vec<Zone>,
    looked: Option<Duration>,
    watts: Option<f64>,
}

/// One counter of microjoules, that begins anew after `range`.
#[derive(Debug)]
struct Zone {
    energy: PathBuf,
    range: u64,
    before: Option<u64>,
}

impl Power {
    /// What is readable below the `/sys` of the machine.
    pub(crate) fn of_machine(sys: &Path, files: &mut Files) -> Self {
        let powercap = sys.join("class/powercap");
        let folders = fs::read_dir(&powercap).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        folders.sort();
        let zones = folders.iter().filter_map(|folder| Zone::open(folder, files)).collect();
        Self { zones, ..Self::default() }
    }

    /// Mean watts between the last two looks; `None` where nothing is measured. `at` is monotonic.
    pub(crate) fn watts(&mut self, files: &mut Files, at: Duration) -> Option<f64> {
        if self.zones.is_empty() {
            return None;
        }
        let elapsed = self.looked.map(|looked| at.saturating_sub(looked));
        if elapsed.is_none_or(|elapsed| elapsed >= EVERY) {
            self.looked = Some(at);
            let risen: Vec<_> = self.zones.iter_mut().map(|zone| zone.risen(files)).collect();
            let microjoules: Option<f64> = risen.into_iter().sum();
            let watts = microjoules.zip(elapsed).map(|(energy, elapsed)| energy / elapsed.as_micros() as f64);
            self.watts = watts.filter(|watts| (0.0..=WATTS_MAX).contains(watts));
        }
        self.watts
    }
}

impl Zone {
    fn open(folder: &Path, files: &mut Files) -> Option<Self> {
        // `intel-rapl-mmio:0` counts the same packages once more.
        let zone = folder.file_name()?.to_str()?.strip_prefix("intel-rapl:")?;
        let name = files.read(&folder.join("name"), |text| Some(text.trim().to_owned())).ok()?;
        let counts = if zone.contains(':') { name == "dram" } else { name.starts_with("package") };
        let energy = folder.join("energy_uj");
        let range = files.read(&folder.join("max_energy_range_uj"), number).ok()?;
        (counts && files.read(&energy, number).is_ok()).then_some(Self { energy, range, before: None })
    }

    /// Microjoules since the call before; `None` the first time and where it is not readable.
    fn risen(&mut self, files: &mut Files) -> Option<f64> {
        let now = files.read(&self.energy, number).ok();
        let before = std::mem::replace(&mut self.before, now)?;
        let now = now?;
        let risen =
            if now >= before { now - before } else { self.range.saturating_sub(before).saturating_add(now) };
        Some(risen as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::files::fixture::Tree, *};

    fn zone(tree: &Tree, zone: &str, name: &str, energy: &str) {
        for (file, text) in [("name", name), ("max_energy_range_uj", "1000000000"), ("energy_uj", energy)] {
            tree.write(&format!("class/powercap/{zone}/{file}"), text);
        }
    }

    fn watts(tree: &Tree, energies: [&str; 2]) -> Option<f64> {
        let mut files = Files::default();
        zone(tree, "intel-rapl:0", "package-0\n", energies[0]);
        let mut power = Power::of_machine(tree.root(), &mut files);
        power.watts(&mut files, Duration::from_secs(1));
        zone(tree, "intel-rapl:0", "package-0\n", energies[1]);
        power.watts(&mut files, Duration::from_secs(11))
    }

    #[test]
    fn packages_and_their_memory_add_up_and_nothing_counts_twice() {
        let tree = Tree::new();
        zone(&tree, "intel-rapl:1", "package-1", "0");
        zone(&tree, "intel-rapl:0:0", "core", "0");
        zone(&tree, "intel-rapl:0:1", "dram", "0");
        zone(&tree, "intel-rapl-mmio:0", "package-0", "0");
        zone(&tree, "intel-rapl:2", "psys", "0");
        tree.write("class/powercap/intel-rapl/enabled", "1");
        let mut files = Files::default();
        zone(&tree, "intel-rapl:0", "package-0", "0");
        let mut power = Power::of_machine(tree.root(), &mut files);
        assert_eq!(power.zones.len(), 3);
        assert_eq!(power.watts(&mut files, Duration::from_secs(1)), None, "one look tells no power");
        for (name, kind) in
            [("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1"), ("intel-rapl:0:1", "dram")]
        {
            zone(&tree, name, kind, "100000000");
        }
        assert_eq!(power.watts(&mut files, Duration::from_secs(3)), None, "not looked again yet");
        assert_eq!(power.watts(&mut files, Duration::from_secs(11)), Some(30.0));
    }

    #[test]
    fn a_counter_that_began_anew_goes_on() {
        assert_eq!(watts(&Tree::new(), ["900000000", "100000000"]), Some(20.0));
    }

    #[test]
    fn what_is_not_readable_or_makes_no_sense_is_not_known() {
        assert_eq!(watts(&Tree::new(), ["5", ""]), None);
        assert_eq!(watts(&Tree::new(), ["", "5"]), None, "not even a zone");
        assert_eq!(watts(&Tree::new(), ["0", "18446744073709551615"]), None);
        assert!(Power::of_machine(Path::new("/nowhere"), &mut Files::default()).zones.is_empty());
    }
}
