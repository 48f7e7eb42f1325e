//! `micro-node status`: the cluster at a glance.

#[cfg(test)]
mod sample;
mod view;
mod zoom;

use super::{
    failure::{self, Failure},
    globals::Globals,
    output::Output,
    session,
    shape::{Shape, Shapes},
};
use clap::Args;
use micro_sdk::{
    client::Node,
    wire::{Code, Fault, status::Status},
};
#[cfg(test)]
pub(super) use sample::sample;
use std::time::Duration;
use view::Scope;
pub(super) use view::{nodes_table, role_name, state_name};

const EXAMPLES: &str = "\
Examples:
  micro-node status
  micro-node status node-1                           one node, or one service
  micro-node status --watch
  micro-node status -o wide                          ids, addresses, gateways and actors too
  micro-node status -o json | jq '.problems'
  micro-node status --address 127.0.0.1:8081 --token @admin-secret";

/// How often `--watch` looks again: what changes within a second, nobody reads.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Takes the cursor home and clears what was below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show the cluster at a glance: nodes, consensus, services, and what is wrong
///
/// Any node can answer, also while there is no quorum.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusCommand {
    /// The node or the service to show alone, by name; a node also by its id
    name: Option<String>,

    /// Look again every second, until Ctrl-C; with -o json, a line each time
    #[arg(short, long)]
    watch: bool,
}

const STATUS: Shape<Status> = Shape::new("status", &["status"]);

pub(super) const SHAPES: Shapes = &[&STATUS];

impl StatusCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if !self.watch {
            let status = session::run(globals, async |node| Ok(self.look(&node).await?))?;
            return self.show(&status, output);
        }
        session::run(globals, async |node| self.watch(&node, output).await)
    }

    async fn look(&self, node: &Node) -> Result<Status, Fault> {
        let status = node.status().await?;
        match &self.name {
            Some(name) => zoom::zoom(status, name),
            None => Ok(status),
        }
    }

    fn show(&self, status: &Status, output: &Output) -> Result<(), Failure> {
        if output.json() {
            // The document carries its schema itself.
            return output.document(&STATUS, status);
        }
        output.text(&self.text(status, output))
    }

    /// As people read it. Who looks at one alone wants to see all of it.
    fn text(&self, status: &Status, output: &Output) -> String {
        let one = self.name.is_some();
        view::text(status, Scope { wide: output.wide() || one, one }, output.headers(), output.width())
    }

    /// Shows the status until something ends it. A node that is away for a while is waited for: that is when people
    /// watch.
    async fn watch(&self, node: &Node, output: &Output) -> Result<(), Failure> {
        let clear = output.for_terminal() && !output.json();
        // What is not there at first is a slip; what goes meanwhile is what is watched for.
        if let Err(fault) = self.look(node).await
            && fault.code == Code::NotFound
        {
            return Err(fault.into());
        }
        loop {
            match self.look(node).await {
                Ok(status) if output.json() => output.line(&STATUS, &status)?,
                Ok(status) => {
                    let text = self.text(&status, output);
                    // Cleared only when there is something new to show, so that it does not flicker.
                    if clear {
                        output.bytes(CLEAR.as_bytes())?;
                    }
                    output.text(&text)?;
                    if !clear {
                        output.text("")?;
                    }
                }
                Err(fault) => output.error(&failure::show(&fault, output.format())),
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
}
