//! What the endpoint picker costs: a real Envoy alone, and the same one that asks the router where each entry goes.
//!
//! Envoys and router share core 0, clients and resources have core 1 (`e2e/bench/picker` pins this program). Runs are short
//! and interleaved; figures are medians. Writes `router-picker.json`, and adds its ratios to `router.json` beside it.

#![allow(clippy::print_stdout, reason = "a table for people")]

use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{MissedTickBehavior, interval_at, sleep},
};

/// Connections of clients.
const CLIENTS: u32 = 32;

/// Entries a second at which the added latency is measured.
const RATE: u32 = 2000;

/// Bytes of an entry.
const ENTRY: usize = 1 << 10;

const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 8\r\n\r\naccepted";

/// Who is asked, and what came of it: entries a second when saturated, p50 and p99 in microseconds at the rate.
#[derive(Default)]
struct Figures {
    throughput: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// A process that ends with this value.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [router, envoy, out, rounds, seconds] = args.as_slice() else {
        return Err("usage: bench-picker ROUTER ENVOY FOLDER ROUNDS SECONDS".into());
    };
    let time = Duration::from_secs_f64(seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(compare(
        Path::new(router),
        Path::new(envoy),
        Path::new(out),
        rounds.parse()?,
        time,
    ))?;
    fs::write(Path::new(out).join("router-picker.json"), serde_json::to_string_pretty(&report)?)?;
    Ok(add_to(&Path::new(out).join("router.json"), &report["ratios"])?)
}

async fn compare(
    router: &Path,
    envoy: &Path,
    out: &Path,
    rounds: usize,
    time: Duration,
) -> io::Result<Value> {
    let resources = [resource().await?, resource().await?];
    let folder = out.join("picker");
    fs::create_dir_all(&folder)?;
    let (picker, listen, admin) = (free()?, free()?, free()?);
    let snapshot = folder.join("routes.yaml");
    fs::write(&snapshot, routes(resources))?;
    let arguments: Vec<String> = ["--threads", "1", "--log", "warn", "--routes"]
        .map(String::from)
        .into_iter()
        .chain([snapshot.display().to_string()])
        .chain(
            [("--listen", listen), ("--admin", admin), ("--picker", picker)].map(|(k, v)| format!("{k}={v}")),
        )
        .collect();
    let _router = start(router, &arguments, &folder.join("router.log"))?;
    let mut envoys = Vec::new();
    for (name, asks) in [("envoy alone", false), ("envoy + picker", true)] {
        let address = free()?;
        let config = folder.join(format!("envoy-{asks}.yaml"));
        fs::write(&config, envoy_config(address, picker, resources, asks))?;
        let mut arguments: Vec<String> =
            ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"].map(String::from).into();
        arguments.push(config.display().to_string());
        let process = start(envoy, &arguments, &folder.join(format!("envoy-{asks}.log")))?;
        ready(address).await?;
        envoys.push((name, address, process, Figures::default()));
    }
    for round in 0..rounds {
        // Whoever comes first in a round does not do so in the next.
        for i in 0..envoys.len() {
            let which = (i + round) % envoys.len();
            let (_, address, _, figures) = &mut envoys[which];
            let (latencies, took) = drive(*address, time, None).await?;
            figures.throughput.push(latencies.len() as f64 / took.as_secs_f64());
            let (latencies, _) = drive(*address, time, Some(RATE)).await?;
            figures.p50.push(quantile(&latencies, 0.5));
            figures.p99.push(quantile(&latencies, 0.99));
        }
    }
    println!("{:<16} {:>10}  {:>9}  {:>9}", "", "entries/s", "p50 us", "p99 us");
    for (name, _, _, figures) in &envoys {
        let of = |values: &[f64]| median(values);
        println!(
            "{name:<16} {:>10.0}  {:>9.0}  {:>9.0}",
            of(&figures.throughput),
            of(&figures.p50),
            of(&figures.p99)
        );
    }
    let (alone, asking) = (&envoys[0].3, &envoys[1].3);
    let pairs = |of: fn(f64, f64) -> f64, a: &[f64], b: &[f64]| {
        median(&a.iter().zip(b).map(|(&a, &b)| of(a, b)).collect::<Vec<_>>())
    };
    let added = pairs(|asking, alone| asking - alone, &asking.p50, &alone.p50);
    let kept = pairs(|asking, alone| asking / alone, &asking.throughput, &alone.throughput);
    println!("ext_proc_added_p50_us               {added:.0}");
    println!("ext_proc_throughput_vs_envoy_alone  {kept:.3}");
    let case = |name: &str, f: &Figures| {
        json!({"peer": name, "bytes": ENTRY, "requests_per_second": median(&f.throughput),
               "p50_us_at_2000": median(&f.p50), "p99_us_at_2000": median(&f.p99)})
    };
    Ok(json!({
        "cases": [case("envoy alone", alone), case("envoy + picker", asking)],
        "ratios": {"ext_proc_added_p50_us": added, "ext_proc_throughput_vs_envoy_alone": kept},
    }))
}

