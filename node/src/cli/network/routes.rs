//! `micro-node network routes`: where calls of services go.

use super::{Failure, Globals, ListShape, Output, Shapes, reached_at, session};
use crate::cli::{
    table::{NOTHING, Table},
    unit,
};
use clap::Args;
use micro_sdk::{
    client::{HealthState, ServiceInstance, ServiceListing},
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
/// and the METRIC what it costs to get there: 1 for the asked node itself, else 10 and the round trip in
/// milliseconds. No calls go to instances that do not work: where none of a node does, the route is listed last, as 0
/// of however many.
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
    /// Where the node is reached that offers it, if there is a direct link; else where it is dialled first.
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
    /// How many of them work: no others are called.
    pub working: usize,
}

impl RouteItem<'_> {
    /// Whether calls can go there: there is a way, and an instance that works.
    pub fn is_open(&self) -> bool {
        self.metric.is_some() && self.working > 0
    }
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
        let headers = [
            "SERVICE",
            "INSTANCES",
            "ADDRESS",
            "GATEWAY",
            "ROUTER",
            "NETWORK",
            "METRIC",
            "LINK",
            "RTT",
            "PATH",
        ];
        let mut table = Table::new(headers);
        for route in &routes {
            table.row([
                route.service.to_owned(),
                counted(route.working, route.instances),
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

/// How many instances there are; and of how many, where some do not work.
pub(super) fn counted(working: usize, all: usize) -> String {
    if working == all { all.to_string() } else { format!("{working}/{all}") }
}

/// A route for each service and node that offers it: of a service, those first that calls can go, the cheapest before
/// the others.
pub(super) fn routes<'a>(status: &'a Status, services: &'a [ServiceListing]) -> Vec<RouteItem<'a>> {
    let mut routes = Vec::new();
    for service in services {
        for node in &status.nodes {
            let id = node.id.to_string();
            let there = service.instances.iter().filter(|instance| instance.node == id);
            let works = |instance: &&ServiceInstance| instance.health.state == HealthState::Passing;
            let (instances, working) = (there.clone().count(), there.filter(works).count());
            if instances > 0 {
                routes.push(RouteItem { instances, working, ..route(status, &service.name, node) });
            }
        }
    }
    routes.sort_by_key(|route| {
        (route.service, !route.is_open(), route.metric.unwrap_or(u64::MAX), route.router)
    });
    routes
}

/// The way of calls of a service to a node, whatever there is of it.
fn route<'a>(status: &Status, service: &'a str, node: &'a NodeStatus) -> RouteItem<'a> {
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
        address: reached_at(node).unwrap_or(&node.address),
        gateway: path.first().copied().filter(|_| !here && link != "down"),
        router: &node.name,
        router_id: node.id.to_string(),
        network: status.cluster.to_string(),
        metric,
        link,
        rtt_ms: node.rtt_ms,
        path,
        instances: 0,
        working: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::sample;
    use micro_sdk::{client::InstanceHealth, wire::NodeId};
    use std::collections::BTreeMap;

    fn instance(node: NodeId, state: HealthState) -> ServiceInstance {
        ServiceInstance {
            id: "1".to_owned(),
            version: "1".to_owned(),
            node: node.to_string(),
            node_name: String::new(),
            endpoints: Vec::new(),
            metadata: BTreeMap::new(),
            health: InstanceHealth { state, ..InstanceHealth::default() },
        }
    }

    fn shop(instances: Vec<ServiceInstance>) -> [ServiceListing; 1] {
        [ServiceListing { name: "shop".to_owned(), instances }]
    }

    #[test]
    fn each_node_that_offers_a_service_is_a_route_the_cheapest_first() {
        let mut status = sample();
        let (here, there) = (status.nodes[0].id, status.nodes[1].id);
        status.nodes[1].path = Some("via c, d".to_owned());
        status.nodes[1].relays = vec!["c".to_owned(), "d".to_owned()];
        status.nodes[1].rtt_ms = Some(41.6);
        let services = shop([there, here, there].map(|node| instance(node, HealthState::Passing)).to_vec());
        let found = routes(&status, &services);
        let [local, relayed] = &found[..] else { panic!("two: {found:?}") };
        assert_eq!((local.link, local.metric, local.gateway, local.instances), ("local", Some(1), None, 1));
        assert_eq!((relayed.link, relayed.metric, relayed.gateway), ("relayed", Some(52), Some("c")));
        assert_eq!(relayed.path, ["c", "d", status.nodes[1].name.as_str()]);
        assert_eq!((relayed.instances, relayed.working), (2, 2));
    }

    #[test]
    fn a_route_that_no_call_goes_comes_last_and_says_so() {
        let status = sample();
        let (here, there) = (status.nodes[0].id, status.nodes[1].id);
        let services =
            shop(vec![instance(here, HealthState::Failing), instance(there, HealthState::Passing)]);
        let found = routes(&status, &services);
        let routers: Vec<_> = found.iter().map(|route| (route.router, route.is_open())).collect();
        assert_eq!(routers, [("bravo", true), ("alpha", false)]);
        assert_eq!(counted(found[1].working, found[1].instances), "0/1");
    }
}
