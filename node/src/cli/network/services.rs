//! `micro-node network services`: which services there are, which of their instances can be called from here, and how
//! far the nearest is.

use super::{
    Failure, Globals, ListShape, Output, Shapes,
    routes::{RouteItem, counted, routes},
    session,
};
use crate::cli::{
    table::{NOTHING, Table},
    unit,
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// List the services, and how far the nearest of their instances is that can be called
///
/// Where some instances do not work, it says how many of how many do. A service without a NEAREST is known, and can't
/// be called from the asked node just now: `micro-node services NAME` says how each instance is.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node network services")]
pub(super) struct Services {}

/// A service as the asked node reaches it.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct ServiceItem<'a> {
    /// The service.
    service: &'a str,
    /// Its running copies.
    instances: usize,
    /// How many of them work: no others are called.
    working: usize,
    /// The nodes that offer it.
    nodes: usize,
    /// The nearest of them that can be reached and has an instance that works; none if it can't be called just now.
    nearest: Option<&'a str>,
    /// The round trip to it, in milliseconds; none on the asked node.
    rtt_ms: Option<f64>,
}

/// What there is to say of them.
#[derive(Serialize, JsonSchema)]
struct ServicesSummary {
    /// How many are listed.
    count: usize,
}

const SERVICES: ListShape<ServiceItem<'static>, ServicesSummary> =
    ListShape::new("network-services", &["network services"]);

pub(super) const SHAPES: Shapes = &[&SERVICES];

impl Services {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (status, listed) = session::run(globals, async |node| {
            let status = node.status().await?;
            Ok((status, node.services().await?))
        })?;
        let routes = routes(&status, &listed);
        let items = items(&routes);
        if output.json() {
            return output.items(&SERVICES, &items, &ServicesSummary { count: items.len() });
        }
        let mut table = Table::new(["SERVICE", "INSTANCES", "NODES", "NEAREST", "RTT"]);
        for item in &items {
            table.row([
                item.service.to_owned(),
                counted(item.working, item.instances),
                item.nodes.to_string(),
                item.nearest.unwrap_or(NOTHING).to_owned(),
                item.rtt_ms.map_or_else(|| NOTHING.to_owned(), unit::milliseconds),
            ]);
        }
        output.table(&table, "no services: start one beside a node, and it is found")
    }
}

/// One line for each service. Its routes come one after the other, the cheapest that calls can go first.
fn items<'a>(routes: &[RouteItem<'a>]) -> Vec<ServiceItem<'a>> {
    let of = |routes: &[RouteItem<'a>]| {
        let nearest = routes.iter().find(|route| route.is_open());
        ServiceItem {
            service: routes[0].service,
            instances: routes.iter().map(|route| route.instances).sum(),
            working: routes.iter().map(|route| route.working).sum(),
            nodes: routes.len(),
            nearest: nearest.map(|route| route.router),
            rtt_ms: nearest.and_then(|route| route.rtt_ms),
        }
    };
    routes.chunk_by(|one, other| one.service == other.service).map(of).collect()
}
