//! `micro-node config rollback`.

use super::{
    Terms,
    consent::{self, Toll},
    failure::Failure,
    globals::Globals,
    item::show_changed,
    output::Output,
    session, under,
};
use clap::Args;
use micro_sdk::client::{Node, RollBackConfig};

/// Make the tree, or a part of it, what it was at a version; that is a change of its own
///
/// It asks before more than one value is removed or changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config rollback 7 --dry-run                what would change
  micro-node config rollback 7 shop.limits --reason 'the sale is over'
  micro-node config rollback 7 --yes                    whatever goes with it, without a question")]
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
    pub(super) fn run(mut self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if !self.terms.dry_run && !globals.yes {
            self.confirm(globals)?;
        }
        let changed = session::run(globals, async |node| Ok(self.made(&node).await?))?;
        show_changed(&changed, self.terms.dry_run, output)
    }

    /// Asks before more than one value goes, or is what it was.
    fn confirm(&mut self, globals: &Globals) -> Result<(), Failure> {
        let would = session::run(globals, async |node| Ok(self.made(&node).dry_run().await?))?;
        let toll = Toll::of(&would.edits);
        if !toll.undoes() {
            return Ok(());
        }
        let question =
            format!("take {} back to version {}: {toll}?", consent::place(&self.path), self.version);
        consent::ask(&would, &question, &mut self.terms, globals)
    }

    fn made(&self, node: &Node) -> RollBackConfig {
        under!(&self.terms, node.config().roll_back(&self.path, self.version))
    }
}
