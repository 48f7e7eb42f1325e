//! Elections of the whole mesh.

use super::{
    Fence, Node, Record, Watch, WatchError,
    line::{Holding, Line, TTL_DEFAULT},
    store::ELECTIONS,
};
use crate::wire::Fault;
use bytes::Bytes;
use std::time::Duration;

/// The table of those who would.
const ELECTION_LINES: &str = "election-lines";

/// An election that one candidate of the whole mesh wins at a time, in the order in which they came. A leader that
/// dies is followed by the next candidate once its time to live is over.
#[derive(Clone, Debug)]
pub struct Election {
    line: Line,
    ttl: Duration,
}

/// An election that is won, for as long as the value lives. Dropping it resigns in the background.
#[derive(Debug)]
#[must_use = "a leader resigns when its leadership is dropped"]
pub struct Leadership {
    holding: Holding,
    line: Line,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// What the candidate campaigned with, or said since.
    pub value: Bytes,
    /// The fencing token: the revision that made it the leader.
    pub token: u64,
}

/// Tells who leads, and each time that this changes. Dropping it ends it.
#[derive(Debug)]
pub struct Observer {
    line: Line,
    watch: Option<Watch>,
}

impl From<Record> for Leader {
    fn from(record: Record) -> Leader {
        Leader { value: record.value, token: record.created }
    }
}

impl Election {
    pub(super) fn new(node: Node, name: String) -> Election {
        Election { line: Line::new(node, ELECTIONS, ELECTION_LINES, name), ttl: TTL_DEFAULT }
    }

    /// How long others wait after the leader has died; 15 s by default. A leader that can't reach the store for this
    /// long leads no more.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Election {
        self.ttl = ttl;
        self
    }

    /// Waits until this candidate leads, however long that takes. `value` is what observers see of it. Should the store
    /// stand still for its time to live, its place is lost, and it waits on behind the other candidates.
    ///
    /// # Errors
    /// `Unavailable` without quorum, for a minute if there was one before; `Conflict` if somebody deleted its place;
    /// else those of a write.
    pub async fn campaign(&self, value: impl Into<Bytes>) -> Result<Leadership, Fault> {
        let place = self.line.enter(self.ttl).await?;
        let holding = self.line.wait(place, value.into()).await?;
        Ok(Leadership { holding, line: self.line.clone() })
    }

    /// Who leads now, if anybody does.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn leader(&self) -> Result<Option<Leader>, Fault> {
        Ok(self.line.records().get(&self.line.name).await?.map(Leader::from))
    }

    /// Tells who leads now, and from then on each time that this changes.
    pub fn observe(&self) -> Observer {
        Observer { line: self.line.clone(), watch: None }
    }
}

impl Leadership {
    /// The fencing token: the revision that made this candidate the leader.
    pub fn token(&self) -> u64 {
        self.holding.fence.token()
    }

    /// What writes carry that are to be done only while this candidate leads.
    pub fn fence(&self) -> Fence {
        self.holding.fence.clone()
    }

    /// Whether the lead can't be counted on any more.
    pub fn is_lost(&self) -> bool {
        self.holding.lease.is_lost()
    }

    /// Waits until the lead can't be counted on any more, and tells why.
    pub async fn lost(&self) -> Fault {
        self.holding.lease.lost().await
    }

    /// Lets observers see another value.
    ///
    /// # Errors
    /// `Conflict` if another leads meanwhile; else those of a write.
    pub async fn proclaim(&self, value: impl Into<Bytes>) -> Result<(), Fault> {
        let put = self.line.records().put(&self.line.name, value).lease(self.holding.lease.id());
        put.fence(self.fence()).await.map(drop)
    }

    /// Resigns: the next candidate leads.
    ///
    /// # Errors
    /// `NotFound` if the lead was lost before; else those of a write.
    pub async fn resign(self) -> Result<(), Fault> {
        self.holding.lease.revoke().await.map(drop)
    }
}

impl Observer {
    /// Who leads: the first time at once, then when that changes. None while nobody does.
    ///
    /// # Errors
    /// Those of a read, and of a watch that found no node for too long. It may be asked again.
    pub async fn next(&mut self) -> Result<Option<Leader>, Fault> {
        loop {
            let Some(watch) = &mut self.watch else { return self.look().await };
            match watch.next().await {
                Some(Ok(revision)) => {
                    if let Some(change) = revision.changes.into_iter().last() {
                        return Ok(change.record.map(Leader::from));
                    }
                }
                // What was given up meanwhile is not needed: who leads now is.
                None | Some(Err(WatchError::Compacted { .. })) => self.watch = None,
                Some(Err(WatchError::Fault(fault))) => {
                    self.watch = None;
                    return Err(fault);
                }
            }
        }
    }

    /// Looks who leads, and watches from there on.
    async fn look(&mut self) -> Result<Option<Leader>, Fault> {
        let records = self.line.records();
        let found = records.get(&self.line.name).found().await?;
        self.watch = Some(records.watch_key(&self.line.name).since(found.revision + 1).await?);
        Ok(found.record.map(Leader::from))
    }
}
