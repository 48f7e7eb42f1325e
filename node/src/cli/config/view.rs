//! `micro-node config view`.

use super::{
    failure::Failure,
    globals::Globals,
    item::or_nothing,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::{NOTHING, Table},
};
use clap::Args;
use micro_sdk::client::Setting;
use schemars::JsonSchema;
use serde::Serialize;

/// Show the settings of the node itself, and where each comes from: a flag, the environment, or nobody said anything
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config view
  micro-node config view -o json | jq '.items[] | select(.source != \"default\")'")]
pub(super) struct View {}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct ViewSummary {
    /// How many are listed.
    count: usize,
}

const VIEW: ListShape<Setting, ViewSummary> = ListShape::new("config-view", &["config view"]);

pub(super) const SHAPES: Shapes = &[&VIEW];

impl View {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let settings = session::run(globals, async |node| Ok(node.settings().await?))?;
        if output.json() {
            let summary = ViewSummary { count: settings.len() };
            return output.items(&VIEW, &settings, &summary);
        }
        let mut table = Table::new(["SETTING", "VALUE", "SOURCE", "PLACE"]);
        for setting in &settings {
            let value = setting.value.clone().unwrap_or_else(|| NOTHING.to_owned());
            table.row([setting.name.clone(), value, setting.source.clone(), or_nothing(&setting.place)]);
        }
        output.table(&table, "the node tells nothing of its settings")
    }
}
