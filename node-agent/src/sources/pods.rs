//! The pods of the observed Services: found by UID among the node's cgroups, read every second.
//!
//! Cgroups are looked for only when the pods asked for change or one of them is missing. Limits, restarted
//! containers and OOM kills change seldom and are read every [`SLOWLY`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::Duration,
};

use foreshift_api::resource_persona::WorkloadSpec;

use super::{
    cgroup::Hierarchy,
    files::Files,
    pod::{Pod, PodUse},
    search,
};
use crate::sample::WorkloadSample;

/// Time between two looks at what changes seldom, and between two searches for pods that are missing.
const SLOWLY: Duration = Duration::from_secs(10);

/// What is observed on this node.
#[derive(Debug)]
pub(crate) struct Pods {
    hierarchy: Hierarchy,
    node: PathBuf,
    asked: Vec<WorkloadSpec>,
    found: HashMap<String, Pod>,
    search_at: Duration,
    slow_at: Duration,
}

impl Pods {
    /// Nothing is observed yet; pods are below the cgroup `node`.
    pub(crate) fn new(hierarchy: Hierarchy, node: PathBuf) -> Self {
        Self {
            hierarchy,
            node,
            asked: Vec::new(),
            found: HashMap::new(),
            search_at: Duration::MAX,
            slow_at: Duration::ZERO,
        }
    }

    /// Observes these Services from now on; what is known of pods that stay is kept.
    pub(crate) fn observe(&mut self, workloads: &[WorkloadSpec]) {
        if self.asked == workloads {
            return;
        }
        self.asked = workloads.to_vec();
        let uids: BTreeSet<&String> = workloads.iter().flat_map(|workload| &workload.pods).collect();
        self.found.retain(|uid, _| uids.contains(uid));
        self.search_at = Duration::ZERO;
    }

    /// What every Service used since the call before; `now` is monotonic.
    pub(crate) fn sample(&mut self, files: &mut Files, now: Duration) -> Vec<WorkloadSample> {
        if now >= self.search_at {
            self.search(now);
        }
        let slowly = now >= self.slow_at;
        if slowly {
            self.slow_at = now + SLOWLY;
        }
        let mut uses: BTreeMap<String, PodUse> = BTreeMap::new();
        let mut gone = Vec::new();
        for (uid, pod) in &mut self.found {
            match pod.sample(files, now, slowly) {
                Ok(pod_use) => {
                    uses.insert(uid.clone(), pod_use);
                }
                Err(_) => gone.push(uid.clone()),
            }
        }
        for uid in gone {
            self.found.remove(&uid);
            self.search_at = self.search_at.min(now + SLOWLY);
        }
        self.asked.iter().map(|workload| summed(workload, &uses)).collect()
    }

    fn search(&mut self, now: Duration) {
        let mut missing: BTreeSet<&str> =
            self.asked.iter().flat_map(|w| &w.pods).map(String::as_str).collect();
        missing.retain(|uid| !self.found.contains_key(*uid));
        let root = self.hierarchy.cgroup(&self.node).cpu;
        let found = search::pods(&root, &missing);
        self.search_at = if found.len() == missing.len() { Duration::MAX } else { now + SLOWLY };
        for (uid, path) in found {
            let cgroup = self.hierarchy.cgroup(&self.node.join(path));
            self.found.insert(uid, Pod::new(cgroup, now));
            self.slow_at = Duration::ZERO;
        }
    }
}

