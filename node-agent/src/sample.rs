//! What was read of the node at one instant, as rates: the only thing the persona knows about the kernel.

use std::time::Duration;

use foreshift_engine::persona::load::Usage;

/// One look at the node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Wall clock, in seconds since 1970.
    pub unix: f64,
    /// Monotonic time since the sample before: what the rates are means of.
    pub elapsed: Duration,
    /// Since the node was booted.
    pub uptime: Duration,
    /// CPU, in cores.
    pub cpu: Usage,
    /// Memory working set, in bytes.
    pub memory: Usage,
    /// Network, in bytes a second of the busier direction.
    pub network: Usage,
    /// Part of the time in which work waited for disks, 0 to 1; `None` where the kernel does not tell.
    pub disk: Option<f64>,
    /// Electrical power as the CPU measures it; `None` where it does not, and where the node is not the machine.
    pub watts: Option<f64>,
    /// What the observed Services use, in the order they are asked for.
    pub workloads: Vec<WorkloadSample>,
}

/// What the pods of one Service use on this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadSample {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Pods whose cgroups were found.
    pub pods: usize,
    /// CPU, in cores, NaN while a pod was looked at only once; the capacity is the sum of the pods' limits, zero
    /// where one has none.
    pub cpu: Usage,
    /// Memory working set, in bytes; the capacity as for CPU.
    pub memory: Usage,
    /// Restarted containers and OOM kills since the sample before.
    pub restarts: f64,
}
