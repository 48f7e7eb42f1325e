//! `micro-node policy list`.

use super::{Failure, Globals, Output, Shapes, session};
use crate::cli::{shape::ListShape, table::Table, unit};
use clap::Args;
use micro_sdk::client::ServicePolicy;
use schemars::JsonSchema;
use serde::Serialize;

/// List the services that have a policy
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
#[command(after_help = "\
Example:
  micro-node policy list")]
pub(super) struct List {}

/// A service that has a policy.
#[derive(Serialize, JsonSchema)]
struct ListedItem<'a> {
    /// The service.
    service: &'a str,
    /// The revision of its policy.
    revision: u64,
    /// Who set it.
    who: &'a str,
    /// When (RFC 3339).
    time: String,
}

/// What there is to say of them.
#[derive(Serialize, JsonSchema)]
struct ListSummary {
    /// How many are listed.
    count: usize,
}

const LIST: ListShape<ListedItem<'static>, ListSummary> = ListShape::new("policies", &["policy list"]);

pub(super) const SHAPES: Shapes = &[&LIST];

impl List {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let policies = session::run(globals, async |node| Ok(node.policies().list().await?))?;
        let items: Vec<ListedItem<'_>> = policies.iter().map(item).collect();
        if output.json() {
            return output.items(&LIST, &items, &ListSummary { count: items.len() });
        }
        let mut table = Table::new(["SERVICE", "REVISION", "SET BY", "AT"]);
        for item in &items {
            table.row([
                item.service.to_owned(),
                item.revision.to_string(),
                item.who.to_owned(),
                item.time.clone(),
            ]);
        }
        output.table(&table, "no policy is set: all services are called as `micro-node policy get` shows")
    }
}

fn item(policy: &ServicePolicy) -> ListedItem<'_> {
    ListedItem {
        service: &policy.service,
        revision: policy.revision,
        who: policy.who.as_deref().unwrap_or_default(),
        time: policy.time.map(unit::rfc3339).unwrap_or_default(),
    }
}
