//! Where the log lines come from that the demo sends: what this very cluster has just written about itself.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, LogParams},
};

use crate::{
    entries::{Origin, Pool},
    error::{Error, Result, ask},
    local::LocalCluster,
};

/// Bytes read from the end of each log.
const TAIL: u64 = 512 * 1024;

/// Lines taken from the end of a pod's log, and pods asked.
const TAIL_LINES: i64 = 2000;
const PODS: u32 = 20;

/// The lines of `files`; without any, those of the local cluster's components, and elsewhere those of kube-system.
pub async fn log_lines(files: &[PathBuf], local: Option<&LocalCluster>, client: &Client) -> Result<Pool> {
    match local {
        _ if !files.is_empty() => of_files(files),
        Some(local) => of_files(&local.logs()?),
        None => of_pods(client).await,
    }
}

/// The newest lines of log files; a folder stands for every `*.log` in it.
pub fn of_files(paths: &[PathBuf]) -> Result<Pool> {
    let mut pool = Pool::default();
    for path in paths {
        for file in log_files(path)? {
            let text = tail_of(&file).map_err(|source| Error::File { path: file.clone(), source })?;
            pool.add(&origin_of(&file), &text);
        }
    }
    filled(pool, &paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))
}

/// What the pods of kube-system wrote last.
async fn of_pods(client: &Client) -> Result<Pool> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let tail = LogParams { tail_lines: Some(TAIL_LINES), ..LogParams::default() };
    let mut pool = Pool::default();
    for pod in ask("list pods of kube-system", pods.list(&ListParams::default().limit(PODS))).await? {
        let (name, node) = (pod.name_any(), pod.spec.as_ref().and_then(|spec| spec.node_name.clone()));
        match ask(format!("logs of {name}"), pods.logs(&name, &tail)).await {
            Ok(text) => pool.add(&Origin { program: name, host: node.unwrap_or_default() }, &text),
            // A pod without logs, or with several containers, is no reason to stop.
            Err(error) => tracing::warn!(%error, "skipped"),
        }
    }
    filled(pool, "the pods of kube-system")
}

fn filled(pool: Pool, place: &str) -> Result<Pool> {
    if pool.is_empty() {
        let what_to_do = "name files or folders of *.log with --logs";
        return Err(Error::Unfit(format!("there are no log lines to send in {place}; {what_to_do}")));
    }
    Ok(pool)
}

fn log_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = std::fs::read_dir(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let mut files: Vec<_> = folder
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    Ok(files)
}

/// The last part of a file, from the start of a line.
fn tail_of(path: &Path) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if skipped == 0 { &text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    Ok(whole.to_owned())
}

/// `.../n1/log/kubelet.log` is of kubelet on n1; elsewhere the host is not known.
fn origin_of(file: &Path) -> Origin {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let machine = file.parent().filter(|folder| folder.ends_with("log")).and_then(Path::parent);
    Origin {
        program: stem(file).unwrap_or_default(),
        host: machine.and_then(stem).unwrap_or_else(|| "localhost".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_the_folder_of_its_logs() {
        let of_n1 = Origin { program: "kubelet".into(), host: "n1".into() };
        assert_eq!(origin_of(Path::new("/state/n1/log/kubelet.log")), of_n1);
        assert_eq!(origin_of(Path::new("/var/other/kubelet.log")).host, "localhost");
    }

    #[test]
    fn a_folder_stands_for_its_logs_and_nothing_to_send_is_said_with_what_to_do() {
        let folder = std::env::temp_dir().join(format!("foreshift-logs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("other.txt"), "no log\n").unwrap();
        let error = of_files(std::slice::from_ref(&folder)).unwrap_err();
        assert!(error.to_string().contains("--logs"));
        std::fs::write(folder.join("kubelet.log"), "one\ntwo\n").unwrap();
        assert_eq!(of_files(std::slice::from_ref(&folder)).unwrap().len(), 2);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
