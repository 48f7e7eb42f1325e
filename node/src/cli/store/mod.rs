//! `micro-node store`: the mesh's consistent store.

mod copy;
mod database;
mod delete;
mod difference;
mod export;
mod history;
mod import;
mod item;
mod lease;
mod line;
mod lines;
mod list;
mod listing;
mod names;
mod read;
mod restore;
mod selection;
mod snapshot;
mod sync;
mod transaction;
mod watch;
mod write;
mod writer;

use super::{
    confirmation, contact,
    failure::{self, Failure},
    globals::{self, Globals},
    input,
    output::{self, Output},
    part, progress, secret, session,
    shape::{self, Shapes},
    table, unit,
};
use clap::{Args, Subcommand};
use micro_sdk::client::{Fence, Node, Store};

const EXAMPLES: &str = "\
Examples:
  micro-node store write greeting hello
  micro-node store write --table users id1 @jane.json --expiry 24h
  micro-node store write --table users id1 '{\"name\":\"Jane\"}' --if-absent
  micro-node store read greeting
  micro-node store read --table users --prefix id
  micro-node store list --table users --prefix id --order desc --limit 20
  micro-node store watch --table users -o jsonl
  micro-node store txn @transfer.json                   see micro-node store txn --help
  micro-node store delete greeting
  micro-node store export --table users > users.jsonl
  micro-node store snapshot crm.snapshot --database crm
  micro-node store restore crm.snapshot

Each change is a revision. The last ones are kept: --at reads the records as they were, watch --from tells what came since.";

/// Read, write and watch records of the mesh's consistent store
#[derive(Debug, Args)]
#[command(visible_alias = "kv", after_help = EXAMPLES)]
pub(super) struct StoreCommand {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

/// Where the records lie.
#[derive(Debug, Args)]
struct Place {
    /// The database [default: default]
    #[arg(long, global = true, env = "MICRO_NODE_DATABASE", value_name = "NAME")]
    database: Option<String>,

    /// The table [default: default]
    #[arg(long, global = true, env = "MICRO_NODE_TABLE", value_name = "NAME")]
    table: Option<String>,
}

/// What the database and the table are called of which nothing was said.
const UNNAMED: &str = "default";

impl Place {
    fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(UNNAMED)
    }

    fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(UNNAMED)
    }

    fn store(&self, node: &Node) -> Store {
        node.store().database(self.database()).table(self.table())
    }

    /// Refuses a table where all those of a database are meant: less would be expected to be written, or deleted.
    fn refuse_table(&self) -> Result<(), Failure> {
        match &self.table {
            Some(table) => Err(Failure::usage(format!(
                "all tables of a database are meant, not {table:?} alone\n\
                 leave --table and MICRO_NODE_TABLE away; micro-node store export and import take one table"
            ))),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Write(write::Write),
    Read(read::Read),
    List(list::List),
    Delete(delete::Delete),
    Watch(watch::Watch),
    Txn(transaction::Txn),
    Databases(names::Databases),
    Tables(names::Tables),
    Lease(lease::LeaseCommand),
    History(history::History),
    Compact(history::Compact),
    Export(export::Export),
    Import(import::Import),
    Snapshot(snapshot::Snapshot),
    Restore(restore::Restore),
    Sync(sync::Sync),
}

/// When a change is to be made.
#[derive(Debug, Args)]
struct Condition {
    /// Only if the record has this version; 0: only if there is none
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    /// Only while this lock is held under this token, as micro-node lock gives it
    #[arg(long, value_name = "LOCK:TOKEN", value_parser = fence)]
    fence: Option<Fence>,

    /// Only while this election is led under this token, as micro-node election gives it
    #[arg(long, value_name = "ELECTION:TOKEN", value_parser = lead, conflicts_with = "fence")]
    lead: Option<Fence>,

    /// Makes a repeated change the same change: 1 to 32 hexadecimal digits
    #[arg(long, value_name = "KEY", value_parser = unit::key)]
    idempotency_key: Option<u128>,
}

/// Reads `LOCK:TOKEN`; the name may hold more colons.
fn fence(text: &str) -> Result<Fence, String> {
    let held = held(text).map(|(lock, token)| Fence::new(lock, token));
    held.ok_or_else(|| "write it as LOCK:TOKEN, such as nightly:42".to_owned())
}

/// The same of an election.
fn lead(text: &str) -> Result<Fence, String> {
    let held = held(text).map(|(election, token)| Fence::lead(election, token));
    held.ok_or_else(|| "write it as ELECTION:TOKEN, such as scheduler:42".to_owned())
}

fn held(text: &str) -> Option<(&str, u64)> {
    let (name, token) = text.rsplit_once(':').filter(|(name, _)| !name.is_empty())?;
    Some((name, token.parse().ok()?))
}

/// How fresh a reading has to be.
#[derive(Debug, Args)]
struct Moment {
    /// Answer from the node's own replica as it is, also without a quorum; its age goes to stderr
    #[arg(long)]
    stale: bool,

    /// As it was at this revision
    #[arg(long, value_name = "REVISION")]
    at: Option<u64>,
}

pub(super) const SHAPES: &[Shapes] = &[
    delete::SHAPES,
    export::SHAPES,
    history::SHAPES,
    import::SHAPES,
    lease::SHAPES,
    list::SHAPES,
    listing::SHAPES,
    names::SHAPES,
    read::SHAPES,
    restore::SHAPES,
    snapshot::SHAPES,
    sync::SHAPES,
    transaction::SHAPES,
    watch::SHAPES,
    write::SHAPES,
];

impl StoreCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let place = &self.place;
        match self.verb {
            Verb::Write(verb) => verb.run(place, globals, output),
            Verb::Read(verb) => verb.run(place, globals, output),
            Verb::List(verb) => verb.run(place, globals, output),
            Verb::Delete(verb) => verb.run(place, globals, output),
            Verb::Watch(verb) => verb.run(place, globals, output),
            Verb::Txn(verb) => verb.run(place, globals, output),
            Verb::Databases(verb) => verb.run(globals, output),
            Verb::Tables(verb) => verb.run(place, globals, output),
            Verb::Lease(verb) => verb.run(globals, output),
            Verb::History(verb) => verb.run(globals, output),
            Verb::Compact(verb) => verb.run(globals, output),
            Verb::Export(verb) => verb.run(place, globals, output),
            Verb::Import(verb) => verb.run(place, globals, output),
            Verb::Snapshot(verb) => verb.run(place, globals, output),
            Verb::Restore(verb) => verb.run(place, globals, output),
            Verb::Sync(verb) => verb.run(place, globals, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_fence_is_a_lock_and_its_token() {
        assert_eq!(fence("a:b:42"), Ok(Fence::new("a:b", 42)));
        for text in ["", "a", ":42", "a:", "a:x"] {
            assert!(fence(text).is_err(), "{text:?} was taken for a fence");
        }
    }

    #[test]
    fn every_verb_has_help_with_an_example() {
        let command = crate::cli::Cli::command();
        let store = command.find_subcommand("store").expect("it is a command");
        for verb in store.get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "store {} shows no example", verb.get_name());
        }
    }
}
