//! `micro-node config rotate-key`.

use super::{failure::Failure, globals::Globals, output::Output, session};
use clap::Args;
use serde::Serialize;

/// Make a new key for secrets, and seal the secrets of all namespaces anew with it
///
/// Old keys stay for as long as the history has something that they open. If it is broken off, the next one goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node config rotate-key --timeout 5m")]
pub(super) struct RotateKey {}

#[derive(Serialize)]
struct RotateItem {
    key: u32,
    secrets: u64,
}

impl RotateKey {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let rotation = session::run(globals, async |node| Ok(node.config().rotate_key().await?))?;
        let (key, secrets) = (rotation.key, rotation.secrets);
        if output.json() {
            return output.item("micro-node/config-rotate-key/v1", &RotateItem { key, secrets });
        }
        output.remark(&format!("key {key} seals from now on; secrets sealed anew: {secrets}"));
        Ok(())
    }
}
