//! `micro-node store databases` and `micro-node store tables`.

use super::{Place, failure::Failure, globals::Globals, output::Output, session, table::Table};
use clap::Args;
use serde::Serialize;

/// List the databases that hold records
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store databases
  micro-node store databases --namespace acme")]
pub(super) struct Databases {}

/// List the tables of a database that hold records
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store tables
  micro-node store tables --database crm")]
pub(super) struct Tables {}

#[derive(Serialize)]
struct NameItem<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct NamesSummary {
    count: usize,
}

impl Databases {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let names = session::run(globals, async |node| Ok(node.store().databases().await?))?;
        show(&names, "DATABASE", "micro-node/store-databases/v1", output)
    }
}

impl Tables {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let names = session::run(globals, async |node| Ok(place.store(&node).tables().await?))?;
        show(&names, "TABLE", "micro-node/store-tables/v1", output)
    }
}

fn show(names: &[String], header: &'static str, schema: &str, output: &Output) -> Result<(), Failure> {
    if output.json() {
        let items: Vec<NameItem> = names.iter().map(|name| NameItem { name }).collect();
        return output.items(schema, &items, &NamesSummary { count: names.len() });
    }
    let mut table = Table::new([header]);
    for name in names {
        table.row([name.clone()]);
    }
    output.table(&table, "none holds a record: micro-node store write KEY VALUE makes one")
}
