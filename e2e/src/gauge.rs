//! Load of the resources' nodes, a value a second: from the node's cgroup where this machine is the node's host,
//! otherwise from the persona.

use std::{collections::BTreeMap, time::Instant};

use foreshift_api::ResourcePersona;
use kube::ResourceExt as _;

use crate::{
    cgroup::{Cgroup, CpuReading},
    error::Result,
};

/// The load of one node.
#[derive(Debug)]
pub struct Gauge {
    node: String,
    cgroup: Option<(Cgroup, Instant, CpuReading)>,
    last: NodeLoad,
}

/// Load over the time since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeLoad {
    /// CPU used over CPU quota. From a cgroup it cannot pass 1; a persona's load can.
    pub load: f64,
    /// Part of the periods that were throttled.
    pub throttled: f64,
}

impl Gauge {
    /// A gauge of `node`, on its cgroup if one is given.
    pub fn new(node: &str, cgroup: Option<Cgroup>) -> Result<Self> {
        let cgroup = match cgroup {
            Some(cgroup) => {
                let reading = cgroup.read()?;
                Some((cgroup, Instant::now(), reading))
            }
            None => None,
        };
        Ok(Self { node: node.to_owned(), cgroup, last: NodeLoad::default() })
    }

    /// Whose load it shows.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The quota of the node in cores, where it is known.
    #[must_use]
    pub fn quota(&self) -> Option<f64> {
        self.cgroup.as_ref().map(|(_, _, reading)| cores(reading))
    }

    /// The load since the last call. A cgroup that is gone, as after a power cut, shows no load.
    pub fn read(&mut self, personas: &BTreeMap<String, ResourcePersona>) -> NodeLoad {
        self.last = match &mut self.cgroup {
            Some((cgroup, at, earlier)) => {
                let (now, reading) = (Instant::now(), cgroup.read().unwrap_or_default());
                let load = NodeLoad {
                    load: reading.cores_since(earlier, now - *at) / cores(earlier),
                    throttled: reading.throttled_since(earlier),
                };
                (*at, *earlier) = (now, reading);
                load
            }
            None => {
                persona_load(personas, &self.node).map_or(self.last, |load| NodeLoad { load, throttled: 0.0 })
            }
        };
        self.last
    }
}

/// Personas by node.
#[must_use]
pub fn by_node(personas: Vec<ResourcePersona>) -> BTreeMap<String, ResourcePersona> {
    personas.into_iter().map(|persona| (persona.name_any(), persona)).collect()
}

/// The load that a node's agent published last.
#[must_use]
pub fn persona_load(personas: &BTreeMap<String, ResourcePersona>, node: &str) -> Option<f64> {
    Some(personas.get(node)?.status.as_ref()?.capacity.as_ref()?.load.get())
}

/// Without a quota a node has all of the machine.
fn cores(reading: &CpuReading) -> f64 {
    reading.quota.unwrap_or_else(|| std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64))
}
