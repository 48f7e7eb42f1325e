//! Who has a blob, whatever the records say: a node that was dropped from a record, or whose put was cut short, may
//! have the last copy.

use super::{fetch::FetchRequest, limits::OFFERS, platform::Shared};
use futures::{StreamExt, stream};
use micro_sdk::wire::{BlobHash, NodeId};
use tokio::time::{Instant, sleep_until};

/// Nodes that are asked at once: each answers from the name of a file, so that more would gain nothing.
const ASKED_AT_ONCE: usize = 16;

impl Shared {
    /// Which other nodes have a blob, nearest first: those that are linked are asked, except `but`. They keep it for a
    /// grace, so that it can be fetched, or noted that they have it. Who answers too late has nothing.
    pub async fn offers(&self, hash: BlobHash, bytes: u64, but: &[NodeId]) -> Vec<NodeId> {
        let mut linked: Vec<NodeId> = self.members().into_iter().filter(|node| self.is_up(*node)).collect();
        linked.retain(|node| *node != self.here() && !but.contains(node));
        let there = self.who_has(hash, bytes, &linked).await;
        self.nearest(&there)
    }

    /// Which of these other nodes have a blob. One that is not linked has nothing.
    pub async fn who_has(&self, hash: BlobHash, bytes: u64, nodes: &[NodeId]) -> Vec<NodeId> {
        let deadline = Instant::now() + OFFERS;
        let request = &FetchRequest { hash, bytes, from: Vec::new() };
        stream::iter(nodes.iter().copied().filter(|node| self.is_up(*node)))
            .map(|node| async move {
                self.ask_to_fetch(node, request, deadline).await.is_ok().then_some(node)
            })
            .buffer_unordered(ASKED_AT_ONCE)
            .take_until(sleep_until(deadline))
            .filter_map(std::future::ready)
            .collect()
            .await
    }
}
