//! The proxies that are compared: each a process of its own, pinned to core 0, with one thread, the same resources,
//! keep-alive on both sides, and no access log.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::machine;
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How ours is called in tables.
pub(crate) const OURS: &str = "foreshift";

/// A running proxy; ends with this value.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Where it takes HTTP/2 with prior knowledge.
    pub(crate) http2: SocketAddr,
    /// Where ours tells its metrics.
    admin: Option<SocketAddr>,
    process: Child,
}

/// Where their programs are.
#[derive(Debug, Args)]
pub(crate) struct Programs {
    /// Our program.
    #[arg(long)]
    pub(crate) router: PathBuf,
    /// Theirs; who is not named is left out.
    #[arg(long)]
    pub(crate) envoy: Option<PathBuf>,
    /// See there.
    #[arg(long)]
    pub(crate) haproxy: Option<PathBuf>,
    /// See there.
    #[arg(long)]
    pub(crate) nginx: Option<PathBuf>,
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Assigns by the engine's rules.
    Router,
    Envoy,
    Haproxy,
    Nginx,
}

/// How theirs choose a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    /// By turns.
    Turns,
    /// Of two at random the one with fewer requests in flight.
    TwoChoices,
}

/// A proxy as it is to be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) balance: Balance,
}

/// What the proxies stand in front of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources<'a> {
    pub(crate) addresses: &'a [SocketAddr],
    /// Ours takes them for endpoints of so many resources, by turns; the first resource is the lead.
    pub(crate) count: usize,
    /// Cores of each resource.
    pub(crate) cores: f64,
}

