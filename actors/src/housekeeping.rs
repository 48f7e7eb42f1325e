//! What a node looks after while it runs: its certificate, the key of the seal, what is told of its actors and disk.

use crate::{
    AddressBook, Directory, Dispatch,
    audit::Origin,
    auth::{self, AuthService},
    network::{Complaint, Complaints, NodeCard},
};
use bytes::Bytes;
use micro_consensus::Consensus;
use micro_mesh::{Identity, Mesh};
use micro_sdk::wire::{Caller, Code, Codec, Fault, Seams};
use micro_storage::{Aside, Storage};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The file that holds the node's identity.
pub const IDENTITY_FILE: &str = "identity";
/// How long a renewal may take.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(10);
/// How often actors' restarts are gossiped, and certificates and the key of the seal looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What has to be done now and then.
pub(crate) struct Housekeeping {
    pub mesh: Mesh,
    pub auth: Arc<AuthService>,
    pub consensus: Consensus,
    pub directory: Directory,
    pub dispatch: Dispatch,
    pub address_book: AddressBook,
    pub storage: Storage,
    pub seams: Seams,
    pub identity: Identity,
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
            if let Err(fault) = self.address_book.keep_members(&self.consensus.observe()) {
                tracing::warn!(%fault, "the addresses of the members could not be kept");
            }
            let actors = self.directory.actors();
            if published.as_ref() != Some(&actors) {
                NodeCard::publish_actors(&self.mesh, &self.directory);
                published = Some(actors);
            }
            if self.seams.clock.now() >= self.identity.renew_at()
                && let Err(fault) = self.renew().await
            {
                tracing::warn!(%fault, "the node's certificate could not be renewed yet");
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

    /// Has the leader certify a new key, keeps it, and uses it for new connections.
    async fn renew(&mut self) -> Result<(), Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::new(Code::Failed, error.to_string());
        let request = self.identity.renewal().map_err(|error| failed(&error))?;
        let leader = *self.consensus.watch_leader().borrow();
        let leader = leader.ok_or_else(|| Fault::new(Code::Unavailable, "there is no leader just now"))?;
        let deadline = Instant::now() + RENEWAL_DEADLINE;
        let mut head = auth::node_head(&self.seams, self.mesh.node(), "auth", "renew", deadline);
        head.caller = Caller::Node(self.mesh.node());
        let body: Bytes = Codec::encode(&request).into();
        let certificate = if leader == self.mesh.node() {
            self.dispatch.call(Origin::Process, head, body).await?.body
        } else {
            self.dispatch.call_at(leader, head, body).await?
        };
        let certificate = auth::decode(&certificate)?;
        let renewed =
            self.identity.renewed(&certificate, self.seams.clock.now()).map_err(|error| failed(&error))?;
        self.storage.files.write(IDENTITY_FILE, &renewed.encode()).map_err(|error| failed(&error))?;
        self.mesh.renew(renewed.clone()).map_err(|error| failed(&error))?;
        tracing::info!("the node's certificate was renewed");
        self.identity = renewed;
        Ok(())
    }
}
