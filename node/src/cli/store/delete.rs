//! `micro-node store delete`.

use super::{
    Condition, Place, confirmation,
    failure::Failure,
    globals::Globals,
    output::Output,
    selection::Selection,
    session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// Delete a record, or a range of them; that there is none is not an error
#[derive(Debug, Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  micro-node store delete greeting
  micro-node store delete --table users id1 --if-version 42
  micro-node store delete --table sessions --prefix old- --yes
  micro-node store delete --table sessions --all --yes"
)]
pub(super) struct Delete {
    /// The key
    #[arg(required_unless_present_any = ["prefix", "from", "to", "all"],
          conflicts_with_all = ["prefix", "from", "to", "all", "limit"])]
    key: Option<String>,

    #[command(flatten)]
    selection: Selection,

    /// All records of the table
    #[arg(long, conflicts_with_all = ["prefix", "from", "to"])]
    all: bool,

    /// Only the first of the range, at most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    #[command(flatten)]
    condition: Condition,
}

/// What became of a record.
#[derive(Serialize, JsonSchema)]
struct DeleteItem {
    /// Its key.
    key: String,
    /// Whether there was one.
    deleted: bool,
}

/// What became of a range of records.
#[derive(Serialize, JsonSchema)]
struct DeleteRangeItem {
    /// How many were deleted.
    deleted: u64,
}

const DELETE: ItemShape<DeleteItem> = ItemShape::new("store-delete", &["store delete KEY"]);
const DELETE_RANGE: ItemShape<DeleteRangeItem> =
    ItemShape::new("store-delete-range", &["store delete --prefix"]);

pub(super) const SHAPES: Shapes = &[&DELETE, &DELETE_RANGE];

impl Delete {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.key.clone() {
            Some(key) => self.one(key, place, globals, output),
            None => self.range(place, globals, output),
        }
    }

    fn one(self, key: String, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let deleted = session::run(globals, async |node| {
            let mut delete = place.store(&node).delete(&key);
            let Condition { if_version, fence, lead, idempotency_key } = self.condition;
            if let Some(version) = if_version {
                delete = delete.if_version(version);
            }
            if let Some(fence) = fence.or(lead) {
                delete = delete.fence(fence);
            }
            if let Some(key) = idempotency_key {
                delete = delete.idempotency_key(key);
            }
            Ok(delete.await?)
        })?;
        if output.json() {
            return output.item(&DELETE, &DeleteItem { key, deleted });
        }
        if !deleted {
            output.remark(&format!("there was no record {key:?}"));
        }
        Ok(())
    }

    fn range(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Condition { if_version, fence, lead, idempotency_key } = &self.condition;
        if if_version.is_some() || fence.is_some() || lead.is_some() || idempotency_key.is_some() {
            return Err(Failure::usage(
                "a range is deleted without conditions\nuse micro-node store txn for a range with a condition",
            ));
        }
        let (database, table) = (place.database(), place.table());
        let question = format!("delete these records of table {table:?} of database {database:?}?");
        confirmation::ask(globals, &question)?;
        let deleted = session::run(globals, async |node| {
            let delete = self.selection.delete(&place.store(&node));
            Ok(delete.limit(self.limit.unwrap_or_default()).await?)
        })?;
        if output.json() {
            return output.item(&DELETE_RANGE, &DeleteRangeItem { deleted });
        }
        output.remark(&format!("{deleted} deleted"));
        Ok(())
    }
}
