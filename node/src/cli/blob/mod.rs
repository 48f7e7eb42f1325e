//! `micro-node blob`: large files, on the disks of several nodes.

mod delete;
mod get;
mod item;
mod list;
mod put;

use super::{
    failure::{self, Failure},
    globals::{self, Globals},
    output::{self, Output},
    part, progress, session,
    shape::{self, Shapes},
    table, unit,
};
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  micro-node blob put images/logo.png ./logo.png --type image/png
  tar c ./site | micro-node blob put site.tar -
  micro-node blob get images/logo.png ./logo.png
  micro-node blob get site.tar - | tar t
  micro-node blob list images/
  micro-node blob delete images/logo.png

A blob is as large as a disk takes. It is on the disks of three nodes, unless --copies says otherwise, and is copied \
again when one is lost. micro-node cluster backup holds it too.";

/// Put, get, list and delete large files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BlobCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Put(put::Put),
    Get(get::Get),
    List(list::List),
    Delete(delete::Delete),
}

pub(super) const SHAPES: &[Shapes] = &[delete::SHAPES, get::SHAPES, list::SHAPES, put::SHAPES];

impl BlobCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Put(verb) => verb.run(globals, output),
            Verb::Get(verb) => verb.run(globals, output),
            Verb::List(verb) => verb.run(globals, output),
            Verb::Delete(verb) => verb.run(globals, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_verb_has_help_with_an_example() {
        let command = crate::cli::Cli::command();
        let blob = command.find_subcommand("blob").expect("it is a command");
        for verb in blob.get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "blob {} shows no example", verb.get_name());
        }
    }
}
