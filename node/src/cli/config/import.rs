//! `micro-node config import`.

use super::{
    Terms,
    consent::{self, Toll},
    document::{DOCUMENT_BYTES_MAX, Language},
    failure::Failure,
    globals::Globals,
    input,
    item::show_changed,
    output::Output,
    session, under,
};
use clap::Args;
use micro_sdk::{
    client::{Node, SetConfig},
    wire::{Code, Fault},
};
use zeroize::Zeroizing;

/// What is said where there is no document to read.
const WANTED: &str = "give the path of a JSON, TOML or YAML document, or - for stdin";

/// Set the values of a JSON, TOML or YAML document, as one change
///
/// It asks before more than one value that is there goes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config import all.json                     as micro-node config export prints it
  micro-node config import shop.toml --path shop --dry-run
  micro-node config import - --format yaml < all.yaml
  micro-node config import all.json --replace --yes     what is not in it goes, without a question

\"[secret]\" stands for the secret that is there.")]
pub(super) struct Import {
    /// The document: a file, or - for stdin
    #[arg(default_value = "-")]
    file: String,

    /// The language of the document [default: as the file's extension says; JSON from stdin]
    #[arg(long, value_name = "LANGUAGE")]
    format: Option<Language>,

    /// Where the document belongs [default: the root]
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    path: String,

    /// All values in it are secrets
    #[arg(long)]
    secret: bool,

    /// Remove what is there and is not in the document
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    terms: Terms,
}

impl Import {
    pub(super) fn run(mut self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let file = input::path(&self.file);
        let language = match (file, self.format) {
            (_, Some(format)) => format,
            ("-", None) => Language::Json,
            (file, None) => Language::of(file)?,
        };
        let bytes = Zeroizing::new(input::file(file, DOCUMENT_BYTES_MAX, WANTED)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            let shown = if file == "-" { "stdin" } else { file };
            Fault::new(Code::Usage, format!("{shown} does not hold text")).help(WANTED)
        })?;
        let json = language.json(text)?;
        if !self.terms.dry_run && !globals.yes {
            self.confirm(&json, globals)?;
        }
        let changed = session::run(globals, async |node| Ok(self.made(&node, &json).await?))?;
        show_changed(&changed, self.terms.dry_run, output)
    }

    /// Asks before more than one value goes.
    fn confirm(&mut self, json: &str, globals: &Globals) -> Result<(), Failure> {
        let would = session::run(globals, async |node| Ok(self.made(&node, json).dry_run().await?))?;
        let toll = Toll::of(&would.edits);
        if !toll.removes() {
            return Ok(());
        }
        let question = format!("import into {}: {toll}?", consent::place(&self.path));
        consent::ask(&would, &question, &mut self.terms, globals)
    }

    fn made(&self, node: &Node, json: &str) -> SetConfig {
        let mut set = under!(&self.terms, node.config().set_text(&self.path, json));
        if self.secret {
            set = set.secret();
        }
        if self.replace {
            set = set.replace();
        }
        set
    }
}
