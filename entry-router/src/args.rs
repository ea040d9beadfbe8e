//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use foreshift_api::Span;
use foreshift_daemon::log::LogFormat;

use crate::{assigner::Settings, proxy::Limits, snapshot::RouteKey};

/// Assigns every single entry of a route to its lead or an alternate.
#[derive(Clone, Debug, Parser)]
#[command(name = "foreshift-entry-router", version)]
pub struct Args {
    /// Where entries come in, by HTTP/1.1 or HTTP/2.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// A file with the certificate of the listener and those that vouch for it, in PEM; then entries come by TLS only. Read anew when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// A file with the certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Where health, metrics and the last decisions are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9101")]
    pub admin: SocketAddr,
    /// Where journal services that send entries themselves ask, by gRPC or JSON; closed by default.
    #[arg(long, value_name = "ADDRESS")]
    pub api: Option<SocketAddr>,
    /// Where Envoy and other gateways ask for endpoints, by external processing; closed by default.
    #[arg(long, value_name = "ADDRESS")]
    pub picker: Option<SocketAddr>,
    /// Threads that serve; one a core by default.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// A file with routes and endpoints, instead of a cluster; read anew when it changes.
    #[arg(long, value_name = "FILE")]
    pub routes: Option<PathBuf>,
    /// The old name of `--routes`.
    #[arg(long, hide = true, value_parser = renamed)]
    standing: Option<Never>,
    /// The one route to serve; by default that whose target the client names as host.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = key)]
    pub route: Option<RouteKey>,
    /// The Service of the router's own replicas, to know how many share a route's entries.
    #[arg(long, env = "ROUTER_SERVICE", value_name = "NAMESPACE/NAME", value_parser = key)]
    pub service: Option<RouteKey>,
    /// The name of this replica in the status of routes.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Part of the entries that go to an alternate with room to learn how it does, 0 to 0.03.
    #[arg(long, value_name = "PART", default_value = "0.01", value_parser = exploration)]
    pub explore: f64,
    /// Entries of one route under way at once; beyond it clients are answered 429.
    #[arg(long, value_name = "COUNT", default_value_t = Settings::default().most_in_flight)]
    pub most_in_flight: usize,
    /// Connections of clients at once; beyond it they wait in the kernel.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().connections)]
    pub connections: usize,
    /// How long a resource may take to answer, and either side to send the next piece of a body.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub answer_timeout: Duration,
    /// Bytes a second at which a body of a known length must come at least, on average over the answer's time; 0 for any.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body_rate)]
    pub body_rate: u64,
    /// How long a connection to a resource may take.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub connect_timeout: Duration,
    /// How long a client may take to send the head of a request, and how long its connection may idle.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub head_timeout: Duration,
    /// Bytes of one body that are kept to send them once more; longer ones are sent once.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().kept_each)]
    pub retry_bytes: usize,
    /// Part of the entries that the access log tells of, 0 to 1: a line each under the name `access`, which --log can turn off.
    #[arg(long, value_name = "PART", default_value = "0", value_parser = part)]
    pub access_log: f64,
    /// How long to go on accepting after SIGTERM, until everybody knows that this replica leaves.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub leave_after: Duration,
    /// Log filter: a level, or levels by module.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

impl Args {
    /// How entries are assigned.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { explore: self.explore, most_in_flight: self.most_in_flight }
    }

    /// Who this replica is.
    #[must_use]
    pub fn observer(&self) -> String {
        self.pod_name.clone().unwrap_or_else(|| format!("foreshift-entry-router-{}", std::process::id()))
    }

    /// The proxy's bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            connect: self.connect_timeout,
            answer: self.answer_timeout,
            head: self.head_timeout,
            body_rate: self.body_rate,
            connections: self.connections,
            kept_each: self.retry_bytes,
            told: self.access_log,
            ..Limits::default()
        }
    }
}

/// The value of a flag that has another name now: parsing always fails with that name.
#[derive(Clone, Debug)]
enum Never {}

fn renamed(_: &str) -> Result<Never, String> {
    Err("renamed: use --routes".into())
}

fn key(text: &str) -> Result<RouteKey, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(RouteKey { namespace: namespace.into(), name: name.into() })
        }
        _ => Err("give it as namespace/name".into()),
    }
}

fn exploration(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|part| (0.0..=0.03).contains(part))
        .ok_or_else(|| "give a part from 0 to 0.03".into())
}

fn part(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|part| (0.0..=1.0).contains(part))
        .ok_or_else(|| "give a part from 0 to 1".into())
}

fn time(text: &str) -> Result<Duration, String> {
    Ok(text.parse::<Span>()?.get())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_what_is_wrong_is_refused() {
        Args::command().debug_assert();
        let parsed = |args: &[&str]| Args::try_parse_from(std::iter::once(&"router").chain(args));
        let args = parsed(&["--route", "shop/journal", "--explore", "0"]).unwrap();
        assert_eq!((args.route.unwrap().to_string().as_str(), args.explore), ("shop/journal", 0.0));
        for wrong in [
            ["--route", "journal"],
            ["--explore", "0.5"],
            ["--explore", "NaN"],
            ["--answer-timeout", "soon"],
            ["--tls-cert", "x"],
            ["--access-log", "2"],
        ] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
