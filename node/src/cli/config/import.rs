//! `micro-node config import`.

use super::{
    Terms,
    document::{DOCUMENT_BYTES_MAX, Language},
    failure::Failure,
    globals::Globals,
    input,
    item::show_changed,
    output::Output,
    session, under,
};
use clap::Args;
use micro_sdk::wire::{Code, Fault};
use zeroize::Zeroizing;

/// Set the values of a JSON, TOML or YAML document, as one change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config import all.json                     as micro-node config export prints it
  micro-node config import shop.toml --path shop --dry-run
  micro-node config import - --format yaml < all.yaml
  micro-node config import all.json --replace           what is not in it goes

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
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let file = self.file.strip_prefix('@').unwrap_or(&self.file);
        let (source, language) = match (file, self.format) {
            ("-", format) => ("-".to_owned(), format.unwrap_or(Language::Json)),
            (file, Some(format)) => (format!("@{file}"), format),
            (file, None) => (format!("@{file}"), Language::of(file)?),
        };
        let bytes = Zeroizing::new(input::read(&source, DOCUMENT_BYTES_MAX)?);
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Fault::new(Code::Usage, format!("{} does not hold text", input::name(&source))))?;
        let json = language.json(text)?;
        let changed = session::run(globals, async |node| {
            let mut set = under!(&self.terms, node.config().set_text(&self.path, json.as_str()));
            if self.secret {
                set = set.secret();
            }
            if self.replace {
                set = set.replace();
            }
            Ok(set.await?)
        })?;
        show_changed(&changed, self.terms.dry_run, output)
    }
}
