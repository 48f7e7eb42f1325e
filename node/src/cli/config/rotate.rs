//! `micro-node config rotate-key`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// Make a new key for secrets, and seal the secrets of all namespaces anew with it
///
/// Old keys stay for as long as the history has something that they open. If it is broken off, the next one goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node config rotate-key --timeout 5m")]
pub(super) struct RotateKey {}

/// A new key for secrets.
#[derive(Serialize, JsonSchema)]
struct RotateItem {
    /// The number of the key that seals from now on.
    key: u32,
    /// How many secrets were sealed anew.
    secrets: u64,
}

const ROTATE: ItemShape<RotateItem> = ItemShape::new("config-rotate-key", &["config rotate-key"]);

pub(super) const SHAPES: Shapes = &[&ROTATE];

impl RotateKey {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let rotation = session::run(globals, async |node| Ok(node.config().rotate_key().await?))?;
        let (key, secrets) = (rotation.key, rotation.secrets);
        if output.json() {
            return output.item(&ROTATE, &RotateItem { key, secrets });
        }
        output.remark(&format!("key {key} seals from now on; secrets sealed anew: {secrets}"));
        Ok(())
    }
}