fn summed(workload: &WorkloadSpec, uses: &BTreeMap<String, PodUse>) -> WorkloadSample {
    let found: Vec<&PodUse> = workload.pods.iter().filter_map(|uid| uses.get(uid)).collect();
    let sum = found.iter().fold(PodUse::default(), |sum, used| sum.plus(used));
    WorkloadSample {
        namespace: workload.namespace.clone(),
        service: workload.service.clone(),
        pods: found.len(),
        cpu: sum.cpu(),
        memory: sum.memory(),
        restarts: sum.restarts,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::files::fixture::Tree, *};

    const A: &str = "11111111-1111-1111-1111-111111111111";
    const B: &str = "22222222-2222-2222-2222-222222222222";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn write_pod(tree: &Tree, uid: &str, cpu_seconds: u64, throttled: u64) {
        let path = format!("n1/kubepods/burstable/pod{uid}");
        let write = |file: &str, text: &str| {
            let controller = file.split('.').next().unwrap();
            tree.write(&format!("{controller}/{path}/{file}"), text);
        };
        write("cpuacct.usage", &(cpu_seconds * 1_000_000_000).to_string());
        write("cpu.stat", &format!("nr_periods {}\nnr_throttled {throttled}\n", cpu_seconds * 10));
        write("cpu.cfs_quota_us", "200000");
        write("cpu.cfs_period_us", "100000");
        write("memory.usage_in_bytes", "1000");
        write("memory.stat", "total_inactive_file 250\n");
        write("memory.limit_in_bytes", "3000");
    }

    fn asked(pods: &[&str]) -> Vec<WorkloadSpec> {
        let pods = pods.iter().map(ToString::to_string).collect();
        vec![WorkloadSpec {
            namespace: "shop".into(),
            service: "journal-a".into(),
            pods,
            ..WorkloadSpec::default()
        }]
    }

    fn pods(tree: &Tree) -> Pods {
        Pods::new(Hierarchy::detect(tree.root()).unwrap(), "n1".into())
    }

    #[test]
    fn use_limits_and_throttling_of_a_services_pods_add_up() {
        let tree = Tree::new();
        write_pod(&tree, A, 10, 0);
        write_pod(&tree, B, 20, 0);
        let (mut pods, mut files) = (pods(&tree), Files::default());
        pods.observe(&asked(&[A, B]));
        let first = &pods.sample(&mut files, seconds(1))[0];
        assert_eq!((first.pods, first.memory.used), (2, 1500.0));
        assert!(first.cpu.used.is_nan(), "one look tells no rate");
        write_pod(&tree, A, 11, 5);
        write_pod(&tree, B, 23, 5);
        let second = &pods.sample(&mut files, seconds(3))[0];
        assert_eq!((second.cpu.used, second.cpu.capacity), (2.0, 4.0));
        assert_eq!(second.cpu.throttled, Some(0.25));
        assert_eq!((second.memory.used, second.memory.capacity), (1500.0, 6000.0));
    }

    #[test]
    fn one_pod_without_a_limit_leaves_the_service_without_one() {
        let tree = Tree::new();
        write_pod(&tree, A, 1, 0);
        write_pod(&tree, B, 1, 0);
        tree.write(&format!("cpu/n1/kubepods/burstable/pod{B}/cpu.cfs_quota_us"), "-1");
        let mut pods = pods(&tree);
        pods.observe(&asked(&[A, B]));
        let sample = &pods.sample(&mut Files::default(), seconds(1))[0];
        assert_eq!((sample.cpu.capacity, sample.memory.capacity), (0.0, 6000.0));
    }

    #[test]
    fn a_pod_that_starts_late_is_found_and_one_that_ends_is_dropped() {
        let tree = Tree::new();
        write_pod(&tree, A, 1, 0);
        let (mut pods, mut files) = (pods(&tree), Files::default());
        pods.observe(&asked(&[A, B]));
        let mut found = |at| pods.sample(&mut files, seconds(at))[0].pods;
        assert_eq!(found(1), 1);
        write_pod(&tree, B, 1, 0);
        assert_eq!((found(2), found(11)), (1, 2));
        for controller in ["cpu", "cpuacct", "memory"] {
            tree.remove(&format!("{controller}/n1/kubepods/burstable/pod{A}"));
        }
        assert_eq!(found(12), 1);
    }
}
