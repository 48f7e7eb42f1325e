//! `micro-node auth keys`.

use super::{
    confirmation,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{Described, ItemShape, Shape, Shapes},
    table::Table,
    unit::rfc3339,
};
use clap::{Args, Subcommand};
use micro_sdk::client::{KeyRotation, SigningKey};
use schemars::JsonSchema;
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
    #[command(after_help = "\
Examples:
  micro-node auth keys list
  micro-node auth keys list -o json > jwks.json")]
    List,
    /// Make a new key. Tokens of the one before it stay good; those of the one before that end, which nobody has any
    /// more a quarter of an hour after the last rotation
    #[command(after_help = "\
Example:
  micro-node auth keys rotate")]
    Rotate,
}

/// The public keys as RFC 7517 has them, for programs that know nothing of us: these pass over what they do not know.
#[derive(Serialize, JsonSchema)]
struct KeySet<'a> {
    /// The shape of this document.
    schema: String,
    /// The keys that tokens are verified with, each a JSON Web Key.
    keys: &'a [Value],
}

/// A key that signs access tokens, or did.
#[derive(Serialize, JsonSchema)]
struct KeyItem<'a> {
    /// What it is called in tokens.
    id: &'a str,
    /// When it was made: RFC 3339.
    created: String,
    /// Whether it signs now; else it verifies only.
    signs: bool,
}

/// What a rotation of the keys did.
#[derive(Serialize, JsonSchema)]
struct RotationItem<'a> {
    /// The keys whose tokens are good, latest first.
    keys: Vec<KeyItem<'a>>,
    /// The key whose tokens are good no more, if one had to go.
    dropped: Option<&'a str>,
}

const ROTATION: ItemShape<RotationItem<'static>> = ItemShape::new("auth-rotation", &["auth keys rotate"]);

const KEYS: Shape<KeySet<'static>> = Shape::new("auth-keys", &["auth keys list"]);

pub(super) const SHAPES: Shapes = &[&ROTATION, &KEYS];

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
    let keys = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if output.json() {
        return output.document(&KEYS, &KeySet { schema: KEYS.title().id(), keys });
    }
    let mut table = Table::new(["KEY", "TYPE", "ALGORITHM"]);
    let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    for key in keys {
        table.row([text(key, "kid"), text(key, "crv"), text(key, "alg")]);
    }
    output.table(&table, "there is no key yet: the first login makes one")
}

fn show_rotation(rotation: &KeyRotation, output: &Output) -> Result<(), Failure> {
    if output.json() {
        let keys = rotation.keys.iter().map(KeyItem::from).collect();
        let item = RotationItem { keys, dropped: rotation.dropped.as_deref() };
        return output.item(&ROTATION, &item);
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
