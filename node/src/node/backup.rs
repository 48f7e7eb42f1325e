//! A backup of the mesh, as a caller takes it.

use super::{Context, Local};
use micro_actors::{
    MeshBackup,
    auth::{READ, Resource},
    network::NETWORK,
};
use micro_sdk::wire::Fault;

impl Local {
    /// Takes a backup that shows everything acknowledged before the call; with the blobs, if `blobs` are wanted.
    ///
    /// # Errors
    /// If the caller may not, there is no quorum, or the state can't be copied.
    pub async fn backup(&self, context: &Context, blobs: bool) -> Result<MeshBackup, Fault> {
        let backup = Resource::of_mesh(NETWORK, "backup", READ);
        let _permit = self.system.dispatch().admit(context.asker(), NETWORK, &backup)?;
        self.system.backup(blobs, context.until()).await
    }
}
