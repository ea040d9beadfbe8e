//! Every layout of cgroups that a node can have, from looks at their files: see `fixtures/README.md`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::{fs, path::Path, time::Duration};

use foreshift_api::resource_persona::WorkloadSpec;
use foreshift_engine::persona::load::Usage;
use foreshift_node_agent::{
    sample::Sample,
    sources::{Roots, Sources},
};

const POD: &str = "6f0c2f0e-5d0b-4c1e-9a53-0b9a4f5f7c11";

/// One layout, and what it must be read as.
struct Layout {
    name: &'static str,
    node_cgroup: Option<&'static str>,
    source: &'static str,
    /// Parts of the two seconds in which the node's work waited for CPU, memory and disks.
    waited: Option<[f64; 3]>,
    pod_waited: Option<f64>,
    oom_kills: f64,
}

const LAYOUTS: [Layout; 4] = [
    Layout {
        name: "v1",
        node_cgroup: Some("lab/n1"),
        source: "cgroup v1 lab/n1",
        waited: None,
        pod_waited: None,
        oom_kills: 0.0,
    },
    Layout {
        name: "hybrid",
        node_cgroup: Some("lab/n1"),
        source: "cgroup v1 lab/n1",
        waited: Some([0.717_014, 0.0, 0.0]),
        pod_waited: Some(0.611_290_5),
        oom_kills: 0.0,
    },
    Layout {
        name: "v2",
        node_cgroup: Some("lab/n1"),
        source: "cgroup v2 lab/n1",
        waited: Some([0.717_014, 0.0, 0.25]),
        pod_waited: Some(0.611_290_5),
        oom_kills: 1.0,
    },
    Layout {
        name: "nested",
        node_cgroup: None,
        source: "cgroup v2 / (nested)",
        waited: Some([0.717_014, 0.0, 0.25]),
        pod_waited: Some(0.611_290_5),
        oom_kills: 1.0,
    },
];

#[test]
fn every_layout_tells_what_its_files_say() {
    for layout in LAYOUTS {
        let name = layout.name;
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), name, "before");
        let mut sources = open(folder.path(), layout.node_cgroup);
        assert_eq!(sources.description(), layout.source, "{name}");
        assert_eq!(look(&mut sources, 1), None, "{name}: no rate without two looks");
        write(folder.path(), name, "after");
        let sample = look(&mut sources, 3).unwrap();

        let cpu = Usage { capacity: 0.5, used: 0.324_259, pressure: None, throttled: Some(0.0) };
        near(name, sample.cpu, Usage { pressure: layout.waited.map(|waited| waited[0]), ..cpu });
        let memory = usage(536_870_912.0, 39_759_872.0 - idle(name), layout.waited.map(|waited| waited[1]));
        near(name, sample.memory, memory);
        assert_eq!(sample.disk, layout.waited.map(|waited| waited[2]), "{name}");

        let pod = &sample.workloads[0];
        let cpu = Usage { capacity: 0.2, used: 0.200_742, pressure: layout.pod_waited, throttled: Some(1.0) };
        near(name, pod.cpu, cpu);
        near(name, pod.memory, usage(67_108_864.0, 794_624.0 - idle(name), None));
        assert_eq!((pod.pods, pod.restarts), (1, 0.0), "{name}");
        // Restarts and OOM kills are looked at every ten seconds.
        assert_eq!(look(&mut sources, 12).unwrap().workloads[0].restarts, layout.oom_kills, "{name}");
    }
}

#[test]
fn files_that_vanish_are_told_by_their_name_and_a_pod_that_does_is_no_error() {
    for layout in LAYOUTS {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), layout.name, "before");
        let mut sources = open(folder.path(), layout.node_cgroup);
        look(&mut sources, 1);
        remove_pod(folder.path());
        assert_eq!(look(&mut sources, 2).unwrap().workloads[0].pods, 0, "{}", layout.name);
        fs::remove_dir_all(folder.path()).unwrap();
        let error = sources.sample(Duration::from_secs(3), 0.0).unwrap_err().to_string();
        assert!(error.contains("cpu"), "{}: {error}", layout.name);
    }
}

fn open(root: &Path, node_cgroup: Option<&str>) -> Sources {
    let mut sources = Sources::open(&Roots {
        proc: root.join("proc"),
        cgroup: root.to_owned(),
        sys: None,
        node_cgroup: node_cgroup.map(Into::into),
        network_capacity: None,
        memory_capacity: None,
    })
    .unwrap();
    let workload =
        WorkloadSpec { service: "journal-a".into(), pods: vec![POD.into()], ..WorkloadSpec::default() };
    sources.observe(&[workload]);
    sources
}

fn look(sources: &mut Sources, second: u64) -> Option<Sample> {
    sources.sample(Duration::from_secs(second), second as f64).unwrap()
}

/// Writes the files of one look below `root`.
fn write(root: &Path, layout: &str, which: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let recorded = fs::read_to_string(fixtures.join(format!("{layout}-{which}.txt"))).unwrap();
    let files = recorded.strip_prefix("==> ").unwrap().split("\n==> ");
    for (path, text) in files.map(|part| part.split_once(" <==").unwrap()) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.trim_start_matches('\n')).unwrap();
    }
}

/// Removes the pod's folders, whatever they are called.
fn remove_pod(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().to_string_lossy().replace('_', "-");
        if name.contains(POD) { fs::remove_dir_all(entry.path()).unwrap() } else { remove_pod(&entry.path()) }
    }
}

/// Page cache that nobody touched lately: only the files of version 2 were given some.
fn idle(layout: &str) -> f64 {
    if matches!(layout, "v2" | "nested") { 8192.0 } else { 0.0 }
}

fn usage(capacity: f64, used: f64, pressure: Option<f64>) -> Usage {
    Usage { capacity, used, pressure, throttled: None }
}

fn near(layout: &str, value: Usage, expected: Usage) {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    let both = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => close(a, b),
        (a, b) => a == b,
    };
    assert!(
        close(value.capacity, expected.capacity)
            && close(value.used, expected.used)
            && both(value.pressure, expected.pressure)
            && both(value.throttled, expected.throttled),
        "{layout}: {value:?} is not {expected:?}"
    );
}
