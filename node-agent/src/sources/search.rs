//! A bounded walk for pods below a node's cgroup, as kubelet lays them out.
//!
//! cgroupfs driver: `kubepods/burstable/podUID`; systemd driver: `kubepods.slice/kubepods-burstable.slice/
//! kubepods-burstable-podUID.slice`, with underscores in the UID; either may lie deeper (`kubelet/...`, kind).

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

const DEPTH_MAX: usize = 5;

/// Folders looked at; a node runs a few hundred pods at most.
const FOLDERS_MAX: usize = 10_000;

/// Paths of the pods with these UIDs, relative to `root`.
pub(super) fn pods(root: &Path, uids: &BTreeSet<&str>) -> HashMap<String, PathBuf> {
    let mut found = HashMap::new();
    let mut open = vec![(PathBuf::new(), 0)];
    let mut budget = FOLDERS_MAX;
    while let Some((path, depth)) = open.pop() {
        let Ok(entries) = fs::read_dir(root.join(&path)) else { continue };
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for entry in folders.take(budget) {
            budget -= 1;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            match pod_uid(name) {
                Some(uid) if uids.contains(uid.as_str()) => {
                    found.insert(uid, path.join(name));
                }
                None if leads_to_pods(name) && depth < DEPTH_MAX => open.push((path.join(name), depth + 1)),
                _ => {}
            }
        }
        if found.len() == uids.len() || budget == 0 {
            break;
        }
    }
    found
}

fn leads_to_pods(name: &str) -> bool {
    name.starts_with("kube") || name == "besteffort" || name == "burstable"
}

/// The UID of the pod that a folder of this name belongs to.
fn pod_uid(name: &str) -> Option<String> {
    let (_, uid) = name.trim_end_matches(".slice").rsplit_once("pod")?;
    let is_uid = uid.len() >= 32 && uid.chars().all(|c| c.is_ascii_hexdigit() || c == '-' || c == '_');
    is_uid.then(|| uid.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::{super::files::fixture::Tree, *};

    const UID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";

    #[test]
    fn the_uid_is_read_from_names_of_both_drivers() {
        let cases = [
            ("pod0a1b2c3d-0000-4000-8000-0123456789ab", Some(UID)),
            ("kubepods-burstable-pod0a1b2c3d_0000_4000_8000_0123456789ab.slice", Some(UID)),
            ("kubelet-kubepods-pod0a1b2c3d_0000_4000_8000_0123456789ab.slice", Some(UID)),
            ("kubepods", None),
            ("kubepods.slice", None),
            ("pod1", None),
            ("0a1b2c3d00004000800001234567890a0a1b2c3d00004000800001234567890a", None),
        ];
        for (name, expected) in cases {
            assert_eq!(pod_uid(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn pods_are_found_wherever_kubelet_puts_them_and_nowhere_else() {
        let underscored = UID.replace('-', "_");
        let cases = [
            (format!("kubepods/pod{UID}"), true),
            (format!("kubepods/besteffort/pod{UID}"), true),
            (
                format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice"),
                true,
            ),
            (format!("kubelet/kubepods/burstable/pod{UID}"), true),
            (format!("system.slice/containerd.service/pod{UID}"), false),
            (format!("kube/kube/kube/kube/kube/kube/kube/pod{UID}"), false),
        ];
        for (path, expected) in cases {
            let tree = Tree::new();
            tree.write(&format!("{path}/cpu.stat"), "");
            tree.write("kubepods/pod99999999-0000-4000-8000-0123456789ab/cpu.stat", "");
            let found = pods(tree.root(), &BTreeSet::from([UID]));
            assert_eq!(found.get(UID) == Some(&PathBuf::from(&path)), expected, "{path}");
            assert_eq!(found.len(), usize::from(expected));
        }
    }
}
