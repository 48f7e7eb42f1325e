//! The audit log of a node: who asked for what, and what was said.

use super::{Node, node::Stake};
use crate::{
    proto::{self, AuditEntry as Message},
    wire::{Fault, TraceId},
};
use serde::Serialize;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use tonic::Streaming;

/// How long a node may take to read its log through: 64 MiB by default, and more as it was told to keep.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(120);

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Not those from before.
    pub since: Option<SystemTime>,
    /// Those of this account only, as `NAME` or `NAMESPACE/NAME`.
    pub account: Option<String>,
    /// What was denied only.
    pub denied: bool,
    /// Those of the requests in this trace only.
    pub trace: Option<TraceId>,
    /// How many of those that are there, the last ones; 50 if nothing is said, 10,000 at most.
    pub limit: Option<u32>,
    /// Go on with those to come.
    pub follow: bool,
}

/// An entry. What does not apply is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Its number.
    pub seq: u64,
    /// When, as RFC 3339.
    pub time: String,
    /// `decision`; or of the log itself: `started`, `ended`, `dropped`, `torn`, `retired`.
    pub event: String,
    /// `admin`, `node`, `account`, `anonymous` or `stranger`.
    pub caller: String,
    /// `NAMESPACE/NAME`: the caller's, or the one that somebody wants to be.
    pub account: String,
    /// The user of the node's host, at its unix socket.
    pub uid: Option<u32>,
    /// What was to be done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// What of it, such as `create account jane`.
    pub about: String,
    /// Whose that is.
    pub namespace: String,
    /// `allowed`, `denied` or `failed`.
    pub verdict: String,
    /// Why, where rules did not decide.
    pub why: String,
    /// Where it came in: `socket`, `proxy`, `api`, `dns`, `mesh`, `admission` or `process`.
    pub door: String,
    /// The address or the node at its other side.
    pub peer: String,
    /// The trace.
    pub trace: String,
    /// How many: the same once more; entries that were dropped; bytes that were torn.
    pub count: Option<u64>,
    /// The SHA-256 of its line.
    pub hash: String,
    /// That of the line before.
    pub prev: String,
}

/// Entries on their way.
#[derive(Debug)]
pub struct AuditEntries {
    node: Node,
    answers: Streaming<Message>,
}

/// What a node found in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeAudit {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why nothing is known of its log, such as that the node does not answer; none if it was read.
    pub problem: Option<String>,
    /// What it found; none if it was not read.
    pub found: Option<AuditVerification>,
}

impl NodeAudit {
    /// Whether the log was read, and all of it is as it was written.
    pub fn is_sound(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.breaks.is_empty())
    }
}

/// What came of reading a log through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerification {
    /// How many files there are.
    pub files: u64,
    /// How many entries there are.
    pub entries: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The hash of the last.
    pub head: String,
    /// What is wrong; none if all is as it was written.
    pub breaks: Vec<AuditBreak>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditBreak {
    /// The name of the file in the log's directory.
    pub file: String,
    /// The line, from 1 on.
    pub line: u64,
    /// What.
    pub why: String,
}

impl Node {
    /// The last entries of the node's audit log, oldest first; and then those to come, if the query follows.
    ///
    /// # Errors
    /// `Denied`; else as every request.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditEntries, Fault> {
        let since_ms = query.since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
        let mut client = self.audit_client();
        let request = self.request(proto::ListAuditRequest {
            since_ms: since_ms.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            account: query.account.unwrap_or_default(),
            denied: query.denied,
            limit: query.limit.unwrap_or(0),
            follow: query.follow,
            trace: query.trace.map(|trace| trace.to_string()).unwrap_or_default(),
        })?;
        let late = || Fault::new(crate::wire::Code::Timeout, "the node does not answer in time");
        let begun = timeout(self.timeout(), client.list_audit(request)).await.map_err(|_| late())?;
        let answers = begun.map_err(|status| self.fault(Stake::Read, self.timeout(), status))?.into_inner();
        Ok(AuditEntries { node: self.clone(), answers })
    }

    /// Has nodes read their audit logs through, each its own: the one called `node`, by name or id, or all of
    /// them. `head` is the hash of an entry that has to be there, in the log of that node or of the one that is asked.
    ///
    /// # Errors
    /// `Denied`, or `NotFound` if there is no such node; else as every request. What is wrong with a log is no error,
    /// and neither is a node that does not answer.
    pub async fn verify_audit(
        &self,
        node: Option<&str>,
        head: Option<&str>,
    ) -> Result<Vec<NodeAudit>, Fault> {
        let mut client = self.audit_client();
        let sent = |request| async move { client.verify_audit(request).await };
        let said = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let message = proto::VerifyAuditRequest { head: said(head), node: said(node) };
        let answer = self.ask(Stake::Read, self.timeout().max(VERIFY_TIMEOUT), message, sent).await?;
        let told = |proto::NodeAudit { id, name, problem, found }| NodeAudit {
            id,
            name,
            problem: Some(problem).filter(|problem| !problem.is_empty()),
            found: found.map(verification),
        };
        Ok(answer.nodes.into_iter().map(told).collect())
    }
}

fn verification(found: proto::AuditVerification) -> AuditVerification {
    let proto::AuditVerification { files, entries, first, last, head, breaks } = found;
    let wrong = |proto::AuditBreak { file, line, why }| AuditBreak { file, line, why };
    AuditVerification { files, entries, first, last, head, breaks: breaks.into_iter().map(wrong).collect() }
}

impl AuditEntries {
    /// The next entry; none behind the last, or if the node goes away. It waits as long as it takes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn next(&mut self) -> Result<Option<AuditEntry>, Fault> {
        let answer = self.answers.message().await;
        let answer = answer.map_err(|status| self.node.fault(Stake::Read, self.node.timeout(), status))?;
        Ok(answer.map(|entry| AuditEntry {
            seq: entry.seq,
            time: entry.time,
            event: entry.event,
            caller: entry.caller,
            account: entry.account,
            uid: entry.uid,
            action: entry.action,
            resource: entry.resource,
            about: entry.about,
            namespace: entry.namespace,
            verdict: entry.verdict,
            why: entry.why,
            door: entry.door,
            peer: entry.peer,
            trace: entry.trace,
            count: entry.count,
            hash: entry.hash,
            prev: entry.prev,
        }))
    }
}
