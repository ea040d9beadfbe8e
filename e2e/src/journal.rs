//! Counts afterwards what the resources really stored: every entry of a run, read with journalctl from the
//! journals of all their pods.

use std::{path::PathBuf, process::Stdio};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{ChildStdout, Command},
};

use crate::{
    entries::ID_FIELD,
    error::{Error, Result},
    ids::{EntryId, IdSet},
    local::LocalCluster,
    stage::{JournalPod, NAMESPACE},
    tally::Total,
};

/// How journals are reached.
#[derive(Clone, Debug)]
pub enum Reader {
    /// The pods' volumes lie on this machine: fast, and outside of the nodes' quota.
    Volumes(LocalCluster),
    /// journalctl in the pods, by `kubectl exec`.
    Exec,
}

/// The entries of a run that one resource, or all together, stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Numbers of the entries.
    pub entries: IdSet,
    /// Entries that were stored again.
    pub again: u64,
}

/// What became of the entries of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Entries in any journal, each counted once.
    pub stored: u64,
    /// Acknowledged entries that are in no journal.
    pub lost: u64,
    /// Copies beyond the first.
    pub duplicated: u64,
    /// Acknowledged entries that are in the journals of alternates.
    pub moved: u64,
}

/// Journals read at once: one a core of a small machine.
const AT_ONCE: usize = 2;

impl Reader {
    /// What each resource stored of `run`.
    pub async fn read(&self, pods: &[JournalPod], run: &str) -> Result<[Stored; 3]> {
        let mut stored: [Stored; 3] = Default::default();
        let mut journals = stream::iter(pods)
            .map(|pod| async move { Ok::<_, Error>((pod.resource, self.read_pod(pod, run).await?)) })
            .buffer_unordered(AT_ONCE);
        while let Some((resource, journal)) = journals.try_next().await? {
            stored[resource].merge(&journal);
        }
        Ok(stored)
    }

    async fn read_pod(&self, pod: &JournalPod, run: &str) -> Result<Stored> {
        let mut command = self.journalctl(pod);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let line = format!("{:?}", command.as_std());
        let failed = |why: String| Error::Command { command: line.clone(), why };
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed("it has no output".into()));
        };
        let mut words = String::new();
        let (stored, _) = tokio::join!(collect(stdout, run), stderr.read_to_string(&mut words));
        let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
        // It also fails when there is no journal yet: a pod that never got an entry.
        if !status.success() && !words.contains("No such file") {
            return Err(failed(format!("{status}: {}", words.trim())));
        }
        stored.map_err(|error| failed(error.to_string()))
    }

    fn journalctl(&self, pod: &JournalPod) -> Command {
        let (mut command, folder) = match self {
            Self::Volumes(cluster) => {
                (Command::new("journalctl"), cluster.empty_dir(&pod.node, &pod.uid, "journal"))
            }
            Self::Exec => {
                let mut command = Command::new("kubectl");
                command.args(["exec", "--namespace", NAMESPACE, &pod.name, "--", "journalctl"]);
                (command, PathBuf::from("/journal"))
            }
        };
        // A journal whose writer was killed is set aside as `*.journal~` by the next one; it holds what it held.
        command
            .arg(format!("--file={}/*.journal*", folder.display()))
            .args(["--quiet", "--no-pager", "--output=cat"])
            .arg(format!("--output-fields={ID_FIELD}"));
        command
    }
}

impl Stored {
    fn add(&mut self, number: u64) {
        if !self.entries.insert(number) {
            self.again += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.again += other.again + self.entries.common(&other.entries);
        self.entries.extend(&other.entries);
    }
}

/// Holds what was stored against what was acknowledged.
#[must_use]
pub fn balance(total: &Total, stored: &[Stored; 3]) -> Balance {
    let mut all = Stored::default();
    for resource in stored {
        all.merge(resource);
    }
    let acknowledged = || {
        let batch = u64::from(total.batch);
        total.acknowledged.iter().flat_map(move |request| request * batch..(request + 1) * batch)
    };
    Balance {
        stored: all.entries.len(),
        lost: acknowledged().filter(|&n| !all.entries.contains(n)).count() as u64,
        duplicated: all.again,
        moved: acknowledged().filter(|&n| stored[1..].iter().any(|s| s.entries.contains(n))).count() as u64,
    }
}

async fn collect(output: ChildStdout, run: &str) -> std::io::Result<Stored> {
    let mut stored = Stored::default();
    let mut lines = BufReader::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        let id = std::str::from_utf8(line.trim_ascii_end()).ok().and_then(EntryId::parse);
        if let Some(id) = id.filter(|id| id.run == run) {
            stored.add(id.number);
        }
        line.clear();
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::{Ending, Tally};

    fn stored(numbers: impl IntoIterator<Item = u64>) -> Stored {
        let mut stored = Stored::default();
        numbers.into_iter().for_each(|n| stored.add(n));
        stored
    }

    fn acknowledged(requests: &[u64]) -> Total {
        let tally = Tally::new(2);
        for &request in requests {
            tally.ended(request, Ending::Acknowledged(Duration::from_millis(1)));
        }
        tally.total()
    }

    #[test]
    fn an_acknowledged_entry_that_is_nowhere_is_lost() {
        let total = acknowledged(&[0, 1, 2]);
        let balance = balance(&total, &[stored([0, 1, 2]), stored([4, 5]), stored([])]);
        assert_eq!(balance, Balance { stored: 5, lost: 1, duplicated: 0, moved: 2 });
    }

    #[test]
    fn what_was_stored_without_an_acknowledgement_is_not_lost_and_not_moved() {
        let balance = balance(&acknowledged(&[0]), &[stored([0, 1]), stored([2]), stored([])]);
        assert_eq!(balance, Balance { stored: 3, lost: 0, duplicated: 0, moved: 0 });
    }

    #[test]
    fn copies_are_counted_within_a_journal_and_between_resources() {
        let balance = balance(&acknowledged(&[0]), &[stored([0, 1, 1]), stored([1]), stored([])]);
        assert_eq!((balance.stored, balance.duplicated), (2, 2));
    }
}
