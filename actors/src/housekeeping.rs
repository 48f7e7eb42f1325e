//! What a node looks after while it runs: the key of the seal, what is told of its actors and disk.

use crate::{
    AddressBook, Directory,
    auth::AuthService,
    network::{Complaint, Complaints, NodeCard},
};
use micro_consensus::Consensus;
use micro_mesh::Mesh;
use micro_storage::{Aside, Storage};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often actors' restarts are gossiped, and the key of the seal looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What has to be done now and then.
pub(crate) struct Housekeeping {
    pub mesh: Mesh,
    pub auth: Arc<AuthService>,
    pub consensus: Consensus,
    pub directory: Directory,
    pub address_book: AddressBook,
    pub storage: Storage,
    pub complaints: Complaints,
}

impl Housekeeping {
    /// Does it until it is dropped.
    pub async fn run(mut self) {
        let mut published = None;
        let (mut sealed, mut aside) = (true, String::new());
        loop {
            self.look_at_seal(&mut sealed);
            self.look_aside(&mut aside);
            if let Err(fault) = self.address_book.keep_members(&self.consensus.observe(), &self.mesh) {
                tracing::warn!(%fault, "the addresses of the members could not be kept");
            }
            let actors = self.directory.actors();
            if published.as_ref() != Some(&actors) {
                NodeCard::publish_actors(&self.mesh, &self.directory);
                published = Some(actors);
            }
            sleep(EVERY).await;
        }
    }

    /// Looks whether this node can open the authority, and tells when that has changed: found out when somebody wants
    /// to join, it is found out too late. The node goes on: records and calls do not need the key.
    fn look_at_seal(&self, well: &mut bool) {
        if self.storage.fence.damage().is_some() {
            // What can't be read says nothing of the key.
            return;
        }
        let found = self.auth.check_seal();
        if found.is_ok() == *well {
            return;
        }
        *well = found.is_ok();
        match found {
            Ok(()) => {
                tracing::info!("this node can open the mesh's authority again");
                self.complaints.set(Complaint::SealKey, false);
            }
            Err(fault) => {
                let help = fault.help.join("; ");
                tracing::error!(%fault, help, "this node can't open the mesh's authority: it can admit nobody");
                self.complaints.set(Complaint::SealKey, true);
            }
        }
    }

    /// Looks for damaged states that were replaced, and tells when there are others than were `told`.
    fn look_aside(&self, told: &mut String) {
        let Ok(aside) = self.storage.fence.aside() else { return };
        let words = aside.iter().map(|Aside { name, damage }| {
            format!("`{name}` in the data directory, where {} is corrupt: {}", damage.what, damage.detail)
        });
        let found = words.collect::<Vec<_>>().join("; ");
        if found != *told {
            NodeCard::publish_aside(&self.mesh, &found);
            *told = found;
        }
    }
}
