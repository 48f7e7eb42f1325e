//! What peers send.

use super::System;
use crate::{
    audit::{Asker, AuditEvent, Origin, Verdict},
    network::NETWORK,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_mesh::{
    FrameReceiver, FrameSender, Handler, Heard, JoinGrant, JoinRequest, KeyRequest, Lane, Piece,
    RenewalGrant, Said,
};
use micro_sdk::wire::{Caller, Code, Fault, Head, NodeId};
use std::{net::SocketAddr, sync::Weak, time::Duration};
use tokio::time::Instant;

/// How long a join may take on our side: a proposal and a change of membership.
const JOIN_DEADLINE: Duration = Duration::from_secs(15);

/// How long a renewal may take on our side: a signature, perhaps by another node.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(5);

/// What peers send, handed to whom it is for.
pub(super) struct Incoming {
    pub system: Weak<System>,
}

fn stopping() -> Fault {
    Fault::new(Code::Unavailable, "the node is shutting down").help("try another node")
}

impl Handler for Incoming {
    fn call(&self, from: NodeId, head: Head, body: Bytes) -> BoxFuture<'static, Result<Bytes, Fault>> {
        let system = self.system.upgrade();
        Box::pin(async move { system.ok_or_else(stopping)?.dispatch.receive(from, head, body).await })
    }

    fn converse(&self, from: NodeId, head: Head, heard: Heard) -> Said {
        match self.system.upgrade() {
            Some(system) => system.dispatch.receive_conversation(from, head, heard),
            None => Box::pin(futures::stream::once(async { Piece::Fault(stopping()) })),
        }
    }

    fn lane(
        &self,
        from: NodeId,
        lane: Lane,
        sender: FrameSender,
        receiver: FrameReceiver,
    ) -> BoxFuture<'static, ()> {
        match self.system.upgrade() {
            Some(system) if lane == Lane::Blob => {
                let blobs = system.blobs.clone();
                Box::pin(async move { blobs.serve(sender, receiver).await })
            }
            Some(system) => system.consensus.lane(from, lane, sender, receiver),
            None => Box::pin(async {}),
        }
    }

    fn join(&self, from: SocketAddr, request: JoinRequest) -> BoxFuture<'static, Result<JoinGrant, Fault>> {
        let system = self.system.upgrade();
        Box::pin(async move {
            let system = system.ok_or_else(stopping)?;
            let deadline = Instant::now() + JOIN_DEADLINE;
            // In a task of its own: a joiner that hangs up must not leave a token used up and nobody taken in.
            let name = format!("{NETWORK}:{}:join", request.name);
            let audit = system.dispatch.guard().audit().clone();
            let join = tokio::spawn(async move { system.auth.join(request, deadline).await });
            let answer = join.await.unwrap_or_else(|_| Err(stopping()));
            let asker = Asker { origin: Origin::Admission(from), ..Asker::of(&Caller::Stranger) };
            let why = answer.as_ref().err().map(|fault| fault.message.clone());
            audit.tell(AuditEvent { why, ..AuditEvent::new(asker, "join", name, Verdict::of(&answer)) });
            if let Err(fault) = &answer {
                tracing::warn!(%from, %fault, "a node was not let in");
            }
            answer
        })
    }

    fn renew(&self, from: SocketAddr, key: KeyRequest) -> BoxFuture<'static, Result<RenewalGrant, Fault>> {
        let system = self.system.upgrade();
        Box::pin(async move {
            let system = system.ok_or_else(stopping)?;
            let name = format!("{NETWORK}:{}:renew", key.node);
            let audit = system.dispatch.guard().audit().clone();
            let answer = system.auth.renew_by_proof(key, Instant::now() + RENEWAL_DEADLINE).await;
            let asker = Asker { origin: Origin::Admission(from), ..Asker::of(&Caller::Stranger) };
            let why = answer.as_ref().err().map(|fault| fault.message.clone());
            audit.tell(AuditEvent { why, ..AuditEvent::new(asker, "renew", name, Verdict::of(&answer)) });
            if let Err(fault) = &answer {
                tracing::warn!(%from, %fault, "a node's certificate was not renewed");
            }
            answer
        })
    }
}
