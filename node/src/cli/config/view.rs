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

/// Show the settings of the node itself, and where each comes from: a flag, the environment, the node's file, its last
/// start, or nobody said anything
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

const VIEW: ListShape<Setting, ViewSummary> =
    ListShape::new("config-view", &["config view", "start --check"]);

pub(super) const SHAPES: Shapes = &[&VIEW];

impl View {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let settings = session::run(globals, async |node| Ok(node.settings().await?))?;
        show(&settings, output)
    }
}

fn show(settings: &[Setting], output: &Output) -> Result<(), Failure> {
    if output.json() {
        return output.items(&VIEW, settings, &ViewSummary { count: settings.len() });
    }
    let mut table = Table::new(["SETTING", "VALUE", "SOURCE", "PLACE"]);
    for setting in settings {
        let value = setting.value.clone().unwrap_or_else(|| NOTHING.to_owned());
        table.row([setting.name.clone(), value, setting.source.clone(), or_nothing(&setting.place)]);
    }
    output.table(&table, "the node tells nothing of its settings")
}

/// Shows the settings of a node that does not run, as those of one that does.
///
/// # Errors
/// If nobody reads them.
pub(in super::super) fn show_settings(
    settings: Vec<crate::config::Setting>,
    output: &Output,
) -> Result<(), Failure> {
    let told = |setting: crate::config::Setting| {
        let crate::config::Setting { name, value, source, place } = setting;
        Setting { name, value, source: source.name().to_owned(), place }
    };
    let settings: Vec<Setting> = settings.into_iter().map(told).collect();
    show(&settings, output)
}
