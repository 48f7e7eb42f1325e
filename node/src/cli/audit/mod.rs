//! `micro-node audit`: who asked for what, and what was said.

mod list;
mod verify;

use super::{
    data_dir,
    failure::{self, Failure},
    globals::{self, Globals},
    output::{self, Output},
    session,
    shape::{self, Shapes},
    table::{self, NOTHING},
    unit,
};
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  micro-node audit list
  micro-node audit list --denied --since 1h
  micro-node audit list --account jane --follow
  micro-node audit verify                            the logs of all nodes, each read by its own
  micro-node audit verify --data-dir /var/lib/micro-node --head $(cat head.kept)

Each node keeps what came in at its own doors, in DATA_DIR/audit, as `micro-node start --audit` says: by default what \
is refused, logins, and what changes accounts, rules, keys, configuration and membership or shows secrets. To read it \
takes the right network:audit:read.";

/// The audit log of a node: who asked for what, and what was said
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AuditCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Verify(verify::Verify),
}

pub(super) const SHAPES: &[Shapes] = &[list::SHAPES, verify::SHAPES];

impl AuditCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::List(verb) => verb.run(globals, output),
            Verb::Verify(verb) => verb.run(globals, output),
        }
    }
}
