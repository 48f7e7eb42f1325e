//! `micro-node policy check`.

use super::{Failure, Globals, Output, Shapes, document::PolicyFile, misfit, rehearsal, session};
use crate::cli::shape::ItemShape;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// Check a policy, and with --service what it would have made of the calls of the last minutes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node policy check policy.toml
  micro-node policy check policy.toml --service helloworld")]
pub(super) struct Check {
    #[command(flatten)]
    file: PolicyFile,

    /// Whose calls
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
}

/// A policy that is one.
#[derive(Serialize, JsonSchema)]
struct CheckItem {
    /// Always true: what is wrong is an error.
    good: bool,
}

const CHECK: ItemShape<CheckItem> = ItemShape::new("policy-check", &["policy check"]);

pub(super) const SHAPES: Shapes = &[&CHECK];

impl Check {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let document = self.file.read()?;
        let Some(service) = &self.service else {
            if output.json() {
                return output.item(&CHECK, &CheckItem { good: true });
            }
            return output.text("the policy is good");
        };
        rehearse(service, &document, globals, output)
    }
}

/// Shows what a policy would have made of the calls of a service, and what it names that nothing of it is called.
pub(super) fn rehearse(
    service: &str,
    document: &str,
    globals: &Globals,
    output: &Output,
) -> Result<(), Failure> {
    let (told, misfits) = session::run(globals, async |node| {
        let told = node.policies().rehearse(service, document).await?;
        Ok((told, misfit::of(&node, service, document).await))
    })?;
    misfit::warn(&misfits, output);
    rehearsal::show(service, &told, output)
}
