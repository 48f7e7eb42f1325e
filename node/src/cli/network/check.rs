//! `micro-node network check`: whether each node is reached, and how.

use super::{Failure, Globals, ListShape, Output, Shapes, ms, session};
use crate::cli::{
    table::{NOTHING, Table},
    unit,
};
use clap::Args;
use futures::future::join_all;
use micro_sdk::{
    client::{Links, Node, Ping},
    wire::{Code, Fault, NodeId, status::Status},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Ask each node whether it is reached, and say which links are missing; an error if a node does not answer
///
/// Nodes that have no link are reached over others: that is no error, but slower, and more depends on it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network check
  micro-node network check -o json | jq '.items[] | select(.unlinked != [])'")]
pub(super) struct Check {}

/// A node, as it was found.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct CheckedItem {
    /// Its name.
    node: String,
    /// Its id.
    id: String,
    /// Whether it answered.
    reached: bool,
    /// How long it took, there and back, in milliseconds; none if it did not answer.
    took_ms: Option<f64>,
    /// The names of the nodes that were passed on the way, the first one first.
    relays: Vec<String>,
    /// The names of nodes that it has no link to, in one direction at least.
    unlinked: Vec<String>,
    /// Why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What there is to say of them.
#[derive(Serialize, JsonSchema)]
struct CheckSummary {
    /// How many there are.
    count: usize,
    /// How many of them did not answer.
    unreached: usize,
}

const CHECKED: ListShape<CheckedItem, CheckSummary> = ListShape::new("network-check", &["network check"]);

pub(super) const SHAPES: Shapes = &[&CHECKED];

impl Check {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let items = session::run(globals, async |node| Ok(checked(&node).await?))?;
        let unreached = items.iter().filter(|item| !item.reached).count();
        if output.json() {
            output.items(&CHECKED, &items, &CheckSummary { count: items.len(), unreached })?;
        } else {
            output.table(&table(&items), "there are no nodes")?;
        }
        match items.iter().find(|item| !item.reached) {
            None => Ok(()),
            Some(first) => {
                let why = first.problem.as_deref().unwrap_or("no answer");
                let message =
                    format!("{unreached} of {} nodes can't be reached: {}, {why}", items.len(), first.node);
                Err(Fault::new(Code::Unreachable, message)
                    .help(format!("look at its ways: `micro-node network explain {}`", first.node))
                    .help("see `micro-node status` for what else is wrong")
                    .into())
            }
        }
    }
}

async fn checked(node: &Node) -> Result<Vec<CheckedItem>, Fault> {
    let (status, links) = (node.status().await?, node.links().await?);
    let pings =
        join_all(status.nodes.iter().map(|other| async { node.ping(&other.id.to_string()).await })).await;
    let items = status.nodes.iter().zip(pings);
    Ok(items.map(|(other, ping)| item(&status, &links, other.id, &other.name, ping)).collect())
}

fn item(status: &Status, links: &Links, id: NodeId, name: &str, ping: Result<Ping, Fault>) -> CheckedItem {
    let own = id.to_string();
    let linked = |from: &str, to: &str| links.links.iter().any(|link| link.from == from && link.to == to);
    let others = status.nodes.iter().filter(|other| other.id != id);
    let unlinked = others.filter(|other| {
        let other = other.id.to_string();
        !linked(&own, &other) || !linked(&other, &own)
    });
    let relays = |ping: &Ping| ping.relays.iter().map(|relay| relay.name.clone()).collect();
    CheckedItem {
        node: name.to_owned(),
        id: own.clone(),
        reached: ping.is_ok(),
        took_ms: ping.as_ref().ok().map(|ping| ms(ping.took)),
        relays: ping.as_ref().map(relays).unwrap_or_default(),
        unlinked: unlinked.map(|other| other.name.clone()).collect(),
        problem: ping.err().map(|fault| fault.message),
    }
}

fn table(items: &[CheckedItem]) -> Table {
    let mut table = Table::new(["NODE", "REACHED", "TOOK", "PATH", "NO LINK TO"]);
    for item in items {
        let listed = |names: &[String]| if names.is_empty() { NOTHING.to_owned() } else { names.join(", ") };
        let path = match (item.reached, &item.relays[..]) {
            (false, _) => NOTHING.to_owned(),
            (true, []) => "direct".to_owned(),
            (true, relays) => format!("via {}", relays.join(", ")),
        };
        table.row([
            item.node.clone(),
            if item.reached { "yes" } else { "no" }.to_owned(),
            item.took_ms.map_or_else(|| NOTHING.to_owned(), unit::milliseconds),
            path,
            listed(&item.unlinked),
        ]);
    }
    table
}
