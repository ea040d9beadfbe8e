//! Where the kernel keeps the figures of a cgroup: version 1, version 2, or 1 with a version 2 tree beside it.
//!
//! Of a hybrid machine the controllers are version 1 and only pressure comes from `unified/`: runc puts pods
//! into both trees.

use std::path::{Component, Path, PathBuf};

/// Why a cgroup cannot stand for the node.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// There are no cgroups at the root.
    #[error(
        "{} holds no cgroups: mount the node's /sys/fs/cgroup there, or point --cgroup-root at it",
        .0.display()
    )]
    NoHierarchy(PathBuf),
    /// The cgroup does not exist.
    #[error(
        "there is no cgroup {}: --node-cgroup names one below the root, such as `kubelet` or `lxc/$(NODE_NAME)`; \
         leave it out when the whole machine is the node",
        .0.display()
    )]
    NoCgroup(PathBuf),
}

/// Version of the hierarchy that holds the CPU and memory controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The mounted cgroup trees.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    root: PathBuf,
    version: Version,
}

/// The folders of one cgroup.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    pub(crate) version: Version,
    pub(crate) cpu: PathBuf,
    pub(crate) cpuacct: PathBuf,
    pub(crate) memory: PathBuf,
    /// In the version 2 tree.
    pub(crate) pressure: PathBuf,
}

impl Hierarchy {
    /// What is mounted at `root`.
    pub(crate) fn detect(root: &Path) -> Result<Self, CgroupError> {
        let version = if root.join("cgroup.controllers").is_file() {
            Version::V2
        } else if root.join("cpu").is_dir() {
            Version::V1
        } else {
            return Err(CgroupError::NoHierarchy(root.to_owned()));
        };
        Ok(Self { root: root.to_owned(), version })
    }

    /// The cgroup at `path`, relative to the root; a leading slash and dots lead nowhere else.
    pub(crate) fn cgroup(&self, path: &Path) -> Cgroup {
        let path: PathBuf =
            path.components().filter(|component| matches!(component, Component::Normal(_))).collect();
        let folder = |controller: &str| match self.version {
            Version::V1 => self.root.join(controller).join(&path),
            Version::V2 => self.root.join(&path),
        };
        let cpu = folder("cpu");
        let cpuacct = Some(folder("cpuacct")).filter(|folder| folder.is_dir());
        Cgroup {
            version: self.version,
            cpuacct: cpuacct.unwrap_or_else(|| cpu.clone()),
            memory: folder("memory"),
            pressure: folder("unified"),
            cpu,
        }
    }

    /// Like [`Self::cgroup`], but it must be there.
    pub(crate) fn existing(&self, path: &Path) -> Result<Cgroup, CgroupError> {
        let cgroup = self.cgroup(path);
        if cgroup.cpu.is_dir() { Ok(cgroup) } else { Err(CgroupError::NoCgroup(cgroup.cpu)) }
    }

    /// Whether what is mounted as the root is a cgroup of a larger machine. The real root has no quota in version 2; in
    /// version 1 it has one that means nothing, and alone has a release agent.
    pub(crate) fn is_nested(&self) -> bool {
        let has = |file: &str| self.root.join(file).is_file();
        match self.version {
            Version::V1 => has("cpu/cpu.cfs_quota_us") && !has("cpu/release_agent"),
            Version::V2 => has("cpu.max"),
        }
    }

    /// How a persona names the source.
    pub(crate) fn name(&self, path: &Path) -> String {
        let version = match self.version {
            Version::V1 => 1,
            Version::V2 => 2,
        };
        if path.as_os_str().is_empty() {
            return format!("cgroup v{version} / (nested)");
        }
        format!("cgroup v{version} {}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::files::fixture::Tree, *};

    #[test]
    fn version_1_has_a_folder_a_controller_and_version_2_one_for_all() {
        let tree = Tree::new();
        tree.write("cpu/kc/n1/cpu.stat", "");
        tree.write("memory/kc/n1/memory.stat", "");
        let cgroup = Hierarchy::detect(tree.root()).unwrap().existing(Path::new("/kc/n1")).unwrap();
        assert_eq!(cgroup.memory, tree.root().join("memory/kc/n1"));
        assert_eq!(cgroup.cpuacct, tree.root().join("cpu/kc/n1"), "both in one mount");
        assert_eq!(cgroup.pressure, tree.root().join("unified/kc/n1"));

        let tree = Tree::new();
        tree.write("cgroup.controllers", "cpu memory");
        tree.write("kubelet/cpu.stat", "");
        let hierarchy = Hierarchy::detect(tree.root()).unwrap();
        let cgroup = hierarchy.existing(Path::new("../kubelet")).unwrap();
        assert_eq!([&cgroup.cpu, &cgroup.memory, &cgroup.pressure], [&tree.root().join("kubelet"); 3]);
        assert_eq!(hierarchy.name(Path::new("kubelet")), "cgroup v2 kubelet");
    }

    #[test]
    fn a_real_root_is_told_from_that_of_a_container() {
        let cases: [(&[&str], bool); 4] = [
            (&["cpu/cpu.cfs_quota_us", "cpu/release_agent"], false),
            (&["cpu/cpu.cfs_quota_us"], true),
            (&["cgroup.controllers", "cpu.stat"], false),
            (&["cgroup.controllers", "cpu.stat", "cpu.max"], true),
        ];
        for (files, nested) in cases {
            let tree = Tree::new();
            for file in files {
                tree.write(file, "");
            }
            assert_eq!(Hierarchy::detect(tree.root()).unwrap().is_nested(), nested, "{files:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_to_do() {
        let tree = Tree::new();
        let error = Hierarchy::detect(tree.root()).unwrap_err().to_string();
        assert!(error.contains("--cgroup-root"), "{error}");
        tree.write("cpu/cpu.stat", "");
        let hierarchy = Hierarchy::detect(tree.root()).unwrap();
        let error = hierarchy.existing(Path::new("kc/n9")).unwrap_err().to_string();
        assert!(error.contains("kc/n9") && error.contains("--node-cgroup"), "{error}");
    }
}