impl Peer {
    /// User and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        machine::cpu(self.process.id())
    }

    /// Resident memory in MB.
    pub(crate) fn rss(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts those of `contenders` whose programs are there, with their configuration in `folder`.
pub(crate) async fn start(
    programs: &Programs,
    contenders: &[Contender],
    resources: Resources<'_>,
    folder: &Path,
) -> io::Result<Vec<Peer>> {
    fs::create_dir_all(folder)?;
    let mut peers = Vec::new();
    for contender in contenders {
        peers.extend(start_one(programs, *contender, resources, folder)?);
    }
    for peer in &peers {
        listens(peer).await?;
    }
    Ok(peers)
}

fn start_one(
    programs: &Programs,
    Contender { name, program, balance }: Contender,
    resources: Resources<'_>,
    folder: &Path,
) -> io::Result<Option<Peer>> {
    let path = |path: &Path| path.display().to_string();
    let write = |extension: &str, text: String| -> io::Result<String> {
        let file = folder.join(format!("{}.{extension}", name.replace(' ', "-")));
        fs::write(&file, text)?;
        Ok(path(&file))
    };
    let listen = free()?;
    // This one takes one version at a port.
    let http2 = if program == Program::Nginx { free()? } else { listen };
    let mut admin = None;
    let addresses = resources.addresses;
    let (binary, arguments) = match program {
        Program::Router => {
            let told = free()?;
            admin = Some(told);
            let route = write("yaml", router(resources))?;
            let arguments = ["--threads", "1", "--log", "warn", "--routes", &route].map(String::from);
            let addresses = ["--listen".into(), listen.to_string(), "--admin".into(), told.to_string()];
            (Some(&programs.router), arguments.into_iter().chain(addresses).collect())
        }
        Program::Envoy => {
            let config = write("yaml", envoy(listen, addresses, balance))?;
            let quiet = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", &config];
            (programs.envoy.as_ref(), quiet.map(String::from).to_vec())
        }
        Program::Haproxy => {
            let config = write("cfg", haproxy(listen, addresses, balance))?;
            (programs.haproxy.as_ref(), ["-q", "-db", "-f", &config].map(String::from).to_vec())
        }
        Program::Nginx => {
            let config = write("conf", nginx([listen, http2], addresses, folder))?;
            (programs.nginx.as_ref(), ["-c", &config, "-p", &path(folder)].map(String::from).to_vec())
        }
    };
    let Some(binary) = binary else { return Ok(None) };
    let log = fs::File::create(folder.join(format!("{}.log", name.replace(' ', "-"))))?;
    let process = Command::new("taskset")
        .args(["-c", "0"])
        .arg(binary)
        .args::<Vec<String>, _>(arguments)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(Some(Peer { name, address: listen, http2, admin, process }))
}

/// The time that 99 % of a router's decisions take at most, in nanoseconds, to within an eighth.
pub(crate) async fn decision_p99(peer: &Peer) -> io::Result<Option<f64>> {
    let Some(admin) = peer.admin else { return Ok(None) };
    let mut stream = tokio::net::TcpStream::connect(admin).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let quantile = text.lines().find(|line| {
        line.starts_with("foreshift_router_decision_quantile_seconds{") && line.contains("quantile=\"0.99\"")
    });
    let seconds = quantile.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(seconds.map(|seconds| seconds * 1e9))
}

async fn listens(peer: &Peer) -> io::Result<()> {
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(peer.address).await.is_ok() {
            // Ours reads its routes at its first tick.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(io::Error::other(format!("{} does not listen; see its log", peer.name)))
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn router(Resources { addresses, count, cores }: Resources<'_>) -> String {
    let names: Vec<String> = (0..count).map(|i| format!("r{i}")).collect();
    let alternates: Vec<String> =
        names[1..].iter().map(|name| format!("{{service: {name}, port: 80}}")).collect();
    let backend = |(i, name): (usize, &String)| {
        let endpoints = addresses.iter().skip(i).step_by(count).map(|address| format!("\"{address}\""));
        let endpoints = endpoints.collect::<Vec<_>>().join(", ");
        format!("    {name}: {{endpoints: [{endpoints}], capacity: {cores}}}\n")
    };
    let backends: String = names.iter().enumerate().map(backend).collect();
    format!(
        "routes:\n- name: journal\n  spec:\n    lead: {{service: r0, port: 80}}\n    alternates: [{}]\n    \
         target: {{service: journal}}\n    warmUp: {{duration: 0s}}\n  resources:\n{backends}",
        alternates.join(", "),
    )
}

fn envoy(listen: SocketAddr, resources: &[SocketAddr], balance: Balance) -> String {
    let policy = match balance {
        Balance::Turns => "lb_policy: ROUND_ROBIN",
        Balance::TwoChoices => "lb_policy: LEAST_REQUEST\n    least_request_lb_config: {choice_count: 2}",
    };
    let endpoint = |address: &SocketAddr| {
        format!(
            "        - endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}\n",
            address.ip(),
            address.port()
        )
    };
    let endpoints: String = resources.iter().map(endpoint).collect();
    format!(
        r#"static_resources:
  listeners:
  - address: {{socket_address: {{address: {ip}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          generate_request_id: false
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: resources}}}}]}}
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
              suppress_envoy_headers: true
  clusters:
  - name: resources
    type: STATIC
    {policy}
    load_assignment:
      cluster_name: resources
      endpoints:
      - lb_endpoints:
{endpoints}"#,
        ip = listen.ip(),
        port = listen.port()
    )
}

fn haproxy(listen: SocketAddr, resources: &[SocketAddr], balance: Balance) -> String {
    let balance = match balance {
        Balance::Turns => "roundrobin",
        Balance::TwoChoices => "random(2)",
    };
    let servers: Vec<String> =
        resources.iter().enumerate().map(|(i, a)| format!("  server r{i} {a}\n")).collect();
    let servers = servers.concat();
    format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  \
         http-reuse always\nfrontend in\n  bind {listen}\n  default_backend out\nbackend out\n  balance {balance}\n{servers}"
    )
}

fn nginx([listen, http2]: [SocketAddr; 2], resources: &[SocketAddr], folder: &Path) -> String {
    let servers: Vec<String> = resources.iter().map(|a| format!("    server {a} max_fails=0;\n")).collect();
    let servers = servers.concat();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log error;\nevents {{ worker_connections 4000; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/f;\n  \
         uwsgi_temp_path {dir}/u;\n  scgi_temp_path {dir}/s;\n  keepalive_requests 100000000;\n  client_body_buffer_size 128k;\n  \
         upstream out {{\n{servers}    keepalive 64;\n    keepalive_requests 100000000;\n  }}\n  server {{\n    listen {listen};\n    listen {http2} http2;\n    \
         location / {{\n      proxy_pass http://out;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n",
        dir = folder.display()
    )
}
