//! `micro-node auth keys`.

use super::{
    confirmation, failure::Failure, globals::Globals, output::Output, session, table::Table, unit::rfc3339,
};
use clap::{Args, Subcommand};
use micro_sdk::client::{KeyRotation, SigningKey};
use serde::Serialize;
use serde_json::Value;

/// The keys that sign access tokens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth keys list -o json       the public keys, as other programs verify with them (JWKS)
  micro-node auth keys rotate --yes")]
pub(super) struct Keys {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the public keys
    List,
    /// Make a new key. Tokens of the one before it stay good; those of the one before that end, which nobody has any
    /// more a quarter of an hour after the last rotation
    Rotate,
}

#[derive(Serialize)]
struct KeyItem<'a> {
    id: &'a str,
    created: String,
    signs: bool,
}

#[derive(Serialize)]
struct RotationItem<'a> {
    keys: Vec<KeyItem<'a>>,
    dropped: Option<&'a str>,
}

impl<'a> From<&'a SigningKey> for KeyItem<'a> {
    fn from(key: &'a SigningKey) -> Self {
        KeyItem { id: &key.id, created: rfc3339(key.created), signs: key.signs }
    }
}

impl Keys {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::List => {
                let keys = session::run(globals, async |node| Ok(node.auth().keys().await?))?;
                show(&keys, output)
            }
            Verb::Rotate => {
                confirmation::ask(
                    globals,
                    "Make a new key that signs, and end the tokens of the last but one?",
                )?;
                let rotation = session::run(globals, async |node| Ok(node.auth().rotate_keys().await?))?;
                show_rotation(&rotation, output)
            }
        }
    }
}

fn show(keys: &Value, output: &Output) -> Result<(), Failure> {
    if output.json() {
        // As RFC 7517 has it, for programs that know nothing of us.
        return output.document(keys);
    }
    let mut table = Table::new(["KEY", "TYPE", "ALGORITHM"]);
    let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    for key in keys["keys"].as_array().into_iter().flatten() {
        table.row([text(key, "kid"), text(key, "crv"), text(key, "alg")]);
    }
    output.table(&table, "there is no key yet: the first login makes one")
}

fn show_rotation(rotation: &KeyRotation, output: &Output) -> Result<(), Failure> {
    if output.json() {
        let keys = rotation.keys.iter().map(KeyItem::from).collect();
        let item = RotationItem { keys, dropped: rotation.dropped.as_deref() };
        return output.item("micro-node/auth-rotation/v1", &item);
    }
    let mut table = Table::new(["KEY", "CREATED", "SIGNS"]);
    for key in &rotation.keys {
        table.row([key.id.clone(), rfc3339(key.created), if key.signs { "yes" } else { "no" }.to_owned()]);
    }
    output.table(&table, "")?;
    if let Some(dropped) = &rotation.dropped {
        output.remark(&format!("tokens of key {dropped} are good no more"));
    }
    output.remark("the new key signs in a moment, once all nodes know it");
    Ok(())
}
