//! What the project's own local cluster shows of itself beside the API: its nodes' cgroups, its logs and the
//! volumes of its pods. A cluster of somebody else's has none of these, and the demo does without.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{
    cgroup::Cgroup,
    error::{Error, Result},
};

const FORGET_WITHIN: Duration = Duration::from_secs(30);

/// The local cluster of `e2e/cluster`, found by its state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCluster {
    state: PathBuf,
    name: String,
}

impl LocalCluster {
    /// The cluster whose state is in `state`, which `cluster run` passes on as `CLUSTER_STATE`.
    pub fn open(state: &Path) -> Result<Self> {
        let path = state.join("settings");
        let settings =
            std::fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let name = setting(&settings, "CLUSTER_NAME")
            .ok_or_else(|| Error::Unfit(format!("{} names no CLUSTER_NAME", path.display())))?;
        Ok(Self { state: state.to_owned(), name })
    }

    /// The cgroup above all pods of a node.
    pub fn cgroup(&self, node: &str) -> Result<Cgroup> {
        Cgroup::find(&format!("{}/{node}", self.name))
    }

    /// The folders of the components' logs, one a machine.
    pub fn logs(&self) -> Result<Vec<PathBuf>> {
        let folder = std::fs::read_dir(&self.state)
            .map_err(|source| Error::File { path: self.state.clone(), source })?;
        let mut logs: Vec<_> = folder
            .filter_map(|item| item.ok().map(|item| item.path().join("log")))
            .filter(|path| path.is_dir())
            .collect();
        logs.sort();
        Ok(logs)
    }

    /// Lets the kernel of the node that sends forget connections to endpoints of `target` that are gone. It remembers
    /// them by the client's port for two minutes, and one client at this rate uses every port again within seconds.
    pub async fn forget_connections(&self, target: IpAddr) -> Result<()> {
        let target = target.to_string();
        let failed =
            |why: String| Error::Command { command: format!("conntrack --delete --orig-dst {target}"), why };
        let forgotten = timeout(FORGET_WITHIN, async {
            while !forget(&target).await.map_err(failed)? {}
            Ok(())
        });
        forgotten.await.map_err(|elapsed| failed(elapsed.to_string()))?
    }

    /// Where an `emptyDir` of a pod lies on this machine.
    #[must_use]
    pub fn empty_dir(&self, node: &str, pod_uid: &str, volume: &str) -> PathBuf {
        self.state
            .join(node)
            .join("lib/kubelet/pods")
            .join(pod_uid)
            .join("volumes/kubernetes.io~empty-dir")
            .join(volume)
    }
}

/// Reads `declare -- NAME="value"`, as bash prints a variable.
fn setting(settings: &str, name: &str) -> Option<String> {
    settings.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.split_whitespace().last() == Some(name)).then(|| value.trim_matches('"').to_owned())
    })
}

/// Deletes the connections to `target`, and tells whether all were deleted. One that ends by itself at this moment
/// stops `conntrack` halfway.
async fn forget(target: &str) -> Result<bool, String> {
    let delete =
        Command::new("conntrack").args(["--delete", "--orig-dst", target]).kill_on_drop(true).output();
    let done = delete.await.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr);
    // It fails when there is nothing to forget.
    if done.status.success() || said.contains(" 0 flow entries") {
        Ok(true)
    } else if said.contains("such conntrack doesn't exist") {
        Ok(false)
    } else {
        Err(said.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_bash_prints_them() {
        let settings = "declare -- CLUSTER_NAME=\"foreshift\"\ndeclare -- CLUSTER_NODES=\"3\"\n";
        assert_eq!(setting(settings, "CLUSTER_NAME").as_deref(), Some("foreshift"));
        assert_eq!(setting(settings, "NAME"), None);
    }
}
