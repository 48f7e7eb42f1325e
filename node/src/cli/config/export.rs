//! `micro-node config export`.

use super::{document, failure::Failure, get::nothing_at, globals::Globals, output::Output, session};
use clap::Args;
use micro_sdk::wire::{Code, Fault};
use serde_json::Value;

/// Print a part of the tree as a JSON document that import reads
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config export > all.json                   secrets as \"[secret]\": import leaves those as they are
  micro-node config export shop --show-secrets > shop.json")]
pub(super) struct Export {
    /// Only what is under this path; the document still begins at the root
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    /// With secrets as they are: keep the document as you would keep them
    #[arg(long)]
    show_secrets: bool,

    /// As it was at this version of the tree
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,
}

impl Export {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let reading = session::run(globals, async |node| {
            let mut get = node.config().get(&self.path);
            if self.show_secrets {
                get = get.show_secrets();
            }
            if let Some(version) = self.at {
                get = get.at(version);
            }
            Ok(get.await?)
        })?;
        let text = reading.text.as_deref().ok_or_else(|| nothing_at(&self.path))?;
        let document = rooted(&self.path, text)?;
        let document = if output.for_terminal() { document::pretty(&document) } else { document };
        output.bytes(document.as_bytes())?;
        output.bytes(b"\n")
    }
}

/// The document with `text` at `path`.
fn rooted(path: &str, text: &str) -> Result<String, Fault> {
    let mut names = vec![String::new()];
    let mut chars = path.chars();
    while let Some(char) = chars.next() {
        match char {
            '.' => names.push(String::new()),
            '\\' => names.last_mut().ok_or_else(garbled)?.extend(chars.next()),
            char => names.last_mut().ok_or_else(garbled)?.push(char),
        }
    }
    let around = |text: String, name: &String| format!("{{{}:{text}}}", Value::from(name.as_str()));
    let names = if path.is_empty() { &[] } else { &names[..] };
    Ok(names.iter().rev().fold(text.to_owned(), around))
}

fn garbled() -> Fault {
    Fault::new(Code::Internal, "what is there is not JSON")
        .help("client and node may be of different versions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stands_where_it_belongs() {
        for (path, document) in
            [("", "1.0"), ("a", r#"{"a":1.0}"#), ("a.b\\.c.d\\\\", r#"{"a":{"b.c":{"d\\":1.0}}}"#)]
        {
            assert_eq!(rooted(path, "1.0").as_deref(), Ok(document), "{path}");
        }
    }
}
