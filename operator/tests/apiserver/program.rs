//! The operator as the program that ships.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::cluster::{Cluster, free_ports};

/// A running operator; it ends with this program, however that ends.
pub(crate) struct Operator {
    process: Child,
    admin: u16,
    _watchdog: Child,
}

impl Operator {
    /// Starts one that leads in `namespace` under this name.
    pub(crate) fn start(cluster: &Cluster, name: &str, namespace: &str) -> Self {
        let [admin] = free_ports();
        let kubeconfig = cluster.kubeconfig("operator");
        let log = fs::File::create(kubeconfig.with_file_name(format!("operator-{name}.log"))).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_foreshift-operator"))
            .args([format!("--admin=127.0.0.1:{admin}"), "--log-format=plain".into()])
            .arg("--model-dir=/nonexistent")
            .envs([("POD_NAME", name), ("POD_NAMESPACE", namespace)])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        // Ends the operator as soon as our end of its standard input closes.
        let watchdog = Command::new("sh")
            .args(["-c", r#"read -r _; kill "$1""#, "sh", &process.id().to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, admin, _watchdog: watchdog }
    }

    /// Whether its readiness probe passes.
    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Its metrics.
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics").unwrap_or_default()
    }

    /// Memory that it holds.
    pub(crate) fn resident_mebibytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Asks it to end; answers its exit code, `None` if it did not end within ten seconds.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
