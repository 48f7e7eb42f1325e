//! `micro-node network connect`.

use super::{Failure, Globals, ListShape, Output, Shapes, session};
use crate::cli::table::{NOTHING, Table};
use clap::Args;
use micro_sdk::{
    client::{Address, Node},
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Have the asked node link nodes of its mesh at these addresses
///
/// For nodes that have lost each other, since each moved while the other was away: one is told where the other listens,
/// and gossip does the rest. Who joins a mesh for the first time needs a token: `micro-node token create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node network connect 10.0.0.2:8443                     the node that listens there now
  micro-node network connect beta.example.org:8443 10.0.0.3:8443
  micro-node --address unix:/run/b.sock network connect 10.0.0.1:8443

The address is that of its mesh listener: `micro-node config view` on its host shows it as mesh-listen. It is kept, \
and dialled beside what the node tells of itself.")]
pub(super) struct Connect {
    /// Where they listen: IP:PORT, or HOST:PORT, which the asked node looks up
    #[arg(required = true, value_name = "ADDRESS", num_args = 1..=64)]
    addresses: Vec<Address>,
}

/// An address, and what was found there.
#[derive(Serialize, JsonSchema)]
struct ConnectedItem {
    /// The address that was asked for.
    address: String,
    /// Whether a node of the mesh was found there.
    connected: bool,
    /// The name of the node; none if there is none.
    node: Option<String>,
    /// Its id.
    id: Option<String>,
    /// Where it answered: one of the addresses of a name that was looked up.
    found_at: Option<String>,
    /// Why no node was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What there is to say of them.
#[derive(Serialize, JsonSchema)]
struct ConnectSummary {
    /// How many there are.
    count: usize,
    /// At how many of them no node was found.
    failed: usize,
}

const CONNECTED: ListShape<ConnectedItem, ConnectSummary> =
    ListShape::new("network-connect", &["network connect"]);

pub(super) const SHAPES: Shapes = &[&CONNECTED];

impl Connect {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (items, faults) = session::run(globals, async |node| self.connected(&node).await)?;
        let summary = ConnectSummary { count: items.len(), failed: faults.len() };
        if output.json() {
            output.items(&CONNECTED, &items, &summary)?;
        } else if summary.failed < summary.count {
            output.table(&table(&items), "")?;
        }
        // One that stands alone says itself what to do.
        match faults.into_iter().next() {
            None => Ok(()),
            Some(fault) if summary.failed == 1 => Err(fault.into()),
            Some(first) => {
                let message = format!(
                    "at {} of {} addresses no node was found: {}",
                    summary.failed, summary.count, first.message
                );
                Err(Fault { message, ..first }.into())
            }
        }
    }

    /// What came of each. All are tried, whatever becomes of the others; what the caller may not do is no outcome.
    async fn connected(&self, node: &Node) -> Result<(Vec<ConnectedItem>, Vec<Fault>), Failure> {
        let (mut items, mut faults) = (Vec::new(), Vec::new());
        for address in self.addresses.iter().map(Address::to_string) {
            match node.connect_node(&address).await {
                Ok(found) => items.push(ConnectedItem {
                    address,
                    connected: true,
                    node: Some(found.node.name),
                    id: Some(found.node.id),
                    found_at: Some(found.address),
                    problem: None,
                }),
                Err(fault) if fault.code == Code::Denied => return Err(fault.into()),
                Err(fault) => {
                    let (node, id, found_at) = (None, None, None);
                    let problem = Some(fault.message.clone());
                    items.push(ConnectedItem { address, connected: false, node, id, found_at, problem });
                    faults.push(fault);
                }
            }
        }
        Ok((items, faults))
    }
}

fn table(items: &[ConnectedItem]) -> Table {
    let mut table = Table::new(["ADDRESS", "NODE", "NODE ID"]);
    for item in items {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
        table.row([item.address.clone(), or_nothing(&item.node), or_nothing(&item.id)]);
    }
    table
}
