//! `micro-node policy delete`.

use super::{Failure, Globals, Output, Shapes, session};
use crate::cli::{confirmation, shape::ItemShape};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// Take the policy of a service away: it is called as services are that have none
#[derive(Debug, Args)]
#[command(visible_alias = "del")]
#[command(after_help = "\
Examples:
  micro-node policy delete shop
  micro-node policy delete shop --if-version 1042")]
pub(super) struct Delete {
    /// The service
    service: String,

    /// Only if the present one is of this revision
    #[arg(long, value_name = "REVISION")]
    if_version: Option<u64>,
}

/// A policy that was taken away.
#[derive(Serialize, JsonSchema)]
struct DeletedItem<'a> {
    /// The service.
    service: &'a str,
}

const DELETED: ItemShape<DeletedItem<'static>> = ItemShape::new("policy-deleted", &["policy delete"]);

pub(super) const SHAPES: Shapes = &[&DELETED];

impl Delete {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let service = &self.service;
        confirmation::ask(globals, &format!("take the policy of {service} away?"))?;
        session::run(globals, async |node| Ok(node.policies().delete(service, self.if_version).await?))?;
        if output.json() {
            return output.item(&DELETED, &DeletedItem { service });
        }
        output.text(&format!("the policy of {service} is gone"))
    }
}
