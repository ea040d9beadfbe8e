//! A Prometheus and the exporter that it scrapes. The cluster tests use this file, too.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// Longest wait for one thing.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Prometheus that scrapes one exporter, which this test serves; it ends with this test, however that ends.
pub(crate) struct Prometheus {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    page: watch::Sender<String>,
    folder: TempDir,
    program: Child,
}

impl Prometheus {
    /// Starts the program, which answers at this address.
    pub(crate) async fn start(program: &Path, at: IpAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exporter = listener.local_addr().unwrap();
        let (page, shown) = watch::channel(String::new());
        tokio::spawn(export(listener, shown));
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind((at, 0)).await.unwrap().local_addr().unwrap();
        let program = launch(program, folder.path(), address, exporter);
        let prometheus = Self { address, page, folder, program };
        prometheus.listens().await;
        prometheus
    }

    /// Waits until it answers.
    async fn listens(&self) {
        let began = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What the exporter shows from now on.
    pub(crate) fn show(&self, page: String) {
        self.page.send(page).unwrap();
    }

    /// Waits until an expression has this value now.
    pub(crate) async fn holds(&self, expression: &str, wanted: &str) {
        let began = Instant::now();
        loop {
            let found = self.value(expression).await;
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{expression} is {found:?}: {}", self.log());
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn value(&self, expression: &str) -> Option<String> {
        let mut request = "GET /api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            write!(request, "%{byte:02X}").unwrap();
        }
        request += " HTTP/1.0\r\n\r\n";
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let answer: Value = serde_json::from_str(body).ok()?;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        let _ = self.program.wait();
    }
}

fn launch(program: &Path, folder: &Path, address: SocketAddr, exporter: SocketAddr) -> Child {
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: loads, static_configs: [{{targets: ['{exporter}']}}]}}]\n"
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    // The shell ends it as soon as our end of its standard input closes.
    Command::new("sh")
        .args(["-c", r#""$@" & read -r _; kill -KILL $!; wait"#, "sh"])
        .arg(program)
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Answers scrapes, each over a connection of its own.
async fn export(listener: TcpListener, shown: watch::Receiver<String>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            request.push(byte);
        }
        let page = shown.borrow().clone();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            page.len()
        );
        // A scrape that gave up is tried again.
        let _ = stream.write_all((head + &page).as_bytes()).await;
    }
}
