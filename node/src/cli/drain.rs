//! `micro-node drain`.

use super::{cluster::MEMBER, failure::Failure, globals::Globals, output::Output, session};
use clap::{Args, builder::NonEmptyStringValueParser};

const EXAMPLES: &str = "\
Examples:
  micro-node drain                                   this host's node does nothing, and stays a member
  micro-node drain b && ssh b reboot
  micro-node drain b --undo";

/// Take a node out of work for a while, before work on its host
///
/// Services that are attached to it are called no more and finish what they have, and it does not lead. It stays a
/// member with its vote and its copy of everything. It works again after --undo, or after its next start.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Drain {
    /// The node, by name or id [default: the one that is asked]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    node: Option<String>,

    /// Put it to work again
    #[arg(long)]
    undo: bool,
}

impl Drain {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Drain { node, undo } = self;
        let drained = session::run(globals, async |client| Ok(client.drain(node.as_deref(), undo).await?))?;
        if output.json() {
            return output.item(&MEMBER, &drained);
        }
        output.remark(&match undo {
            false => format!("node {} is drained; --undo puts it to work again", drained.name),
            true => format!("node {} works again", drained.name),
        });
        Ok(())
    }
}
