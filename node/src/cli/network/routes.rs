//! `micro-node network routes`: where calls of services go.

use super::{Failure, Globals, ListShape, Output, Shapes, session};
use crate::cli::{
    table::{NOTHING, Table},
    unit,
};
use clap::Args;
use micro_sdk::{
    client::ServiceListing,
    wire::{
        ServiceName,
        status::{NodeStatus, Status},
    },
};
use schemars::JsonSchema;
use serde::Serialize;

/// List the routes to services, as the asked node would go them
///
/// Each is to one node that offers the service. The ROUTER is that node, the GATEWAY the first node on the way to it,
/// and the METRIC what it costs to get there: 1 for the asked node itself, else 10 and the round trip in milliseconds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network routes
  micro-node network routes --service helloworld
  micro-node network routes --router b -o json")]
pub(super) struct Routes {
    /// Only those to this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,

    /// Only those whose first node is this one, by name
    #[arg(long, value_name = "NODE")]
    gateway: Option<String>,

    /// Only those that end at this node, by name
    #[arg(long, value_name = "NODE")]
    router: Option<String>,
}

/// A route to a service.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct RouteItem<'a> {
    /// The service.
    pub service: &'a str,
    /// Where the node is dialled that offers it.
    address: &'a str,
    /// The first node on the way there; none if the service is on the asked node.
    gateway: Option<&'a str>,
    /// The node that offers it.
    pub router: &'a str,
    /// The id of that node.
    router_id: String,
    /// The mesh.
    network: String,
    /// What it costs to get there: 1 for the asked node, else 10 and the round trip in milliseconds; none if there is
    /// no way.
    pub metric: Option<u64>,
    /// `local`, `direct`, `relayed` or `down`.
    link: &'static str,
    /// The round trip, in milliseconds; none on the asked node, and without a way.
    pub rtt_ms: Option<f64>,
    /// The nodes that a call passes, with the one that offers the service as the last.
    path: Vec<&'a str>,
    /// Running copies of the service there.
    pub instances: usize,
}

/// What there is to say of the routes.
#[derive(Serialize, JsonSchema)]
struct RoutesSummary {
    /// How many are listed.
    count: usize,
}

const ROUTES: ListShape<RouteItem<'static>, RoutesSummary> =
    ListShape::new("network-routes", &["network routes"]);

pub(super) const SHAPES: Shapes = &[&ROUTES];

impl Routes {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (status, services) = session::run(globals, async |node| {
            let status = node.status().await?;
            Ok((status, node.services().await?))
        })?;
        let mut routes = routes(&status, &services);
        routes.retain(|route| self.wants(route));
        if output.json() {
            return output.items(&ROUTES, &routes, &RoutesSummary { count: routes.len() });
        }
        let headers = ["SERVICE", "ADDRESS", "GATEWAY", "ROUTER", "NETWORK", "METRIC", "LINK", "RTT", "PATH"];
        let mut table = Table::new(headers);
        for route in &routes {
            table.row([
                route.service.to_owned(),
                route.address.to_owned(),
                route.gateway.unwrap_or(NOTHING).to_owned(),
                route.router.to_owned(),
                route.network.chars().take(8).collect(),
                route.metric.map_or_else(|| "∞".to_owned(), |metric| metric.to_string()),
                route.link.to_owned(),
                route.rtt_ms.map_or_else(|| NOTHING.to_owned(), unit::milliseconds),
                route.path.join(" → "),
            ]);
        }
        output.table(&table, "no routes: no service is offered that fits")
    }

    fn wants(&self, route: &RouteItem<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == found)
        };
        self.service.as_ref().is_none_or(|service| service.as_str() == route.service)
            && is(&self.gateway, route.gateway)
            && is(&self.router, Some(route.router))
    }
}

/// A route for each service and node that offers it, the cheapest of a service first.
pub(super) fn routes<'a>(status: &'a Status, services: &'a [ServiceListing]) -> Vec<RouteItem<'a>> {
    let mut routes = Vec::new();
    for service in services {
        for node in &status.nodes {
            let id = node.id.to_string();
            let instances = service.instances.iter().filter(|instance| instance.node == id).count();
            if instances > 0 {
                routes.push(route(status, &service.name, node, instances));
            }
        }
    }
    routes.sort_by_key(|route| (route.service, route.metric.unwrap_or(u64::MAX), route.router));
    routes
}

fn route<'a>(status: &Status, service: &'a str, node: &'a NodeStatus, instances: usize) -> RouteItem<'a> {
    let here = node.id == status.seen_by;
    let link = match (&node.path, node.relays.len()) {
        _ if here => "local",
        (None, _) => "down",
        (Some(_), 0) => "direct",
        (Some(_), _) => "relayed",
    };
    let path: Vec<&str> = node.relays.iter().chain([&node.name]).map(String::as_str).collect();
    let metric = match node.path {
        _ if here => Some(1),
        Some(_) => Some(10 + node.rtt_ms.unwrap_or(0.0).round() as u64),
        None => None,
    };
    RouteItem {
        service,
        address: &node.address,
        gateway: path.first().copied().filter(|_| !here && link != "down"),
        router: &node.name,
        router_id: node.id.to_string(),
        network: status.cluster.to_string(),
        metric,
        link,
        rtt_ms: node.rtt_ms,
        path,
        instances,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::sample;
    use micro_sdk::client::ServiceInstance;

    #[test]
    fn each_node_that_offers_a_service_is_a_route_the_cheapest_first() {
        let mut status = sample();
        let (here, there) = (status.nodes[0].id, status.nodes[1].id);
        status.nodes[1].path = Some("via c, d".to_owned());
        status.nodes[1].relays = vec!["c".to_owned(), "d".to_owned()];
        status.nodes[1].rtt_ms = Some(41.6);
        let instance = |node: micro_sdk::wire::NodeId| ServiceInstance {
            id: "1".to_owned(),
            version: "1".to_owned(),
            node: node.to_string(),
            node_name: String::new(),
            endpoints: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health: micro_sdk::client::InstanceHealth::default(),
        };
        let instances = vec![instance(there), instance(here), instance(there)];
        let services = [ServiceListing { name: "shop".to_owned(), instances }];
        let found = routes(&status, &services);
        let [local, relayed] = &found[..] else { panic!("two: {found:?}") };
        assert_eq!((local.link, local.metric, local.gateway, local.instances), ("local", Some(1), None, 1));
        assert_eq!((relayed.link, relayed.metric, relayed.gateway), ("relayed", Some(52), Some("c")));
        assert_eq!(relayed.path, ["c", "d", status.nodes[1].name.as_str()]);
        assert_eq!(relayed.instances, 2);
    }
}
