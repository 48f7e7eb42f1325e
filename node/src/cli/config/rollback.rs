//! `micro-node config rollback`.

use super::{Terms, failure::Failure, globals::Globals, item::show_changed, output::Output, session, under};
use clap::Args;

/// Make the tree, or a part of it, what it was at a version; that is a change of its own
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config rollback 7 --dry-run                what would change
  micro-node config rollback 7 shop.limits --reason 'the sale is over'")]
pub(super) struct Rollback {
    /// The version of the tree, as micro-node config history shows it
    version: u64,

    /// Only what is at or under this path
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    #[command(flatten)]
    terms: Terms,
}

impl Rollback {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let changed = session::run(globals, async |node| {
            Ok(under!(&self.terms, node.config().roll_back(&self.path, self.version)).await?)
        })?;
        show_changed(&changed, self.terms.dry_run, output)
    }
}
