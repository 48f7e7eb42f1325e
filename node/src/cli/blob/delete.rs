//! `micro-node blob delete`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// Delete a blob; that there is none is not an error
///
/// Who reads it meanwhile reads it to its end. Its copies go within a minute or two.
#[derive(Debug, Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  micro-node blob delete images/logo.png
  micro-node blob delete images/logo.png --if-version 42"
)]
pub(super) struct Delete {
    /// What it is called
    name: String,

    /// Only if it has this version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    if_version: Option<u64>,
}

/// What became of a blob.
#[derive(Serialize, JsonSchema)]
struct DeleteItem {
    /// What it was called.
    name: String,
    /// Whether there was one.
    deleted: bool,
}

const DELETE: ItemShape<DeleteItem> = ItemShape::new("blob-delete", &["blob delete"]);

pub(super) const SHAPES: Shapes = &[&DELETE];

impl Delete {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let Delete { name, if_version } = self;
        let deleted = session::run(globals, async |node| {
            let blobs = node.blobs();
            Ok(match if_version {
                Some(version) => blobs.delete_version(&name, version).await?,
                None => blobs.delete(&name).await?,
            })
        })?;
        if output.json() {
            return output.item(&DELETE, &DeleteItem { name, deleted });
        }
        if !deleted {
            output.remark(&format!("there was no blob {name:?}"));
        }
        Ok(())
    }
}
