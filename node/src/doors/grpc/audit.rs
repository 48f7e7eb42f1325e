//! The audit log of the node.

use super::{
    Door, context,
    leash::{Leash, held},
    streams::Answers,
    usage,
};
use crate::{
    audit::{Digest, Entry, Follower, Query},
    node::Local,
};
use futures::{StreamExt, stream};
use micro_actors::{audit::AuditReading, network};
use micro_sdk::{
    proto::{
        AuditBreak, AuditEntry, AuditVerification, ListAuditRequest, NodeAudit, VerifyAuditRequest,
        VerifyAuditResponse, audit_server,
    },
    wire::{Fault, Namespace},
};
use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Request, Response, Status};

/// How many entries are told at most of those that are there already.
const LIMIT_MAX: u32 = 10_000;
/// How many are told to who does not say.
const LIMIT_DEFAULT: u32 = 50;

/// Entries that are told as they come.
struct Telling {
    local: Local,
    waiting: VecDeque<(Entry, Digest)>,
    /// None once nothing is to come.
    follower: Option<Follower>,
    news: watch::Receiver<u64>,
    draining: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
}

#[tonic::async_trait]
impl audit_server::Audit for Door {
    type ListAuditStream = Answers<AuditEntry>;

    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<Self::ListAuditStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let ListAuditRequest { since_ms, account, denied, limit, follow, trace } = request;
        let since = Duration::from_millis(since_ms);
        let query = Query {
            since: (since_ms > 0).then(|| SystemTime::UNIX_EPOCH.checked_add(since)).flatten(),
            account: Some(account).filter(|account| !account.is_empty()).map(whole_name),
            denied,
            trace: Some(trace)
                .filter(|trace| !trace.is_empty())
                .map(|trace| trace.parse().map_err(usage))
                .transpose()?,
        };
        let limit = if limit == 0 && !follow { LIMIT_DEFAULT } else { limit.min(LIMIT_MAX) };
        let seat = self.seats.take()?;
        let mut news = self.local.watch_audit()?;
        news.mark_changed();
        let (entries, follower) = self.local.last_audit(&context, query, limit as usize).await?;
        let telling = Telling {
            local: self.local.clone(),
            waiting: entries.into(),
            follower: follow.then_some(follower),
            news,
            draining: self.draining.clone(),
            _seat: seat,
        };
        let leash = Leash::hold(&self.local, &context, Local::may_read_audit);
        Ok(Response::new(held(telling.into_stream(), leash)))
    }

    async fn verify_audit(
        &self,
        request: Request<VerifyAuditRequest>,
    ) -> Result<Response<VerifyAuditResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let wanted = said(request.head).map(|head| head.parse::<Digest>().map_err(usage)).transpose()?;
        let request = network::VerifyAuditRequest {
            node: said(request.node),
            wanted: wanted.map(|head| head.to_string()),
        };
        let nodes = self.local.verify_audit(&context, request).await?;
        Ok(Response::new(VerifyAuditResponse { nodes: nodes.into_iter().map(node_audit).collect() }))
    }
}

fn node_audit(audit: network::NodeAudit) -> NodeAudit {
    let network::NodeAudit { node, name, found } = audit;
    let (found, problem) = match found {
        Ok(found) => (Some(verification(found)), String::new()),
        Err(fault) => (None, fault.message),
    };
    NodeAudit { id: node.to_string(), name, problem, found }
}

fn verification(reading: AuditReading) -> AuditVerification {
    let AuditReading { files, entries, first, last, head, breaks } = reading;
    let breaks = breaks.into_iter().map(|(file, line, why)| AuditBreak { file, line, why });
    AuditVerification { files, entries, first, last, head, breaks: breaks.collect() }
}

impl Telling {
    fn into_stream(self) -> Answers<AuditEntry> {
        let telling = stream::unfold(self, |mut telling| async move {
            let next = telling.next().await.transpose()?;
            Some((next.map(told).map_err(Status::from), telling))
        });
        telling.boxed()
    }

    async fn next(&mut self) -> Result<Option<(Entry, Digest)>, Fault> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                return Ok(Some(entry));
            }
            // What is taken here is given back below; an error ends it.
            let Some(follower) = self.follower.take() else { return Ok(None) };
            tokio::select! {
                biased;
                _ = self.draining.wait_for(|draining| *draining) => return Ok(None),
                news = self.news.changed() => if news.is_err() {
                    // The log has been closed.
                    return Ok(None);
                },
            }
            let (entries, follower) = self.local.next_audit(follower).await?;
            self.waiting.extend(entries);
            if !self.waiting.is_empty() {
                // There may be more than fits into one piece.
                self.news.mark_changed();
            }
            self.follower = Some(follower);
        }
    }
}

/// An account with its tenant.
fn whole_name(name: String) -> String {
    if name.contains('/') { name } else { format!("{}/{name}", Namespace::default()) }
}

fn told((entry, hash): (Entry, Digest)) -> AuditEntry {
    AuditEntry {
        seq: entry.seq,
        time: entry.time,
        event: entry.event,
        caller: entry.caller,
        account: entry.account.unwrap_or_default(),
        uid: entry.uid,
        action: entry.action,
        resource: entry.resource,
        namespace: entry.namespace.unwrap_or_default(),
        verdict: entry.verdict,
        why: entry.why.unwrap_or_default(),
        door: entry.door,
        peer: entry.peer.unwrap_or_default(),
        trace: entry.trace.unwrap_or_default(),
        count: entry.count,
        hash: hash.to_string(),
        prev: entry.prev,
        about: entry.about.unwrap_or_default(),
    }
}
