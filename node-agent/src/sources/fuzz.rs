//! The kernel's files hold anything, are empty or gone: the persona stays one, and says why it is not measured.

use std::{collections::HashMap, path::PathBuf};

use foreshift_api::{Span, resource_persona::WorkloadSpec};
use proptest::prelude::*;

use super::{Roots, Sources, files::fixture::Tree};
use crate::{
    fuzz::{disfigured, fuzz, is_sound},
    persona::{Costing, Identity, Persona, Surroundings},
};
use std::time::Duration;

const UID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";
const STALLS: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=200000\nfull avg10=0.00 total=7\n";
const V1_STAT: &str = "nr_periods 10\nnr_throttled 5\nthrottled_time 74703122\n";
const V2_STAT: &str = "usage_usec 387037\nuser_usec 1\nnr_periods 10\nnr_throttled 5\nthrottled_usec 7\n";
const EVENTS: &str = "low 0\nmax 41\noom 1\noom_kill 1\n";
const DEVICES: &str = "Inter-| Receive\n face |bytes\n eth0: 1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n";
const ROUTES: &str = "Iface\tDestination\neth0\t00000000\t0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
const DISKS: &str = "   8       0 sda 1201 0 90712 410 880 12 7040 900 3 700 1310 0 0 0 0 0 0\n";

/// A file, and what the kernel writes into it.
type Sound = (&'static str, &'static str);

const OF_MACHINE: [Sound; 7] = [
    ("proc/1/net/dev", DEVICES),
    ("proc/1/net/route", ROUTES),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("proc/diskstats", DISKS),
    ("proc/pressure/cpu", STALLS),
    ("proc/pressure/memory", STALLS),
    ("proc/pressure/io", STALLS),
];

const V1: [Sound; 11] = [
    ("cgroup/cpu/n1/cpu.cfs_quota_us", "50000\n"),
    ("cgroup/cpu/n1/cpu.cfs_period_us", "100000\n"),
    ("cgroup/cpu/n1/cpu.stat", V1_STAT),
    ("cgroup/cpu/n1/cpuacct.usage", "387037030\n"),
    ("cgroup/memory/n1/memory.usage_in_bytes", "40009728\n"),
    ("cgroup/memory/n1/memory.limit_in_bytes", "536870912\n"),
    ("cgroup/memory/n1/memory.stat", "inactive_file 3\ntotal_inactive_file 4096\n"),
    ("cgroup/unified/n1/cpu.pressure", STALLS),
    ("cgroup/unified/n1/io.pressure", STALLS),
    ("cgroup/cpu/n1/kubepods/podUID/cpu.stat", V1_STAT),
    ("cgroup/cpu/n1/kubepods/podUID/cpuacct.usage", "7\n"),
];

const V2: [Sound; 10] = [
    ("cgroup/n1/cpu.max", "50000 100000\n"),
    ("cgroup/n1/cpu.stat", V2_STAT),
    ("cgroup/n1/memory.current", "40009728\n"),
    ("cgroup/n1/memory.max", "536870912\n"),
    ("cgroup/n1/memory.stat", "anon 5\ninactive_file 4096\n"),
    ("cgroup/n1/cpu.pressure", STALLS),
    ("cgroup/n1/memory.pressure", STALLS),
    ("cgroup/n1/kubepods/podUID/cpu.stat", V2_STAT),
    ("cgroup/n1/kubepods/podUID/memory.current", "4096\n"),
    ("cgroup/n1/kubepods/podUID/memory.events", EVENTS),
];

#[derive(Clone, Copy, Debug)]
enum Layout {
    Machine,
    V1,
    V2,
}

/// What two files of the kernel in three are: as it writes them.
fn file(sound: &'static str) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        4 => Just(Some(sound.as_bytes().to_vec())),
        3 => disfigured(sound).prop_map(Some),
        1 => Just(None),
    ]
}

type Look = Vec<(&'static str, Option<Vec<u8>>)>;

fn look(layout: Layout) -> impl Strategy<Value = Look> {
    let own: &[Sound] = match layout {
        Layout::Machine => &[],
        Layout::V1 => &V1,
        Layout::V2 => &V2,
    };
    let files = OF_MACHINE.iter().chain(own).map(|(path, sound)| (Just(*path), file(sound)));
    files.collect::<Vec<_>>()
}

/// Folders that are there, as an empty node's.
fn tree(layout: Layout) -> Tree {
    let tree = Tree::new();
    let marks: &[&str] = match layout {
        Layout::Machine | Layout::V1 => &["cgroup/cpu/n1/x", "cgroup/cpu/n1/kubepods/podUID/x"],
        Layout::V2 => &["cgroup/cgroup.controllers", "cgroup/n1/x", "cgroup/n1/kubepods/podUID/x"],
    };
    for mark in marks {
        tree.write(&mark.replace("UID", UID), "");
    }
    tree
}

fn kernel(layout: Layout) {
    let tree = tree(layout);
    let roots = Roots {
        proc: tree.root().join("proc"),
        cgroup: tree.root().join("cgroup"),
        sys: Some(tree.root().join("sys")),
        node_cgroup: (!matches!(layout, Layout::Machine)).then(|| "n1".into()),
        network_capacity: None,
        memory_capacity: None,
    };
    let workload = WorkloadSpec { pods: vec![UID.into()], ..WorkloadSpec::default() };
    let surroundings = Surroundings { workloads: vec![workload], ..Surroundings::default() };
    fuzz(&prop::collection::vec(look(layout), 1..5), |looks| {
        let mut sources = Sources::open(&roots).expect("the folders are there");
        sources.observe(&surroundings.workloads);
        let half_life = Span::from_secs(3600);
        let mut persona = Persona::new(Identity::default(), Costing::default(), half_life, None, 0.0);
        for (second, look) in (1..).zip(looks) {
            let held = look.into_iter().filter_map(|(path, text)| {
                let path: PathBuf = tree.root().join(path.replace("UID", UID));
                Some((path, text?))
            });
            sources.files.in_memory = Some(held.collect::<HashMap<_, _>>());
            let sampled = sources.sample(Duration::from_secs(second), second as f64);
            let reason = sampled.as_ref().err().map(ToString::to_string);
            match sampled {
                Ok(Some(sample)) => persona.observe(sample, &surroundings),
                Ok(None) => {}
                Err(error) => persona.failed(error.to_string()),
            }
            let conditions = is_sound(&mut persona, &surroundings)?;
            if let (Some(reason), Some(ready)) = (reason, conditions.iter().find(|it| it.type_ == "Ready")) {
                prop_assert_eq!((ready.reason.as_str(), &ready.message), ("NotSampled", &reason));
            }
        }
        Ok(())
    });
}

#[test]
fn files_of_the_machine() {
    kernel(Layout::Machine);
}

#[test]
fn files_of_version_1() {
    kernel(Layout::V1);
}

#[test]
fn files_of_version_2() {
    kernel(Layout::V2);
}
