//! The audit log of this node, as callers read it.

use super::{Context, Local};
use crate::audit::{Break, Digest, Entry, Follower, Query, Trail};
use futures::future::BoxFuture;
use micro_actors::{
    audit::{AuditLog, AuditReading},
    auth::{READ, Resource},
    network::{NETWORK, NodeAudit, VerifyAuditRequest},
};
use micro_sdk::wire::{Code, Codec, Fault, Seams, limits::BODY_BYTES_MAX};
use std::sync::Arc;
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

    /// Has nodes read their logs through.
    ///
    /// # Errors
    /// [`Code::Denied`], or [`Code::NotFound`] if there is no such node.
    pub async fn verify_audit(
        &self,
        context: &Context,
        request: VerifyAuditRequest,
    ) -> Result<Vec<NodeAudit>, Fault> {
        let head = self.head(context, NETWORK.parse().expect("a good name"), "verify-audit");
        let answer =
            self.system.dispatch().call(context.origin, head, Codec::encode(&request).into()).await?;
        Codec::decode::<_, BODY_BYTES_MAX>(&answer.body)
            .map_err(|error| Fault::new(Code::Internal, format!("an answer can't be read: {error}")))
    }

    /// How many entries were written and dropped since the start.
    pub fn audit_counts(&self) -> (u64, u64) {
        self.trail.as_ref().map_or((0, 0), Trail::counts)
    }

    fn trail(&self) -> Result<&Trail, Fault> {
        self.trail.as_ref().ok_or_else(|| Fault::new(Code::NotFound, "this node keeps no audit log"))
    }

    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Trail) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        reading(self.trail()?.clone(), &self.seams, read).await
    }
}

/// Reads files where that keeps nobody waiting.
async fn reading<T: Send + 'static>(
    trail: Trail,
    seams: &Seams,
    read: impl FnOnce(&Trail) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let (done, result) = oneshot::channel();
    // Whoever asked may have gone.
    seams.blocking.run(Box::new(move || drop(done.send(read(&trail)))));
    result.await.unwrap_or_else(|_| Err(Fault::new(Code::Unavailable, "the node is shutting down")))
}

/// The log as the mesh asks for it.
struct Shared {
    trail: Trail,
    seams: Seams,
}

/// A log, for whoever in the mesh may have it read.
pub(super) fn shared(trail: Trail, seams: Seams) -> Arc<dyn AuditLog> {
    Arc::new(Shared { trail, seams })
}

impl AuditLog for Shared {
    fn verify(&self, wanted: Option<String>) -> BoxFuture<'static, Result<AuditReading, Fault>> {
        let (trail, seams) = (self.trail.clone(), self.seams.clone());
        Box::pin(async move {
            let wanted: Option<Digest> =
                wanted.map(|hash| hash.parse().map_err(|why| Fault::new(Code::Usage, why))).transpose()?;
            let found = reading(trail, &seams, move |trail| trail.verify(wanted)).await?;
            Ok(AuditReading {
                files: found.files as u64,
                entries: found.entries,
                first: found.numbers.0,
                last: found.numbers.1,
                head: found.head.to_string(),
                breaks: found.breaks.into_iter().map(|Break { file, line, why }| (file, line, why)).collect(),
            })
        })
    }
}
