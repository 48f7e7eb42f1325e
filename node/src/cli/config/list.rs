//! `micro-node config list`.

use super::{
    failure::Failure,
    get::{LeafItem, leaf_items},
    globals::Globals,
    item::excerpt,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::{NOTHING, Table},
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// List the values of the tree, one line for each
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  micro-node config list
  micro-node config list shop -o json
  micro-node config list shop --instance 00c0ffee00c0ffee   with the staged changes that this instance has"
)]
pub(super) struct List {
    /// Only what is at or under this path
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    /// With secrets as they are
    #[arg(long)]
    show_secrets: bool,

    /// With the staged changes that this instance of a service has
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    instance: String,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct ListSummary {
    /// How many are listed.
    count: usize,
    /// The version of the tree.
    version: u64,
}

const LIST: ListShape<LeafItem<'static>, ListSummary> = ListShape::new("config-list", &["config list"]);

pub(super) const SHAPES: Shapes = &[&LIST];

impl List {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let reading = session::run(globals, async |node| {
            let get = node.config().get(&self.path).instance(&self.instance);
            Ok(if self.show_secrets { get.show_secrets() } else { get }.await?)
        })?;
        let leaves = leaf_items(&reading)?;
        if output.json() {
            let summary = ListSummary { count: leaves.len(), version: reading.version };
            return output.items(&LIST, &leaves, &summary);
        }
        let mut table = Table::new(["PATH", "VALUE", "VERSION", "CANARY"]);
        for leaf in &reading.leaves {
            let canary = leaf.canary.map_or_else(|| NOTHING.to_owned(), |canary| canary.to_string());
            table.row([leaf.path.clone(), excerpt(Some(&leaf.text)), leaf.version.to_string(), canary]);
        }
        output.table(&table, "nothing is there: micro-node config set PATH VALUE sets something")
    }
}
