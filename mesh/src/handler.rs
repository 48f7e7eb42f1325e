//! What a mesh hands incoming work to.

use crate::{
    FrameReceiver, FrameSender, Heard, JoinGrant, JoinRequest, KeyRequest, Lane, RenewalGrant, Said,
};
use bytes::Bytes;
use micro_sdk::wire::{Fault, Head, NodeId};
use std::net::SocketAddr;

pub use futures::future::BoxFuture;

/// Takes what other nodes send. `from` is the node that the peer's certificate names.
///
/// A future returned here is dropped when its caller gives up, when the deadline passes and when the link is
/// lost: what must go on regardless belongs into a task.
pub trait Handler: Send + Sync + 'static {
    /// Answers a call. Bounded by the head's deadline.
    fn call(&self, from: NodeId, head: Head, body: Bytes) -> BoxFuture<'static, Result<Bytes, Fault>>;

    /// Answers a conversation: `heard` is what the peer says, and what is given is what it is told. Neither the head's
    /// deadline nor anything else bounds it here: it ends when its pieces do, or when the peer or the link goes.
    fn converse(&self, from: NodeId, head: Head, heard: Heard) -> Said;

    /// Works a lane that a peer has opened, until it is done with it.
    fn lane(
        &self,
        from: NodeId,
        lane: Lane,
        sender: FrameSender,
        receiver: FrameReceiver,
    ) -> BoxFuture<'static, ()>;

    /// Decides on a node that wants in. With [`Handler::renew`] the only thing that a stranger can reach: the token's
    /// secret is all that speaks for it.
    fn join(&self, from: SocketAddr, request: JoinRequest) -> BoxFuture<'static, Result<JoinGrant, Fault>>;

    /// Decides on a node whose certificate does not count any more. It has proved that it has the private key of `key`,
    /// and nothing else: that this is the key of that node, and the node a member, is for the handler to know.
    fn renew(&self, from: SocketAddr, key: KeyRequest) -> BoxFuture<'static, Result<RenewalGrant, Fault>>;
}
