//! One tick of many routes over one fleet of nodes: personas to resources, one plan a route, one ledger for all.

use std::time::Duration;

use foreshift_engine::{
    forecast::{Forecast, Quantiles, Rung},
    ledger::Ledger,
    plan::{Input, Memory, Outlook, plan},
    policy::Policy,
    resource::{Freshness, Node, Readiness, Resource, Scores},
};

/// Alternates of a route, nodes of a Service, and routes that share an alternate.
const ALTERNATES: usize = 3;
const NODES: usize = 2;
const SHARED_BY: usize = 2;

/// Routes and the nodes that their Services stand on.
pub(crate) struct Fleet {
    nodes: Vec<Node>,
    routes: Vec<Route>,
    policy: Policy,
    ledger: Ledger,
    seconds: u64,
}

struct Route {
    key: String,
    /// Lead first.
    services: Vec<Service>,
    outlook: Outlook,
    memory: Memory,
}

struct Service {
    name: String,
    nodes: [usize; NODES],
}

impl Fleet {
    pub(crate) fn new(routes: usize, nodes: usize) -> Self {
        let spread = |n: usize| (n * 7919 % 1000) as f64 / 1000.0;
        let node = |n| Node {
            capacity: 4.0 + (n % 3) as f64 * 4.0,
            load: 0.2 + 0.5 * spread(n),
            own_cores: 0.1,
            entries: Some(20.0),
            error_ratio: 0.0,
            endpoints: 2,
            scores: Scores { affinity: 100.0 * spread(n), ..Scores::default() },
            freshness: Freshness::Fresh,
            drained: n % 500 == 0,
        };
        let service = |name: String, n: usize| Service {
            name,
            nodes: std::array::from_fn(|i| (n * 31 + i * 17) % nodes),
        };
        let route = |n: usize| {
            let alternates = (0..ALTERNATES).map(|i| n / SHARED_BY * ALTERNATES + i);
            let lead = service(format!("shop/lead-{n}"), n);
            Route {
                key: format!("shop/route-{n}"),
                services: std::iter::once(lead)
                    .chain(alternates.map(|a| service(format!("shop/alternate-{a}"), a)))
                    .collect(),
                outlook: outlook(0.3 + spread(n)),
                memory: Memory::default(),
            }
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            routes: (0..routes).map(route).collect(),
            policy: Policy::default(),
            ledger: Ledger::default(),
            seconds: 0,
        }
    }

    /// Plans every route once; answers how many shares of leads are below the whole.
    pub(crate) fn tick(&mut self) -> usize {
        self.seconds += 1;
        let now = Duration::from_secs(self.seconds);
        let mut shifted = 0;
        for route in &mut self.routes {
            let resources: Vec<Resource> = route
                .services
                .iter()
                .map(|service| {
                    let nodes = service.nodes.map(|n| self.nodes[n].clone());
                    Resource::from_nodes(&service.name, &nodes, Readiness::Ready)
                })
                .collect();
            let unseen: Vec<f64> =
                resources.iter().map(|r| self.ledger.unseen(&r.name, &route.key, r.own_cores, now)).collect();
            let input = Input {
                now,
                lead: &resources[0],
                alternates: &resources[1..],
                outlook: &route.outlook,
                unseen: &unseen,
                in_force: &[],
                age: Duration::from_secs(2),
                policy: &self.policy,
            };
            let (decision, memory) = plan(&input, std::mem::take(&mut route.memory));
            route.memory = memory;
            shifted += usize::from(decision.lead_share() < 1000);
            self.ledger.enter(&route.key, &decision, &resources[0], str::to_owned, now);
        }
        shifted
    }
}

fn outlook(level: f64) -> Outlook {
    let quantiles = Quantiles { p50: level, p90: level * 1.1, p99: level * 1.3 };
    let series = |seconds| Forecast {
        period: Duration::from_secs(seconds),
        last: level,
        level,
        steps: [quantiles; 4],
        peak: quantiles,
        rung: Rung::Model,
    };
    Outlook { fine: series(2), coarse: series(15) }
}
