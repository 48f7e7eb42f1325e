//! `micro-node store databases` and `micro-node store tables`.

use super::{
    Place,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::Table,
};
use clap::Args;
use schemars::JsonSchema;
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

/// A database or a table.
#[derive(Serialize, JsonSchema)]
struct NameItem<'a> {
    /// What it is called.
    name: &'a str,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct NamesSummary {
    /// How many are listed.
    count: usize,
}

const DATABASES: ListShape<NameItem<'static>, NamesSummary> =
    ListShape::new("store-databases", &["store databases"]);
const TABLES: ListShape<NameItem<'static>, NamesSummary> = ListShape::new("store-tables", &["store tables"]);

pub(super) const SHAPES: Shapes = &[&DATABASES, &TABLES];

impl Databases {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let names = session::run(globals, async |node| Ok(node.store().databases().await?))?;
        show(&names, "DATABASE", &DATABASES, output)
    }
}

impl Tables {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let names = session::run(globals, async |node| Ok(place.store(&node).tables().await?))?;
        show(&names, "TABLE", &TABLES, output)
    }
}

fn show(
    names: &[String],
    header: &'static str,
    shape: &ListShape<NameItem<'static>, NamesSummary>,
    output: &Output,
) -> Result<(), Failure> {
    if output.json() {
        let items: Vec<NameItem> = names.iter().map(|name| NameItem { name }).collect();
        return output.items(shape, &items, &NamesSummary { count: names.len() });
    }
    let mut table = Table::new([header]);
    for name in names {
        table.row([name.clone()]);
    }
    output.table(&table, "none holds a record: micro-node store write KEY VALUE makes one")
}
