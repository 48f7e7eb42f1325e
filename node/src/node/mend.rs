//! A node whose state is damaged: what it says, and how it gets its state anew before it starts.

use micro_actors::network::NodeCard;
use micro_consensus::{FetchError, fetch_state};
use micro_mesh::{
    BoxFuture, FrameReceiver, FrameSender, Handler, Heard, JoinGrant, JoinRequest, KeyRequest, Lane, Mesh,
    Piece, RenewalGrant, Said,
};
use micro_sdk::wire::{Code, Fault, Head, NodeId, Seams};
use micro_storage::{Damage, Storage};
use std::{net::SocketAddr, path::Path, sync::Arc};

/// Fetches the state anew from another node, if that of `storage` is damaged. The damaged one is kept aside. A node
/// that is `alone`, as far as it knows, does not look for another for long.
///
/// # Errors
/// If no other node gives one, with what to do. The damaged state and the log are as they were.
pub(super) async fn mend(
    mesh: &Mesh,
    storage: &Storage,
    seams: &Seams,
    alone: bool,
    data_dir: &Path,
) -> Result<(), Fault> {
    let Some(damage) = storage.fence.damage() else { return Ok(()) };
    let Damage { what, detail } = &damage;
    tracing::warn!(what, detail, "the state is damaged: it is fetched anew from another node");
    // Others link to a node only once it takes their links.
    mesh.serve(Arc::new(Mending));
    NodeCard::publish_damage(mesh, &describe(&damage));
    let fetched = fetch_state(mesh, storage, seams, alone).await.map_err(|error| match error {
        FetchError::NoGiver(_) => refused(&damage, &error.to_string(), data_dir),
        FetchError::Storage(_) => Fault::new(Code::Failed, error.to_string())
            .help(format!("see whether {} is healthy and has room, then start again", data_dir.display())),
    })?;
    NodeCard::publish_damage(mesh, "");
    let aside = storage.fence.aside().unwrap_or_default().pop().map(|aside| aside.name).unwrap_or_default();
    tracing::warn!(
        from = %fetched.from,
        revision = fetched.revision,
        bytes = fetched.bytes,
        aside,
        "the state was fetched anew; the damaged one lies in the data directory, under the name `aside`"
    );
    Ok(())
}

/// Damage in one line.
pub(super) fn describe(damage: &Damage) -> String {
    format!("{} is corrupt: {}", damage.what, damage.detail)
}

fn refused(damage: &Damage, why: &str, data_dir: &Path) -> Fault {
    let dir = data_dir.display();
    Fault::new(Code::Failed, describe(damage))
        .help(format!("it can't be fetched anew: {why}"))
        .help("nothing was changed: bring another node of the mesh up that has the data, then start this one again")
        .help(format!(
            "if there is no other, keep a copy of {dir}, then `micro-node reset --data-dir {dir}` and \
             `micro-node cluster restore FILE` with a backup"
        ))
}

/// What a node ends with that finds its state damaged while it works.
pub(super) fn fault(damage: &Damage) -> Fault {
    Fault::new(Code::Failed, describe(damage))
        .help("start it again: it fetches its state from another node, and keeps the damaged one aside")
        .help("nothing is read from that state any more; other nodes have what was acknowledged")
}

/// Takes links while the node can do nothing else.
pub(super) struct Mending;

fn not_yet() -> Fault {
    Fault::new(Code::Unavailable, "this node has no state to work with").help("try another node")
}

impl Handler for Mending {
    fn call(&self, _: NodeId, _: Head, _: bytes::Bytes) -> BoxFuture<'static, Result<bytes::Bytes, Fault>> {
        Box::pin(async { Err(not_yet()) })
    }

    fn converse(&self, _: NodeId, _: Head, _: Heard) -> Said {
        Box::pin(futures::stream::once(async { Piece::Fault(not_yet()) }))
    }

    fn lane(&self, _: NodeId, _: Lane, _: FrameSender, _: FrameReceiver) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn join(&self, _: SocketAddr, _: JoinRequest) -> BoxFuture<'static, Result<JoinGrant, Fault>> {
        Box::pin(async { Err(not_yet()) })
    }
    fn renew(&self, _: SocketAddr, _: KeyRequest) -> BoxFuture<'static, Result<RenewalGrant, Fault>> {
        Box::pin(async { Err(not_yet()) })
    }
}
