//! `micro-node config set`.

use super::{
    Terms,
    consent::{self, Toll},
    document,
    failure::Failure,
    globals::Globals,
    item::show_changed,
    output::Output,
    session, under,
};
use clap::Args;
use micro_sdk::{
    client::{Node, SetConfig},
    wire::{Code, Fault},
};

/// Set what is at a path; an object is merged into what is there, all else replaces it
///
/// It asks before more than one value that is there goes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config set shop.limits.items 20 --reason 'a sale'
  micro-node config set shop.name Corner                 what is not JSON is a text
  micro-node config set shop '{\"open\":true}' --dry-run    what would change
  micro-node config set shop.key @key.txt --secret       from a file, or - for stdin: never as an argument
  micro-node config set shop.limits.items 50 --canary 10%
  micro-node config set shop.zip 01234 --text            a text though it looks like a number")]
pub(super) struct Set {
    /// Where
    path: String,

    /// The value, as JSON or a text: itself, @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    value: String,

    /// It is a secret: sealed wherever it is kept, and shown to those only who ask for it and may
    #[arg(long)]
    secret: bool,

    /// It is a text, whatever it looks like
    #[arg(long)]
    text: bool,

    /// An object too replaces what is there
    #[arg(long)]
    replace: bool,

    /// Stage it: only this share of the service's instances has it, at least one, until it is promoted or aborted
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    canary: Option<u32>,

    #[command(flatten)]
    terms: Terms,
}

/// Reads `10%` or `10`.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok();
    number.filter(|percent| (1..=100).contains(percent)).ok_or_else(|| "write it as 1% to 100%".to_owned())
}

impl Set {
    pub(super) fn run(mut self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if self.secret && !document::is_source(&self.value) {
            // The value is not repeated: it may be the secret, and stderr may be a log.
            return Err(Fault::new(Code::Usage, "a secret is given as @FILE or -, not as an argument")
                .help("every process on this host can read the arguments of every other")
                .help(format!("such as: micro-node config set {} @FILE --secret", self.path))
                .into());
        }
        let value = document::value(&self.value, self.text)?;
        // What is staged takes nothing away until it is promoted.
        if !self.terms.dry_run && !globals.yes && self.canary.is_none() {
            self.confirm(&value, globals)?;
        }
        let changed = session::run(globals, async |node| Ok(self.made(&node, &value).await?))?;
        if changed.edits.iter().any(|edit| edit.secret && edit.after.is_some())
            && !document::is_source(&self.value)
        {
            output.remark("a secret was set from an argument, which every process on this host could read");
        }
        show_changed(&changed, self.terms.dry_run, output)
    }

    /// Asks before more than one value goes: an object replaces what is there, or a single value stands where a branch
    /// was.
    fn confirm(&mut self, value: &str, globals: &Globals) -> Result<(), Failure> {
        let would = session::run(globals, async |node| Ok(self.made(&node, value).dry_run().await?))?;
        let toll = Toll::of(&would.edits);
        if !toll.removes() {
            return Ok(());
        }
        consent::ask(&would, &format!("set {}: {toll}?", self.path), &mut self.terms, globals)
    }

    fn made(&self, node: &Node, value: &str) -> SetConfig {
        let mut set = under!(&self.terms, node.config().set_text(&self.path, value));
        if self.secret {
            set = set.secret();
        }
        if self.replace {
            set = set.replace();
        }
        if let Some(percent) = self.canary {
            set = set.canary(percent);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!((percent("10%"), percent("100"), percent("1 %")), (Ok(10), Ok(100), Ok(1)));
        for text in ["", "0%", "101%", "x", "-1", "%"] {
            assert!(percent(text).is_err(), "{text:?} was taken for a share");
        }
    }
}
