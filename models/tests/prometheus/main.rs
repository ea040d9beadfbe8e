//! A real Prometheus as the source of a history: it scrapes an exporter of this test, and the trainer's own code asks it.
//! Its program comes by the environment: `PROMETHEUS`, as `e2e/test prometheus` sets it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it wanted")]

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use foreshift_models::http;
use foreshift_models::prometheus::{Query, read};
use foreshift_models::recorded::Recorded;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Longest wait for one thing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Step of the recorded loads, and how long after a step of the grid a sample was taken.
const PERIOD: i64 = 15;
const OFFSET: i64 = 3;

/// Steps recorded: 25 hours, more than a page of 5,000 steps.
const STEPS: i64 = 6_000;

/// How far back a value of an expression is looked for.
const LOOKBACK: i64 = 300;

/// A Prometheus on loopback that scrapes one exporter; it ends with this test, however that ends.
struct Prometheus {
    address: SocketAddr,
    page: watch::Sender<String>,
    folder: TempDir,
    program: Child,
}

impl Prometheus {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exporter = listener.local_addr().unwrap();
        let (page, shown) = watch::channel(String::new());
        tokio::spawn(export(listener, shown));
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let program = launch(folder.path(), address, exporter);
        let prometheus = Self { address, page, folder, program };
        prometheus.listens();
        prometheus
    }

    /// Waits until it answers queries.
    fn listens(&self) {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What the exporter shows from now on.
    fn show(&self, page: String) {
        self.page.send(page).unwrap();
    }

    /// Waits until an expression has this value now.
    async fn holds(&self, expression: &str, wanted: &str) {
        let began = Instant::now();
        loop {
            let found = self.value(expression).await;
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{expression} is {found:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn value(&self, expression: &str) -> Option<String> {
        let expression: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let uri = http::parse(&format!("http://{}/api/v1/query?query={expression}", self.address)).unwrap();
        let mut body = Vec::new();
        http::get(self.address, &uri, |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        })
        .await
        .ok()?;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }

    fn query(&self, expression: &str, period: u32, from: i64, to: i64) -> Query {
        let url = format!("http://{}/", self.address);
        Query { url, expression: expression.to_owned(), period, from, to }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        let _ = self.program.wait();
    }
}

fn launch(folder: &Path, address: SocketAddr, exporter: SocketAddr) -> Child {
    let path = env::var_os("PROMETHEUS")
        .unwrap_or_else(|| panic!("PROMETHEUS is not set; run `e2e/test prometheus`, which builds it"));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: loads, static_configs: [{{targets: ['{exporter}']}}]}}]\n"
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    // The shell ends it as soon as our end of its standard input closes.
    Command::new("sh")
        .args(["-c", r#""$@" & read -r _; kill -KILL $!; wait"#, "sh"])
        .arg(path)
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

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Load of the steady node at a step; every step has another one.
fn load(step: i64) -> f64 {
    0.2 + 0.0001 * step as f64
}

/// Twice the loads of three nodes, as an exporter shows them that tells when it saw what. `gappy` misses four minutes and,
/// later, half an hour; `odd` has steps that are no numbers.
fn recorded_page(first: i64) -> String {
    let mut text = "# TYPE node_work gauge\n".to_owned();
    for step in 0..STEPS {
        let at = ((first + step) * PERIOD + OFFSET) * 1_000;
        let mut line = |node: &str, value: f64| {
            writeln!(text, "node_work{{node=\"{node}\"}} {value} {at}").unwrap();
        };
        line("steady", 2.0 * load(step));
        if !(1_000..1_016).contains(&step) && !(2_000..2_120).contains(&step) {
            line("gappy", 1.0);
        }
        line("odd", if step % 100 == 7 { f64::NAN } else { 1.0 });
    }
    text
}

#[tokio::test]
async fn recorded_loads_come_back_by_series_and_step_with_their_gaps() {
    let prometheus = Prometheus::start().await;
    let last = now().div_euclid(PERIOD) - 30;
    let first = last - STEPS + 1;
    prometheus.show(recorded_page(first));
    let all = (3 * STEPS - 16 - 120).to_string();
    prometheus.holds("sum(count_over_time(node_work[2d]))", &all).await;

    // The first sample answers from the step after it, and the last one for as long as is looked back.
    let query = prometheus.query(
        "sum by (node) (node_work) / 2",
        PERIOD as u32,
        (first - 100) * PERIOD,
        (last + 100) * PERIOD,
    );
    let mut history = Recorded::default();
    read(&query, &mut history).await.unwrap();
    let series = history.series();
    let found: Vec<(&str, usize)> =
        series.iter().map(|series| (series.name.as_str(), series.loads.len())).collect();
    let after = (LOOKBACK + OFFSET) / PERIOD;
    let [before_gap, after_gap] = [2_000 - 1 + after, STEPS - 2_120 - 1 + after].map(|steps| steps as usize);
    let whole = (STEPS - 1 + after) as usize;
    let expected = [
        ("{node=\"gappy\"} 15s", before_gap),
        ("{node=\"gappy\"} 15s", after_gap),
        ("{node=\"odd\"} 15s", whole),
        ("{node=\"steady\"} 15s", whole),
    ];
    assert_eq!(found, expected);
    let steady = &series[3].loads;
    for step in [0, 1, 4_999, 5_000, STEPS - 1] {
        assert!((steady[step as usize] - load(step)).abs() < 1e-6, "step {step}");
    }
    assert!(steady[STEPS as usize..].iter().all(|&held| (held - load(STEPS - 1)).abs() < 1e-6));
    assert!(series[..3].iter().all(|series| series.loads.iter().all(|&load| (load - 0.5).abs() < 1e-6)));

    the_program_asks_it(&prometheus).await;
}

/// The program, with the arguments of the chart's CronJob.
async fn the_program_asks_it(prometheus: &Prometheus) {
    let shipped = env!("CARGO_MANIFEST_DIR");
    let run = async |query: &str| {
        let arguments = [
            format!("--prometheus=http://{}", prometheus.address),
            format!("--query={query}"),
            "--period=15s".to_owned(),
            "--hours=48".to_owned(),
            format!("--shipped={shipped}"),
            format!("--out={}", prometheus.folder.path().join("out").display()),
        ];
        let trainer =
            || Command::new(env!("CARGO_BIN_EXE_foreshift-trainer")).arg("retrain").args(arguments).output();
        let done = tokio::task::spawn_blocking(trainer).await.unwrap().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let few = "node_work{node=\"steady\"} / 2 < 0.22";
    let (well, told) = run(few).await;
    assert!(well && told.contains("too little history: 200 samples"), "{told}");
    let (well, told) = run("node_work{node=\"nobody\"}").await;
    assert!(well && told.contains("too little history: 0 samples"), "{told}");
    for (wrong, word) in [
        ("node_work{", "parse error"),
        ("node_work[5m]", "invalid expression type"),
        ("node_work / on(nodes) node_work", "many-to-many"),
    ] {
        let (well, told) = run(wrong).await;
        assert!(!well && told.contains(word) && told.contains(&prometheus.address.to_string()), "{told}");
    }
}

#[tokio::test]
async fn loads_that_are_scraped_as_they_come_keep_their_time_and_end_when_they_are_not_shown_any_more() {
    let prometheus = Prometheus::start().await;
    let began = now();
    prometheus.show("load{node=\"a\"} 0.25\nload{node=\"b \\\"c\\\"\"} 1.5\n".to_owned());
    prometheus.holds("min(count_over_time(load[1m])) > bool 5", "1").await;
    prometheus.show("load{node=\"a\"} 0.75\n".to_owned());
    prometheus.holds("sum(load)", "0.75").await;
    let gone = now();

    let mut history = Recorded::default();
    read(&prometheus.query("load", 1, began - 10, gone + 30), &mut history).await.unwrap();
    let found: Vec<_> = history.by_step().collect();
    let [(a, 1, kept), (b, 1, ended)] = found[..] else { panic!("{found:?}") };
    assert!(a.contains("node=\"a\"") && b.contains("node=\"b \\\"c\\\"\""), "{a} {b}");
    let (&first, &last) = (ended.keys().min().unwrap(), ended.keys().max().unwrap());
    assert!(began <= first && last <= gone && last - first >= 3, "{ended:?}");
    assert!(kept.keys().max().unwrap() > &last, "the other one is looked back at: {kept:?}");
    assert!(ended.values().all(|&load| load == 1.5), "{ended:?}");
    // The change lies where the other series ended, give or take the step in which it happened.
    assert!(
        kept.iter().all(|(&step, &load)| load == if step <= last { 0.25 } else { 0.75 }),
        "{kept:?} {last}"
    );
}
