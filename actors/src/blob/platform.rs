//! The blobs' actor: what it is built on, and what nodes ask each other.

use super::{
    choice::{Candidate, in_order},
    health::{Health, Missing},
    limits::{FETCHES_MAX, SERVED_MAX, UPLOADS_MAX},
    shelf::Shelf,
};
use crate::{
    Dispatch, Invocation, Platform, auth::decode, network::node_places, registry::Registry,
    store::StoreService,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_consensus::Consensus;
use micro_mesh::{FrameReceiver, FrameSender, Mesh};
use micro_sdk::wire::{BlobHash, Code, Codec, Fault, NodeId, Seams};
use micro_storage::Storage;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// The name of the service of blobs.
pub const BLOB: &str = "blob";

/// Under which key a node tells how much room it has: the power of two.
const ROOM_KEY: &str = "blob/room";

/// The blobs' actor. Clones share everything.
#[derive(Clone)]
pub struct BlobService {
    pub(super) store: Arc<StoreService>,
    pub(super) parts: Arc<Shared>,
}

/// What the blobs' actor needs besides the store.
pub(crate) struct BlobParts {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub registry: Registry,
    pub dispatch: Dispatch,
    pub storage: Storage,
    pub seams: Seams,
    /// The copies that there are to be of a blob whose put does not say it.
    pub copies_usual: u32,
}

/// What all clones share.
pub(super) struct Shared {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub registry: Registry,
    pub dispatch: Dispatch,
    pub seams: Seams,
    pub shelf: Shelf,
    uploads: Arc<Semaphore>,
    pub served: Arc<Semaphore>,
    pub fetches: Semaphore,
    /// Tells the keeper of this node that there may be something to do.
    pub changed: Notify,
    pub health: Mutex<Health>,
    /// How many backups this node takes.
    pub retentions: Mutex<usize>,
    /// The copies that there are to be of a blob whose put does not say it.
    pub copies_usual: u32,
}

impl BlobService {
    pub(crate) fn new(store: Arc<StoreService>, parts: BlobParts) -> Self {
        let BlobParts { mesh, consensus, registry, dispatch, storage, seams, copies_usual } = parts;
        let shelf = Shelf::new(storage.blobs, storage.room, seams.clone());
        let shared = Shared {
            mesh,
            consensus,
            registry,
            dispatch,
            seams,
            shelf,
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            served: Arc::new(Semaphore::new(SERVED_MAX)),
            fetches: Semaphore::new(FETCHES_MAX),
            changed: Notify::new(),
            health: Mutex::default(),
            retentions: Mutex::default(),
            copies_usual,
        };
        BlobService { store, parts: Arc::new(shared) }
    }

    /// The same over a [fork](StoreService::fork) of the store, for callers on another thread.
    #[must_use]
    pub fn over(&self, store: Arc<StoreService>) -> Self {
        BlobService { store, parts: self.parts.clone() }
    }

    /// The blobs of this node's disk.
    pub(crate) fn shelf(&self) -> Shelf {
        self.parts.shelf.clone()
    }

    /// Serves a lane that another node opened to read a blob.
    pub(crate) async fn serve(&self, sender: FrameSender, receiver: FrameReceiver) {
        self.parts.serve(sender, receiver).await;
    }

    /// How the blobs are, and on which nodes copies are missing.
    pub(crate) fn health(&self) -> (Health, Vec<(NodeId, Missing)>) {
        (self.parts.health(), self.parts.missing())
    }

    /// The name of a node.
    pub fn node_name(&self, node: NodeId) -> String {
        self.parts.registry.node_name(node)
    }

    /// A seat for one more upload.
    pub(super) fn upload_seat(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.parts.uploads.clone().try_acquire_owned().map_err(|_| {
            Fault::new(
                Code::Unavailable,
                format!("{UPLOADS_MAX} blobs are being put through this node already"),
            )
            .help("try again later, or through another node")
        })
    }
}

impl Shared {
    /// This node.
    pub fn here(&self) -> NodeId {
        self.mesh.node()
    }

    /// Tells the others about how much room this node has.
    pub fn publish_room(&self) {
        self.mesh.gossip().set(ROOM_KEY, self.shelf.room().to_string());
    }

    /// The members of the mesh, whether they are up or not.
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.consensus.observe().addresses.into_iter().map(|(node, _)| node).collect()
    }

    /// The nodes that could take a copy, in the order in which to ask them: not this one, nor those that have it.
    pub fn candidates(&self, hash: BlobHash, holders: &[NodeId]) -> Vec<NodeId> {
        let members = self.members();
        let places = node_places(&self.mesh);
        let zone_of =
            |node: &NodeId| places.iter().find(|place| place.node == *node).map(|place| place.zone.clone());
        let zones: Vec<String> = holders.iter().filter_map(zone_of).collect();
        let room = |node| {
            let told = self.mesh.gossip().members();
            let told = told.iter().find(|member| member.node == node);
            told.and_then(|member| member.values.get(ROOM_KEY)?.parse().ok()).unwrap_or(0)
        };
        let fit = places.into_iter().filter(|place| {
            place.takes_work && members.contains(&place.node) && !holders.contains(&place.node)
        });
        let candidate =
            fit.map(|place| Candidate { room: room(place.node), node: place.node, zone: place.zone });
        in_order(candidate.collect(), &zones, hash)
    }

    /// Nodes in the order in which to ask them for what they have: those that are linked first, nearest first.
    pub fn nearest(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut nearest: Vec<NodeId> = Vec::new();
        let routes = self.mesh.routes();
        nearest.extend(routes.iter().map(|route| route.node).filter(|node| nodes.contains(node)));
        nearest
    }

    /// Whether a node is linked, or would be if it were asked.
    pub fn is_up(&self, node: NodeId) -> bool {
        node == self.here() || self.mesh.is_up(node)
    }
}

impl Platform for BlobService {
    fn name(&self) -> &'static str {
        BLOB
    }

    /// What other nodes ask. Callers of this node's doors are admitted, and call what they want directly.
    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(call.head.deadline_ms.into());
            match call.head.endpoint.as_str() {
                "fetch" => {
                    self.parts.fetch(decode(&call.body)?, deadline).await?;
                    Ok(Codec::encode(&()).into())
                }
                other => Err(Fault::new(Code::NotFound, format!("blobs have no endpoint {other:?}"))),
            }
        })
    }
}
