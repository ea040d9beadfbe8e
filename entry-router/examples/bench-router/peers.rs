//! The proxies that are compared: each a process of its own, pinned to core 0, with one thread, the same resources by
//! turns, keep-alive on both sides, and no access log.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How ours is called in tables.
pub(crate) const OURS: &str = "foreshift";

/// A running proxy; ends with this value.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Where ours tells its metrics.
    admin: Option<SocketAddr>,
    process: Child,
}

/// Where their programs are.
pub(crate) struct Programs {
    pub(crate) router: PathBuf,
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) nginx: Option<PathBuf>,
}

impl Peer {
    /// User and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0
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

/// Starts all of them with their configuration in `folder`.
pub(crate) async fn start(
    programs: &Programs,
    resources: &[SocketAddr],
    folder: &Path,
) -> io::Result<Vec<Peer>> {
    fs::create_dir_all(folder)?;
    let ports: Vec<SocketAddr> = (0..5).map(|_| free()).collect::<io::Result<_>>()?;
    let write = |name: &str, text: String| -> io::Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let route = write("router.yaml", router(resources))?;
    let envoy_config = write("envoy.yaml", envoy(ports[1], resources))?;
    let haproxy_config = write("haproxy.cfg", haproxy(ports[2], resources))?;
    let nginx_config = write("nginx.conf", nginx(ports[3], resources, folder))?;
    let mut peers = Vec::new();
    let mut add = |name, address, program: &Path, args: Vec<String>| -> io::Result<()> {
        let process = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(args)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join(format!("{name}.log")))?)
            .spawn()?;
        let admin = (name == OURS).then_some(ports[4]);
        peers.push(Peer { name, address, admin, process });
        Ok(())
    };
    let path = |path: &Path| path.display().to_string();
    let ours = ["--threads", "1", "--log", "warn", "--standing"].map(String::from).into_iter();
    let ours = ours.chain([
        path(&route),
        "--listen".into(),
        ports[0].to_string(),
        "--admin".into(),
        ports[4].to_string(),
    ]);
    add(OURS, ports[0], &programs.router, ours.collect())?;
    if let Some(program) = &programs.envoy {
        let quiet = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"].map(String::from);
        add("envoy", ports[1], program, quiet.into_iter().chain([path(&envoy_config)]).collect())?;
    }
    if let Some(program) = &programs.haproxy {
        add(
            "haproxy",
            ports[2],
            program,
            vec!["-q".into(), "-db".into(), "-f".into(), path(&haproxy_config)],
        )?;
    }
    if let Some(program) = &programs.nginx {
        add("nginx", ports[3], program, vec!["-c".into(), path(&nginx_config), "-p".into(), path(folder)])?;
    }
    for peer in &peers {
        listens(peer).await?;
    }
    Ok(peers)
}

/// The bound of the histogram's bucket that 99 % of all decisions lie in or below, in nanoseconds.
pub(crate) async fn decision_p99(peers: &[Peer]) -> io::Result<Option<f64>> {
    let Some(admin) = peers.iter().find_map(|peer| peer.admin) else { return Ok(None) };
    let mut stream = tokio::net::TcpStream::connect(admin).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let buckets: Vec<(f64, f64)> = text.lines().filter_map(bucket).collect();
    let all = buckets.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    Ok(buckets.iter().find(|(_, count)| *count >= 0.99 * all).map(|(bound, _)| bound * 1e9))
}

/// Bound and count of a bucket of the decisions' histogram.
fn bucket(line: &str) -> Option<(f64, f64)> {
    let rest = line.strip_prefix("foreshift_router_decision_seconds_bucket{")?;
    let (_, bound) = rest.split_once("le=\"")?;
    let (bound, _) = bound.split_once('"')?;
    let (_, count) = rest.rsplit_once(' ')?;
    Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
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

fn router(resources: &[SocketAddr]) -> String {
    let names: Vec<String> = (0..resources.len()).map(|i| format!("r{i}")).collect();
    let alternates: Vec<String> =
        names[1..].iter().map(|name| format!("{{service: {name}, port: 80}}")).collect();
    let backends: Vec<String> = names
        .iter()
        .zip(resources)
        .map(|(name, address)| format!("    {name}: {{endpoints: [\"{address}\"], capacity: 1}}\n"))
        .collect();
    format!(
        "routes:\n- name: journal\n  spec:\n    lead: {{service: r0, port: 80}}\n    alternates: [{}]\n    \
         target: {{service: journal}}\n    warmUp: {{duration: 0s}}\n  resources:\n{}",
        alternates.join(", "),
        backends.concat()
    )
}

fn envoy(listen: SocketAddr, resources: &[SocketAddr]) -> String {
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
    lb_policy: ROUND_ROBIN
    load_assignment:
      cluster_name: resources
      endpoints:
      - lb_endpoints:
{endpoints}"#,
        ip = listen.ip(),
        port = listen.port()
    )
}

fn haproxy(listen: SocketAddr, resources: &[SocketAddr]) -> String {
    let servers: Vec<String> =
        resources.iter().enumerate().map(|(i, a)| format!("  server r{i} {a}\n")).collect();
    let servers = servers.concat();
    format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  \
         http-reuse always\nfrontend in\n  bind {listen}\n  default_backend out\nbackend out\n  balance roundrobin\n{servers}"
    )
}

fn nginx(listen: SocketAddr, resources: &[SocketAddr], folder: &Path) -> String {
    let servers: Vec<String> = resources.iter().map(|a| format!("    server {a} max_fails=0;\n")).collect();
    let servers = servers.concat();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log error;\nevents {{ worker_connections 4000; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/f;\n  \
         uwsgi_temp_path {dir}/u;\n  scgi_temp_path {dir}/s;\n  keepalive_requests 100000000;\n  client_body_buffer_size 128k;\n  \
         upstream out {{\n{servers}    keepalive 64;\n    keepalive_requests 100000000;\n  }}\n  server {{\n    listen {listen};\n    \
         location / {{\n      proxy_pass http://out;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n",
        dir = folder.display()
    )
}
