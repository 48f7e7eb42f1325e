//! `micro-node policy set`.

use super::{Failure, Globals, Output, Shapes, check, document::PolicyFile, misfit, session};
use crate::cli::shape::ItemShape;
use clap::Args;
use micro_sdk::client::Node;
use schemars::JsonSchema;
use serde::Serialize;

/// Set the policy of a service
///
/// It counts on all nodes a moment later, and takes the place of the one that was there. What it leaves out is as for
/// services without one. What it names that nothing of the service is called is told: a policy may be there first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node policy set helloworld policy.toml
  micro-node policy set helloworld policy.toml --dry-run
  echo 'timeout = \"2s\"' | micro-node policy set helloworld -")]
pub(super) struct Set {
    /// The service
    service: String,

    #[command(flatten)]
    file: PolicyFile,

    /// Only if the present one is of this revision; 0: if there is none
    #[arg(long, value_name = "REVISION")]
    if_version: Option<u64>,

    /// Show what it would have made of the calls of the last minutes, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A policy that was set.
#[derive(Serialize, JsonSchema)]
struct SetItem<'a> {
    /// The service.
    service: &'a str,
    /// The revision of its policy.
    revision: u64,
}

const SET: ItemShape<SetItem<'static>> = ItemShape::new("policy-set", &["policy set"]);

pub(super) const SHAPES: Shapes = &[&SET];

impl Set {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let document = self.file.read()?;
        let service = &self.service;
        if self.dry_run {
            return check::rehearse(service, &document, globals, output);
        }
        let set = async |node: Node| {
            let revision = node.policies().set(service, &document, self.if_version).await?;
            Ok((revision, misfit::of(&node, service, &document).await))
        };
        let (revision, misfits) = session::run(globals, set)?;
        misfit::warn(&misfits, output);
        if output.json() {
            return output.item(&SET, &SetItem { service, revision });
        }
        output.text(&format!("the policy of {service} is set, revision {revision}"))
    }
}
