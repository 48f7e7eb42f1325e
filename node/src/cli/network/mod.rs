//! `micro-node network`: how nodes reach each other, and why so.

mod check;
mod connect;
mod explain;
mod links;
mod ping;
mod routes;
mod services;

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    status,
    table::NOTHING,
    unit,
};
use clap::{Args, Subcommand};
use micro_sdk::{client::Member, wire::status::NodeStatus};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  micro-node network nodes                           who is there, and how this node reaches them
  micro-node network explain b c                     the ways from b to c, what each costs, and which one is gone
  micro-node network ping c
  micro-node network check                           whether each node is reached, and which links are missing
  micro-node network connect 10.0.0.2:8443           link a node that was lost since it moved
  micro-node network routes --service helloworld     where calls of a service go
  micro-node network graph --dot | dot -Tsvg > mesh.svg

Each node measures its links once a second and tells the others what they are like. Each sends what it has for another \
node on the cheapest way that it knows of, over up to three other nodes, and keeps to it until another is clearly \
cheaper. What goes over others is sealed between its two ends.";

/// See how the nodes of the mesh reach each other, and why so
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct NetworkCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Nodes(Nodes),
    Connections(links::Connections),
    Graph(links::Graph),
    Routes(routes::Routes),
    Services(services::Services),
    Check(check::Check),
    Connect(connect::Connect),
    Explain(explain::Explain),
    Ping(ping::Ping),
}

/// List the nodes, and how the asked node reaches them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network nodes
  micro-node network nodes -o wide")]
struct Nodes {}

/// What there is to say of the nodes.
#[derive(Serialize, JsonSchema)]
struct NodesSummary {
    /// How many are listed.
    count: usize,
    /// How many of them the asked node reaches over others.
    relayed: usize,
}

const NODES: ListShape<NodeStatus, NodesSummary> = ListShape::new("network-nodes", &["network nodes"]);

pub(super) const SHAPES: &[Shapes] = &[
    &[&NODES],
    check::SHAPES,
    connect::SHAPES,
    links::SHAPES,
    routes::SHAPES,
    services::SHAPES,
    explain::SHAPES,
    ping::SHAPES,
];

impl NetworkCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Nodes(_) => nodes(globals, output),
            Verb::Connections(verb) => verb.run(globals, output),
            Verb::Graph(verb) => verb.run(globals, output),
            Verb::Routes(verb) => verb.run(globals, output),
            Verb::Services(verb) => verb.run(globals, output),
            Verb::Check(verb) => verb.run(globals, output),
            Verb::Connect(verb) => verb.run(globals, output),
            Verb::Explain(verb) => verb.run(globals, output),
            Verb::Ping(verb) => verb.run(globals, output),
        }
    }
}

fn nodes(globals: &Globals, output: &Output) -> Result<(), Failure> {
    let status = session::run(globals, async |node| Ok(node.status().await?))?;
    if output.json() {
        let relayed = status.nodes.iter().filter(|node| !node.relays.is_empty()).count();
        let summary = NodesSummary { count: status.nodes.len(), relayed };
        return output.items(&NODES, &status.nodes, &summary);
    }
    output.table(&status::nodes_table(&status, output.wide()), "there are no nodes")
}

/// Relays, the first one first.
fn via(relays: &[Member]) -> String {
    match relays {
        [] => "direct".to_owned(),
        relays => format!("via {}", names(relays).join(", ")),
    }
}

fn names(nodes: &[Member]) -> Vec<&str> {
    nodes.iter().map(|node| node.name.as_str()).collect()
}

/// A time in milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn ms_text(time: Duration) -> String {
    unit::milliseconds(ms(time))
}

/// A share of packets, for people.
fn percent(share: f64) -> String {
    match share {
        0.0 => NOTHING.to_owned(),
        share => format!("{:.1}%", 100.0 * share),
    }
}

/// The address of a node to which there is a direct link that is up.
fn reached_at(node: &NodeStatus) -> Option<&str> {
    node.path.as_deref()?.strip_prefix("direct ")
}
