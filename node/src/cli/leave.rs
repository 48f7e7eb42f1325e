//! `micro-node leave`.

use super::{confirmation, failure::Failure, globals::Globals, output::Output, session};
use clap::Args;
use micro_sdk::wire::{NodeId, status::Status};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  micro-node leave
  micro-node leave --yes                             without a question, as scripts need
  micro-node leave --address unix:/run/b.sock        another node on this host

A node that only restarts keeps its membership: end it with SIGTERM instead.";

/// Give up a node's membership for good, and end its process
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Leave {}

#[derive(Serialize)]
struct LeaveItem {
    node: NodeId,
    name: String,
}

impl Leave {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        // Two conversations, because the question between them must not hold a connection open, and Ctrl-C at
        // it has to end the process at once.
        let status = session::run(globals, async |node| Ok(node.status().await?))?;
        let (node, name) = (status.seen_by, name(&status));
        confirmation::ask(
            globals,
            &format!(
                "Node {name} ({node}) gives up its place in mesh {} for good. It can come back only after \
                 `micro-node reset`, as a new node. Go on?",
                status.cluster
            ),
        )?;
        session::run(globals, async |node| Ok(node.leave().await?))?;
        if output.json() {
            return output.item("micro-node/leave/v1", &LeaveItem { node, name });
        }
        output.remark(&format!(
            "node {name} has left; `micro-node reset` on its host makes its data directory fit for a new life"
        ));
        Ok(())
    }
}

fn name(status: &Status) -> String {
    let own = status.nodes.iter().find(|node| node.id == status.seen_by);
    own.map_or_else(|| status.seen_by.to_string(), |node| node.name.clone())
}
