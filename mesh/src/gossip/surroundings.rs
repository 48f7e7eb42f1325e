//! What is around gossip: the links that its messages go over, and those who act on what it tells.

use super::Member;
use crate::BoxFuture;
use bytes::Bytes;
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, net::SocketAddr};
use tokio::time::Instant;

/// What gossip needs of the mesh that it is in. None of it waits.
pub(crate) trait Surroundings: Send + Sync {
    /// Resolves when the mesh closes.
    fn closed(&self) -> BoxFuture<'static, ()>;

    /// A number by chance.
    fn chance(&self) -> u64;

    /// The life that a node is linked in; none if it is not.
    fn life(&self, node: NodeId) -> Option<u64>;

    /// The nodes that are linked.
    fn linked(&self) -> Vec<NodeId>;

    /// Those of them that have answered of late.
    fn answering(&self) -> Vec<NodeId>;

    /// Carries a message over the link to a node; none without one.
    fn delivery(&self, to: NodeId, message: Bytes) -> Option<BoxFuture<'static, ()>>;

    /// What is to be told of this node's links, by key, if that has changed.
    fn measure_links(&self) -> Vec<(String, Option<String>)>;

    /// When something has to be done by what is known already.
    fn due(&self, now: Instant) -> Option<Instant>;

    /// Forgets those that are not told of any more.
    fn prune(&self, told: &BTreeMap<NodeId, Member>);

    /// Takes note of another node, and completes what gossip tells of it by what is known here. `also` is where else it
    /// may be dialled. `false` if it is to be no member.
    fn meet(&self, member: &mut Member, also: Vec<SocketAddr>) -> bool;

    /// Acts on what all tell.
    fn act_on(&self, members: &[Member]);
}
