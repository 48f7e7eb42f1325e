//! The audit log of this node, as callers read it.

use super::{Context, Local};
use crate::audit::{Digest, Entry, Follower, Query, Trail, Verification};
use micro_actors::{
    auth::{READ, Resource},
    network::NETWORK,
};
use micro_sdk::wire::{Code, Fault};
use tokio::sync::{oneshot, watch};

/// The log is of the node and not of a tenant.
const LOG: Resource<'static> = Resource::of_mesh(NETWORK, "audit", READ);

impl Local {
    /// Whether the caller may read the log.
    ///
    /// # Errors
    /// [`Code::Denied`].
    pub fn may_read_audit(&self, context: &Context) -> Result<(), Fault> {
        self.may(context, &LOG)
    }

    /// The last `limit` entries that are asked for, each with its hash, and the place behind them.
    ///
    /// # Errors
    /// [`Code::Denied`], or [`Code::Failed`] if the log can't be read.
    pub async fn last_audit(
        &self,
        context: &Context,
        query: Query,
        limit: usize,
    ) -> Result<(Vec<(Entry, Digest)>, Follower), Fault> {
        self.may_read_audit(context)?;
        self.reading(move |trail| trail.last(&query, limit)).await
    }

    /// The next entries behind a place; none if there are none now. Whoever was given the place may ask.
    ///
    /// # Errors
    /// [`Code::Failed`] if the log can't be read.
    pub async fn next_audit(
        &self,
        mut follower: Follower,
    ) -> Result<(Vec<(Entry, Digest)>, Follower), Fault> {
        self.reading(move |trail| Ok((trail.next(&mut follower)?, follower))).await
    }

    /// Tells when the log has new entries.
    ///
    /// # Errors
    /// If this node keeps none.
    pub fn watch_audit(&self) -> Result<watch::Receiver<u64>, Fault> {
        Ok(self.trail()?.watch())
    }

    /// Reads the log through. `wanted` is the hash of an entry that has to be there.
    ///
    /// # Errors
    /// [`Code::Denied`], or [`Code::Failed`] if the log can't be read.
    pub async fn verify_audit(
        &self,
        context: &Context,
        wanted: Option<Digest>,
    ) -> Result<Verification, Fault> {
        self.may_read_audit(context)?;
        self.reading(move |trail| trail.verify(wanted)).await
    }

    /// How many entries were written and dropped since the start.
    pub fn audit_counts(&self) -> (u64, u64) {
        self.trail.as_ref().map_or((0, 0), Trail::counts)
    }

    fn trail(&self) -> Result<&Trail, Fault> {
        self.trail.as_ref().ok_or_else(|| Fault::new(Code::NotFound, "this node keeps no audit log"))
    }

    /// Reads files where that keeps nobody waiting.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Trail) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let trail = self.trail()?.clone();
        let (done, result) = oneshot::channel();
        // Whoever asked may have gone.
        self.seams.blocking.run(Box::new(move || drop(done.send(read(&trail)))));
        result.await.unwrap_or_else(|_| Err(Fault::new(Code::Unavailable, "the node is shutting down")))
    }
}
