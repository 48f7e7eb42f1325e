//! The audit logs of all nodes, each read through by the node that keeps it: no node has another's.

use crate::{
    audit::AuditReading,
    auth::{decode, node_head},
    network::{NETWORK, NetworkService},
};
use bincode::{Decode, Encode};
use futures::future::join_all;
use micro_sdk::wire::{Code, Codec, Fault, NodeId};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Endpoint `verify-audit`: answers with a [`NodeAudit`] for each node that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct VerifyAuditRequest {
    /// The name or id of the node to ask; none for all of them, or, with a hash, for the one that is called.
    pub node: Option<String>,
    /// The hash of an entry that has to be there.
    pub wanted: Option<String>,
}

/// Endpoint `verify-audit-here`, from node to node: answers with an [`AuditReading`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct VerifyAuditHere {
    pub wanted: Option<String>,
}

/// What a node found in its log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeAudit {
    /// The node.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// What it found, or why it told nothing.
    pub found: Result<AuditReading, Fault>,
}

impl NetworkService {
    /// Has nodes read their logs through, all at once.
    ///
    /// # Errors
    /// If there is no such node. One that does not answer is told of in its place.
    pub(super) async fn verify_audit(
        &self,
        request: VerifyAuditRequest,
        deadline: Instant,
    ) -> Result<Vec<NodeAudit>, Fault> {
        let VerifyAuditRequest { node, wanted } = request;
        let nodes: BTreeSet<NodeId> = match (&node, &wanted) {
            (Some(name_or_id), _) => BTreeSet::from([self.member(name_or_id)?]),
            // A hash is of one log, and no other can have it.
            (None, Some(_)) => BTreeSet::from([self.mesh.node()]),
            (None, None) => self.members(),
        };
        let asked = nodes.into_iter().map(|node| {
            let wanted = wanted.clone();
            async move {
                let found = self.verify_audit_of(node, wanted, deadline).await;
                NodeAudit { node, name: self.name_of(node), found }
            }
        });
        let mut found = join_all(asked).await;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn verify_audit_of(
        &self,
        node: NodeId,
        wanted: Option<String>,
        deadline: Instant,
    ) -> Result<AuditReading, Fault> {
        if node == self.mesh.node() {
            return self.verify_audit_here(VerifyAuditHere { wanted }).await;
        }
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "verify-audit-here", deadline);
        decode(&self.dispatch.call_at(node, head, Codec::encode(&VerifyAuditHere { wanted }).into()).await?)
    }

    /// Reads the log of this node through.
    pub(super) async fn verify_audit_here(
        &self,
        VerifyAuditHere { wanted }: VerifyAuditHere,
    ) -> Result<AuditReading, Fault> {
        match &self.audit_log {
            Some(log) => log.verify(wanted).await,
            None => Err(Fault::new(Code::NotFound, "the node keeps no audit log")),
        }
    }
}
