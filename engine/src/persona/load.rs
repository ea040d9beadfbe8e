//! Load: offered demand on the limiting dimension over its capacity.

use super::{ratio, within};

/// Below this utilisation the load is the utilisation: a burst inside one CFS period throttles a cgroup that
/// has plenty left, and the planner suffers more from noise than from a late hint.
pub const QUEUEING_FROM: f64 = 0.85;

/// Load of a CPU that is full while some task always waits.
pub const QUEUEING_MAX: f64 = 2.0;

/// No load is reported above this.
pub const LOAD_MAX: f64 = 4.0;

/// A dimension that a node can run out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dimension {
    /// CPU time.
    #[default]
    Cpu,
    /// Memory working set.
    Memory,
    /// Network bytes.
    Network,
}

/// Use of one dimension, in any unit that both figures share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// What there is; zero, negative or NaN where it is not known.
    pub capacity: f64,
    /// What is used.
    pub used: f64,
    /// Part of the time in which some task waited for it (PSI `some`), 0 to 1.
    pub pressure: Option<f64>,
    /// Part of the CFS periods in which the quota ran out, 0 to 1.
    pub throttled: Option<f64>,
}

/// The dimension that saturates first, and how full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    /// Which one.
    pub dimension: Dimension,
    /// Its load, 0 to [`LOAD_MAX`].
    pub load: f64,
}

impl Limit {
    /// The same, or `dimension` at `load` where that is fuller.
    #[must_use]
    pub fn or(self, dimension: Dimension, load: f64) -> Self {
        if load > self.load { Self { dimension, load: load.min(LOAD_MAX) } } else { self }
    }
}

impl Usage {
    /// Used over capacity, 0 to [`LOAD_MAX`]; zero where the capacity is not known.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        if self.capacity > 0.0 { within(self.used / self.capacity, 0.0, LOAD_MAX, 0.0) } else { 0.0 }
    }

    /// Evidence that work waits, 0 to 1: throttled periods times pressure, or the one of them that is known.
    #[must_use]
    pub fn queueing(&self) -> f64 {
        match (self.pressure, self.throttled) {
            (Some(pressure), Some(throttled)) => ratio(pressure) * ratio(throttled),
            (Some(only), None) | (None, Some(only)) => ratio(only),
            (None, None) => 0.0,
        }
    }
}

/// Load of the CPU: its utilisation, raised towards [`QUEUEING_MAX`] by [`Usage::queueing`] as it fills up.
///
/// Utilisation cannot pass 1 however much is offered; the raise tells a full CPU with a queue from one without.
/// It sets in smoothly between [`QUEUEING_FROM`] and 1 and never lowers the utilisation.
#[must_use]
pub fn cpu(usage: &Usage) -> f64 {
    let utilisation = usage.utilisation();
    let fill = ratio((utilisation - QUEUEING_FROM) / (1.0 - QUEUEING_FROM));
    let smooth = fill * fill * (3.0 - 2.0 * fill);
    utilisation + smooth * usage.queueing() * (QUEUEING_MAX - utilisation).max(0.0)
}

/// The highest of the three loads; the CPU wins a tie.
#[must_use]
pub fn limiting(cpu_usage: &Usage, memory: &Usage, network: &Usage) -> Limit {
    let cpu = Limit { dimension: Dimension::Cpu, load: cpu(cpu_usage) };
    cpu.or(Dimension::Memory, memory.utilisation()).or(Dimension::Network, network.utilisation())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(used: f64, pressure: f64, throttled: f64) -> Usage {
        Usage { capacity: 1.0, used, pressure: Some(pressure), throttled: Some(throttled) }
    }

    #[test]
    fn a_burst_on_a_half_empty_cpu_is_not_load() {
        for used in [0.0, 0.3, 0.6, 0.84] {
            assert_eq!(cpu(&full(used, 1.0, 1.0)), used);
        }
    }

    #[test]
    fn a_full_cpu_with_a_queue_reports_more_than_one() {
        let cases = [(1.0, 0.0, 1.0), (1.0, 0.5, 1.5), (1.0, 1.0, 2.0), (0.925, 1.0, 1.4625)];
        for (used, pressure, expected) in cases {
            let load = cpu(&full(used, pressure, 1.0));
            assert!((load - expected).abs() < 1e-9, "{used} {pressure}: {load}");
        }
    }

    #[test]
    fn one_kind_of_evidence_is_enough_where_the_other_is_not_known() {
        let host = Usage { capacity: 4.0, used: 4.0, pressure: Some(0.4), throttled: None };
        assert!((cpu(&host) - 1.4).abs() < 1e-9);
        let quota = Usage { pressure: None, throttled: Some(0.4), ..host };
        assert!((cpu(&quota) - 1.4).abs() < 1e-9);
    }

    #[test]
    fn the_fullest_dimension_limits() {
        let [cpu, memory] = [full(0.4, 0.0, 0.0), Usage { capacity: 8.0, used: 5.6, ..Usage::default() }];
        let limit = limiting(&cpu, &memory, &Usage::default());
        assert_eq!((limit.dimension, limit.load), (Dimension::Memory, 0.7));
    }

    #[test]
    fn a_dimension_without_a_known_capacity_never_limits() {
        for capacity in [0.0, -1.0, f64::NAN] {
            let network = Usage { capacity, used: 1e12, ..Usage::default() };
            assert_eq!(limiting(&full(0.1, 0.0, 0.0), &Usage::default(), &network).load, 0.1);
        }
    }

    proptest! {
        #[test]
        fn load_is_a_number_in_range_whatever_was_read(
            capacity: f64, used: f64, pressure: Option<f64>, throttled: Option<f64>,
        ) {
            let usage = Usage { capacity, used, pressure, throttled };
            let limit = limiting(&usage, &usage, &usage);
            prop_assert!((0.0..=LOAD_MAX).contains(&limit.load));
        }

        #[test]
        fn more_use_or_more_queueing_never_means_less_load(
            used in 0.0..2.0_f64, more in 0.0..0.5_f64, pressure in 0.0..1.0_f64, throttled in 0.0..1.0_f64,
        ) {
            let base = cpu(&full(used, pressure, throttled));
            prop_assert!(cpu(&full(used + more, pressure, throttled)) >= base - 1e-9);
            prop_assert!(cpu(&full(used, pressure + more, throttled)) >= base - 1e-9);
            prop_assert!(cpu(&full(used, pressure, throttled + more)) >= base - 1e-9);
        }

        #[test]
        fn a_little_more_use_never_makes_a_jump(used in 0.0..1.2_f64, queueing in 0.0..1.0_f64) {
            let [here, there] = [used, used + 0.001].map(|used| cpu(&full(used, queueing, 1.0)));
            prop_assert!((there - here).abs() < 0.02);
        }
    }
}
