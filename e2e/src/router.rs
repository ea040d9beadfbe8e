//! The entry router, where it is installed: where entries go in, and where they went.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, api::ListParams};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    error::{Error, Result, ask},
    stage::{NAMESPACE, RESOURCES, TARGET},
};

/// A router: its Service and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Where entries go in.
    address: SocketAddr,
    /// Where each replica tells of itself.
    admins: Vec<SocketAddr>,
}

/// Entries that each resource was given so far, in the order of [`RESOURCES`].
pub type Given = [u64; 3];

const ENTRIES: &str = "entries";
const ADMIN: &str = "admin";
const ASSIGNMENTS: &str = "foreshift_router_assignments_total{";
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

impl Router {
    /// The router behind a Service, named as `NAMESPACE/SERVICE`.
    pub async fn find(client: &Client, named: &str) -> Result<Self> {
        let unfit = |why: &str| {
            Error::Unfit(format!(
                "{named} is no entry router: {why}; install the chart with entryRouter.enabled"
            ))
        };
        let (namespace, name) = named.split_once('/').ok_or_else(|| unfit("name it as NAMESPACE/SERVICE"))?;
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let service = ask(format!("Service {named}"), services.get_opt(name)).await?;
        let spec =
            service.and_then(|service| service.spec).ok_or_else(|| unfit("there is no such Service"))?;
        let ports = spec.ports.iter().flatten();
        let port = ports
            .filter(|port| port.name.as_deref() == Some(ENTRIES))
            .find_map(|p| u16::try_from(p.port).ok());
        let ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
        let address = ip.zip(port).ok_or_else(|| unfit("its Service has no address for entries"))?.into();
        let selector: Vec<String> =
            spec.selector.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pods =
            ask("the router's pods", pods.list(&ListParams::default().labels(&selector.join(",")))).await?;
        let admins: Vec<_> = pods.items.iter().filter_map(admin_of).collect();
        if admins.is_empty() {
            return Err(unfit("it has no pod that runs"));
        }
        Ok(Self { address, admins })
    }

    /// Where entries go in.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether every replica knows the demo's route; if not, what is missing.
    pub async fn knows_the_route(&self) -> Result<(), String> {
        let route = format!("\"{NAMESPACE}/{TARGET}\"");
        for &admin in &self.admins {
            match get(admin, "/debug/decisions").await {
                Some(text) if text.contains(&route) => {}
                Some(_) => return Err(format!("the replica at {admin} does not know route {route}")),
                None => return Err(format!("the replica at {admin} does not answer")),
            }
        }
        Ok(())
    }

    /// What all replicas gave so far; `None` if one of them does not answer.
    pub async fn given(&self) -> Option<Given> {
        let mut sum = [0; 3];
        for &admin in &self.admins {
            let given = given(&get(admin, "/metrics").await?);
            sum = std::array::from_fn(|i| sum[i] + given[i]);
        }
        Some(sum)
    }
}

/// The sums over reasons in a replica's metrics.
fn given(metrics: &str) -> Given {
    let of_route = |line: &&str| {
        line.contains(&format!("namespace=\"{NAMESPACE}\"")) && line.contains(&format!("route=\"{TARGET}\""))
    };
    let mut sum = [0; 3];
    for line in metrics.lines().filter(|line| line.starts_with(ASSIGNMENTS)).filter(of_route) {
        let resource = RESOURCES.iter().position(|name| line.contains(&format!("resource=\"{name}\"")));
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        if let Some((resource, count)) = resource.zip(count) {
            sum[resource] += count;
        }
    }
    sum
}

fn admin_of(pod: &Pod) -> Option<SocketAddr> {
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Running"))?;
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let containers = &pod.spec.as_ref()?.containers;
    let port = containers
        .iter()
        .flat_map(|c| c.ports.iter().flatten())
        .find(|p| p.name.as_deref() == Some(ADMIN))?;
    Some(SocketAddr::new(status.pod_ip.as_ref()?.parse().ok()?, u16::try_from(port.container_port).ok()?))
}

/// What a replica answers, if it does in time.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    timeout(ANSWER_WITHIN, ask_replica(address, path)).await.ok()?.ok()
}

async fn ask_replica(
    address: SocketAddr,
    path: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer =
        async { Ok::<_, hyper::Error>(sender.send_request(request).await?.collect().await?.to_bytes()) };
    let (bytes, _) = tokio::join!(answer, connection);
    Ok(String::from_utf8(bytes?.to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_resources_were_given_is_summed_over_reasons_and_of_this_route_only() {
        let line = |route: &str, resource: &str, reason: &str, count: u64| {
            format!(
                "{ASSIGNMENTS}namespace=\"demo\",route=\"{route}\",resource=\"{resource}\",reason=\"{reason}\"}} {count}\n"
            )
        };
        let metrics = [
            "# TYPE foreshift_router_assignments counter\n".to_owned(),
            line("journal", "journal-a", "LeadHasHeadroom", 100),
            line("journal", "journal-b", "BestAlternate", 20),
            line("journal", "journal-b", "Exploration", 1),
            line("another", "journal-c", "BestAlternate", 7),
        ];
        assert_eq!(given(&metrics.concat()), [100, 21, 0]);
    }
}
