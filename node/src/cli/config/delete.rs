//! `micro-node config del`.

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

/// Remove what is at a path; that nothing is there is not an error
#[derive(Debug, Args)]
#[command(
    visible_aliases = ["rm", "delete"],
    after_help = "\
Examples:
  micro-node config del shop.limits.items
  micro-node config del shop --dry-run                  what would go
  micro-node config del shop --yes                      more than one value goes without a question"
)]
pub(super) struct Delete {
    /// Where; an empty one is the whole tree
    path: String,

    #[command(flatten)]
    terms: Terms,
}

impl Delete {
    pub(super) fn run(mut self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if !self.terms.dry_run && !globals.yes {
            self.confirm(globals)?;
        }
        let changed = session::run(globals, async |node| {
            Ok(under!(&self.terms, node.config().delete(&self.path)).await?)
        })?;
        show_changed(&changed, self.terms.dry_run, output)
    }

    /// Asks before more than one value goes.
    fn confirm(&mut self, globals: &Globals) -> Result<(), Failure> {
        let would = session::run(globals, async |node| {
            Ok(under!(&self.terms, node.config().delete(&self.path)).dry_run().await?)
        })?;
        let toll = Toll::of(&would.edits);
        if !toll.removes() {
            return Ok(());
        }
        let question = format!("{toll} under {}?", consent::place(&self.path));
        consent::ask(&would, &question, &mut self.terms, globals)
    }
}
