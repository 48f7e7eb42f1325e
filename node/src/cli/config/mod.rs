//! `micro-node config`: the mesh's configuration.

mod canary;
mod consent;
mod delete;
mod document;
mod edit;
mod export;
mod get;
mod history;
mod import;
mod item;
mod list;
mod origins;
mod rollback;
mod rotate;
mod schema;
mod set;
mod unique;
mod view;
mod watch;

use super::{
    confirmation, contact,
    failure::{self, Failure},
    globals::{self, Globals},
    input,
    output::{self, Output},
    secret, session,
    shape::{self, Shapes},
    table, unit,
};
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  micro-node config set shop.limits.items 20 --reason 'a sale'
  micro-node config set shop '{\"open\":true,\"name\":\"Corner\"}'     an object is merged into what is there
  micro-node config get shop.limits
  micro-node config set shop.key @key.txt --secret             sealed; shown with get --show-secrets only
  micro-node config watch shop
  micro-node config history shop && micro-node config rollback 7 shop
  micro-node config set shop.limits.items 50 --canary 10%      for some instances first; then promote or abort
  micro-node config export > all.json && micro-node config import all.json
  micro-node config get shop --origin                          what its instances use, and where that comes from
  micro-node config view                                       the settings of the node itself

A path is names with dots between them, the first of them a service; a dot inside a name is written \\. and a \
backslash \\\\. The tree is that of a --namespace. \
Each change of it has a number, the version of the tree; the last 1,000 are kept.";

/// Read, change and watch the configuration of the mesh, and see that of a node
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Get(get::Get),
    Set(set::Set),
    Del(delete::Delete),
    List(list::List),
    Watch(watch::Watch),
    History(history::History),
    Diff(history::Diff),
    Rollback(rollback::Rollback),
    Canaries(canary::Canaries),
    Promote(canary::Promote),
    Abort(canary::Abort),
    Edit(edit::Edit),
    Import(import::Import),
    Export(export::Export),
    Schema(schema::Schema),
    RotateKey(rotate::RotateKey),
    View(view::View),
}

/// How a change is to be made.
#[derive(Debug, Args)]
struct Terms {
    /// Only if this is the version of the tree
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    /// Why, for the history
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Makes a repeated change the same change: 1 to 32 hexadecimal digits
    #[arg(long, value_name = "KEY", value_parser = unit::key)]
    idempotency_key: Option<u128>,
}

/// Puts the terms into a change that is being made up.
macro_rules! under {
    ($terms:expr, $change:expr) => {{
        let (terms, mut change) = ($terms, $change.reason($terms.reason.clone()));
        if let Some(version) = terms.if_version {
            change = change.if_version(version);
        }
        if terms.dry_run {
            change = change.dry_run();
        }
        if let Some(key) = terms.idempotency_key {
            change = change.idempotency_key(key);
        }
        change
    }};
}
pub(super) use document::Language;
use under;
pub(super) use view::show_settings;

pub(super) const SHAPES: &[Shapes] = &[
    canary::SHAPES,
    get::SHAPES,
    history::SHAPES,
    item::SHAPES,
    list::SHAPES,
    origins::SHAPES,
    rotate::SHAPES,
    schema::SHAPES,
    view::SHAPES,
    watch::SHAPES,
];

impl ConfigCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Get(verb) => verb.run(globals, output),
            Verb::Set(verb) => verb.run(globals, output),
            Verb::Del(verb) => verb.run(globals, output),
            Verb::List(verb) => verb.run(globals, output),
            Verb::Watch(verb) => verb.run(globals, output),
            Verb::History(verb) => verb.run(globals, output),
            Verb::Diff(verb) => verb.run(globals, output),
            Verb::Rollback(verb) => verb.run(globals, output),
            Verb::Canaries(verb) => verb.run(globals, output),
            Verb::Promote(verb) => verb.run(globals, output),
            Verb::Abort(verb) => verb.run(globals, output),
            Verb::Edit(verb) => verb.run(globals, output),
            Verb::Import(verb) => verb.run(globals, output),
            Verb::Export(verb) => verb.run(globals, output),
            Verb::Schema(verb) => verb.run(globals, output),
            Verb::RotateKey(verb) => verb.run(globals, output),
            Verb::View(verb) => verb.run(globals, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_verb_has_help_with_an_example() {
        let command = crate::cli::Cli::command();
        let config = command.find_subcommand("config").expect("it is a command");
        for verb in config.get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "config {} shows no example", verb.get_name());
        }
    }
}