/// Latencies in microseconds: of a closed loop, or of entries at a rate. An answer that is no 202 is an error.
async fn drive(address: SocketAddr, time: Duration, rate: Option<u32>) -> io::Result<(Vec<u32>, Duration)> {
    let began = Instant::now();
    let until = began + time;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|i| {
            let pause = rate.map(|rate| Duration::from_secs(1) * CLIENTS / rate);
            tokio::spawn(client(address, until, pause, i))
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.map_err(io::Error::other)??);
    }
    Ok((latencies, began.elapsed()))
}

async fn client(
    address: SocketAddr,
    until: Instant,
    pause: Option<Duration>,
    i: u32,
) -> io::Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = format!(
        "POST /insert HTTP/1.1\r\nhost: journal\r\nx-entry-type: audit\r\ncontent-length: {ENTRY}\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + ENTRY, b'x');
    let mut ticks = pause.map(|pause| {
        let mut ticks = interval_at(tokio::time::Instant::now() + pause * i / CLIENTS, pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    let (mut latencies, mut buffer) = (Vec::new(), vec![0; 4096]);
    while Instant::now() < until {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let began = Instant::now();
        stream.write_all(&request).await?;
        let mut filled = 0;
        while !buffer[..filled].ends_with(b"accepted") {
            let read = stream.read(&mut buffer[filled..]).await?;
            filled += read;
            if read == 0 || filled == buffer.len() {
                let answer = String::from_utf8_lossy(&buffer[..filled]).into_owned();
                return Err(io::Error::other(format!("not accepted: {answer}")));
            }
        }
        latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}

/// Takes every entry.
async fn resource() -> io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream));
        }
    });
    Ok(address)
}

async fn take(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = (vec![0; 16 << 10], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let head = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if head.is_some_and(|head| filled >= head + ENTRY) {
            filled = 0;
            stream.write_all(ANSWER).await?;
        }
    }
}

fn routes([one, two]: [SocketAddr; 2]) -> String {
    format!(
        "routes:\n- name: journal\n  namespace: shop\n  spec:\n    lead: {{service: a, port: 80}}\n    \
         alternates: [{{service: b, port: 80}}]\n    target: {{service: journal}}\n    warmUp: {{duration: 0s}}\n    \
         classify: {{type: {{header: x-entry-type}}}}\n  resources:\n    \
         a: {{endpoints: [\"{one}\"], capacity: 1}}\n    b: {{endpoints: [\"{two}\"], capacity: 1}}\n"
    )
}

/// The configuration of the tests; alone, it asks nobody and its own round robin decides.
fn envoy_config(listen: SocketAddr, picker: SocketAddr, [one, two]: [SocketAddr; 2], asks: bool) -> String {
    let config = include_str!("../tests/peers/envoy.yaml")
        .replace("@LISTEN@", &listen.port().to_string())
        .replace("@PICKER@", &picker.port().to_string())
        .replace("@ONE@", &one.port().to_string())
        .replace("@TWO@", &two.port().to_string())
        .replace("@ROUTE@", "shop/journal")
        .replace("@BODY@", "NONE")
        .replace("@TRAILER@", "SKIP");
    if asks {
        return config;
    }
    let (before, rest) =
        config.split_once("          - name: envoy.filters.http.ext_proc").unwrap_or((&config, ""));
    match rest.split_once("          - name: envoy.filters.http.router") {
        Some((_, after)) => format!("{before}          - name: envoy.filters.http.router{after}"),
        None => config,
    }
}

fn start(program: &Path, arguments: &[String], log: &Path) -> io::Result<Peer> {
    Command::new("taskset")
        .args(["-c", "0"])
        .arg(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(fs::File::create(log)?)
        .spawn()
        .map(Peer)
}

/// Waits until entries get through.
async fn ready(address: SocketAddr) -> io::Result<()> {
    for _ in 0..300 {
        if drive(address, Duration::from_millis(50), None)
            .await
            .is_ok_and(|(latencies, _)| !latencies.is_empty())
        {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(io::Error::other("no entry gets through; see the logs in the folder `picker`"))
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn add_to(file: &PathBuf, ratios: &Value) -> io::Result<()> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(()) };
    let mut report: Value = serde_json::from_str(&text)?;
    for (name, value) in ratios.as_object().into_iter().flatten() {
        report["ratios"][name] = value.clone();
    }
    fs::write(file, serde_json::to_string_pretty(&report)?)
}

fn quantile(latencies: &[u32], part: f64) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().map_or(f64::NAN, f64::from)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
