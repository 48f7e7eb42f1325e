//! How a node is linked of which only an address is known: its certificate tells which one it is.
//!
//! It is dialled as any peer, but for its name: TLS asks whether it is of this mesh, and nothing else.

use super::{
    Refusal, close_code, describe,
    dial::{DIAL_TIMEOUT, certified_node, greet},
};
use crate::{mesh::Inner, prelude::Purpose, tls};
use micro_sdk::wire::{Code, Fault, NodeId};
use quinn::ConnectionError;
use std::{net::SocketAddr, sync::Arc};
use tokio::time::timeout;

/// The name asked for in the handshake. Nobody has it: any node of the mesh will do.
const SERVER_NAME: &str = "introduction.mesh.micro";

/// Links the node of this mesh that answers at `address`, and dials it there too from now on.
///
/// # Errors
/// `Unreachable` if nothing answers there, `Usage` if it is this node itself; `Conflict` if it is of another mesh, was
/// removed from this one, or does not take this node. Nothing has changed then.
pub(crate) async fn introduce(inner: &Arc<Inner>, address: SocketAddr) -> Result<NodeId, Fault> {
    if inner.is_own(address) {
        return Err(itself(address));
    }
    let meeting = timeout(DIAL_TIMEOUT, meet(inner, address));
    let late = format!("nothing answers within {} s", DIAL_TIMEOUT.as_secs());
    meeting.await.unwrap_or_else(|_| Err(absent(address, &late)))
}

async fn meet(inner: &Arc<Inner>, address: SocketAddr) -> Result<NodeId, Fault> {
    let credentials = inner.credentials();
    let client = tls::client_of_any(&credentials.identity, &credentials.trust, &inner.seams, inner.transport)
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    let connecting = inner.endpoint.connect_with(client, address, SERVER_NAME);
    let connecting = connecting.map_err(|error| absent(address, &format!("it can't be dialled: {error}")))?;
    let connection = connecting.await.map_err(|error| unmet(address, &error))?;
    let node = certified_node(inner, &connection).map_err(|why| foreign(address, &why))?;
    if node == inner.node {
        connection.close(close_code::DONE, b"a node needs no link to itself");
        return Err(itself(address));
    }
    if inner.has_forgotten(node) {
        connection.close(Refusal::Removed.code(), Refusal::Removed.to_string().as_bytes());
        return Err(removed(address, node));
    }
    let link = greet(inner, connection, node, Purpose::Link, &credentials).await;
    let link = link.map_err(|why| refused(address, node, &why))?;
    inner.introduce(&link, address).map_err(|refusal| match refusal {
        Refusal::Removed => removed(address, node),
        refusal => refused(address, node, &refusal.to_string()),
    })?;
    tracing::info!(peer = %node, %address, "linked where somebody said that a node is");
    Ok(node)
}

/// Why there is no connection.
fn unmet(address: SocketAddr, error: &ConnectionError) -> Fault {
    match error {
        // Somebody answers, and is not whom we look for.
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_) => foreign(address, &describe(error)),
        _ => absent(address, &describe(error)),
    }
}

fn absent(address: SocketAddr, why: &str) -> Fault {
    Fault::new(Code::Unreachable, format!("no node can be reached at {address}: {why}"))
        .help(
            "see that it runs, and that this is where its mesh listens: `micro-node config view` on its host",
        )
        .help("see that UDP is let through to it")
}

fn foreign(address: SocketAddr, why: &str) -> Fault {
    Fault::new(Code::Conflict, format!("what answers at {address} is no node of this mesh: {why}"))
        .help("a node comes into this mesh by a token: `micro-node token create`")
}

fn itself(address: SocketAddr) -> Fault {
    Fault::new(Code::Usage, format!("{address} is this node itself")).help("say where another node is")
}

fn removed(address: SocketAddr, node: NodeId) -> Fault {
    Fault::new(Code::Conflict, format!("the node at {address}, {node}, was removed from this mesh"))
        .help("wipe its data with `micro-node reset` on its host, and have it join again: `micro-node token create`")
}

fn refused(address: SocketAddr, node: NodeId, why: &str) -> Fault {
    Fault::new(Code::Conflict, format!("the node at {address}, {node}, can't be linked: {why}"))
        .help("see its log, and `micro-node status` on its host")
}
