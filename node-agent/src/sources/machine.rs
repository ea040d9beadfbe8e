//! The whole machine, through sysinfo: CPU use, cores, memory and uptime.
//!
//! These files are the same in every container of a machine; where they are not (LXC), the node has a cgroup
//! of its own. What differs by network namespace is read from the node's `/proc` instead.

use std::time::Duration;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// The machine under the node.
#[derive(Debug)]
pub(crate) struct Machine {
    system: System,
}

impl Machine {
    pub(crate) fn open() -> Result<Self, sysinfo::Error> {
        let kinds = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        Ok(Self { system: System::new_with_specifics(kinds)? })
    }

    /// Reads anew; CPU use is a mean since the call before.
    pub(crate) fn refresh(&mut self) {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    }

    pub(crate) fn cores(&self) -> f64 {
        self.system.cpus().len() as f64
    }

    pub(crate) fn busy_cores(&self) -> f64 {
        f64::from(self.system.global_cpu_usage()) / 100.0 * self.cores()
    }

    pub(crate) fn memory_bytes(&self) -> f64 {
        self.system.total_memory() as f64
    }

    /// What programs cannot get without swapping out others.
    pub(crate) fn used_memory_bytes(&self) -> f64 {
        self.system.total_memory().saturating_sub(self.system.available_memory()) as f64
    }

    pub(crate) fn uptime() -> Duration {
        Duration::from_secs(System::uptime().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_memory_and_was_booted() {
        let mut machine = Machine::open().unwrap();
        machine.refresh();
        assert!(machine.cores() >= 1.0);
        assert!((0.0..=machine.cores()).contains(&machine.busy_cores()));
        assert!(machine.memory_bytes() > machine.used_memory_bytes());
        assert!(machine.used_memory_bytes() > 0.0);
        assert!(!Machine::uptime().is_zero());
    }
}
