//! `micro-node config rotate-key`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use micro_sdk::client::ConfigRotation;
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
    /// How many could not be opened, and stay as they are until they are set anew.
    lost: u64,
    /// The first hundred of these.
    lost_places: Vec<PlaceItem>,
}

/// A place in the tree of a namespace.
#[derive(Serialize, JsonSchema)]
struct PlaceItem {
    /// The namespace.
    namespace: String,
    /// The path.
    path: String,
}

const ROTATE: ItemShape<RotateItem> = ItemShape::new("config-rotate-key", &["config rotate-key"]);

pub(super) const SHAPES: Shapes = &[&ROTATE];

impl RotateKey {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let rotation = session::run(globals, async |node| Ok(node.config().rotate_key().await?))?;
        let ConfigRotation { key, secrets, lost, lost_places } = rotation;
        if output.json() {
            let place = |(namespace, path)| PlaceItem { namespace, path };
            let lost_places = lost_places.into_iter().map(place).collect();
            return output.item(&ROTATE, &RotateItem { key, secrets, lost, lost_places });
        }
        output.remark(&format!("key {key} seals from now on; secrets sealed anew: {secrets}"));
        if lost > 0 {
            output.remark(&format!(
                "secrets that can't be opened, and stay as they are: {lost}; set them anew: micro-node --namespace \
                 NAMESPACE config set PATH - --secret"
            ));
            lost_places.iter().for_each(|(namespace, path)| output.remark(&format!("  {namespace}  {path}")));
        }
        Ok(())
    }
}
