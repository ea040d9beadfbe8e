//! Processes that can be killed: a resource, and the router itself.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Says to [`resource`] where to write down what it acknowledged.
const BOOK: &str = "FORESHIFT_TEST_BOOK";

/// A process that is killed at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// A resource in a process of its own.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) process: Process,
    book: PathBuf,
}

/// The router, with its routes in a file.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) process: Process,
    _folder: TempDir,
}

impl Process {
    /// Waits for the line in which `told` finds the address that it listens on.
    fn start(mut command: Command, told: impl Fn(&str) -> Option<SocketAddr>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| told(&line.ok()?)).expect("it says where it listens");
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Resource {
    pub(crate) fn start(folder: &Path, name: &str) -> Self {
        let book = folder.join(name);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process::resource", "--exact", "--ignored", "--nocapture"]).env(BOOK, &book);
        let told = |line: &str| line.strip_prefix("listens on ")?.parse().ok();
        Self { process: Process::start(command, told), book }
    }

    /// How often it acknowledged each id; a killed one can be asked, too.
    pub(crate) fn acknowledged(&self) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        for id in fs::read_to_string(&self.book).unwrap().lines() {
            *ids.entry(id.to_owned()).or_default() += 1;
        }
        ids
    }
}

impl Router {
    /// With these resources, the first of them the lead, and more arguments.
    pub(crate) fn start(resources: &[SocketAddr], more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let routes = folder.path().join("routes.yaml");
        let count = resources.len().max(2);
        let named = |i: usize| json!({"service": format!("r{i}"), "port": 80});
        let backend = |i: usize| {
            let endpoints: Vec<_> = resources.get(i).into_iter().collect();
            (format!("r{i}"), json!({"endpoints": endpoints, "capacity": 1000}))
        };
        let route = json!({
            "name": "journal",
            "spec": {
                "lead": named(0),
                "alternates": (1..count).map(named).collect::<Vec<_>>(),
                "target": {"service": "journal"},
            },
            "resources": (0..count).map(backend).collect::<Map<_, _>>(),
        });
        fs::write(&routes, json!({"routes": [route]}).to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_foreshift-entry-router"));
        command
            .args(["--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--threads=1", "--explore=0"])
            .arg("--routes")
            .arg(&routes)
            .args(more);
        let told = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["fields"]["listen"].as_str()?.parse().ok()
        };
        Self { process: Process::start(command, told), _folder: folder }
    }
}

/// No test: what [`Resource::start`] runs. It writes an id down, and then acknowledges it.
#[test]
#[ignore = "a process for the other tests"]
fn resource() {
    let Ok(book) = std::env::var(BOOK) else { return };
    let book = Mutex::new(File::create(book).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        writeln!(std::io::stdout(), "listens on {}", listener.local_addr().unwrap()).unwrap();
        let book: &'static Mutex<File> = Box::leak(Box::new(book));
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| acknowledge(book, request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

async fn acknowledge(
    book: &Mutex<File>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let id = request.headers()["x-entry-id"].to_str().unwrap().to_owned();
    request.into_body().collect().await?;
    writeln!(book.lock().unwrap(), "{id}").unwrap();
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}
