//! A watch: every change of a range, in order, without gap and without repetition, whatever becomes of connections.
//!
//! ```text
//!   apart ── asked from behind what was seen ──► told ── the node is lost, or lets go ──► apart     after a pause
//!     └── compacted, refused, or no node for too long ──► ended
//! ```

use super::{
    super::{
        Node,
        contact::{Contact, Reconnection},
        node::Stake,
    },
    Record, Store,
    range::Range,
    record::{Reading, time_of},
};
use crate::{
    proto::{self, WatchResponse, watch_response::Event},
    wire::{Code, Fault},
};
use bytes::Bytes;
use futures::{Stream, future::BoxFuture, stream};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;
use tonic::Streaming;

/// How long a node may say nothing: it marks each second how far it is.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A watch that is being made up. Await it to begin it.
#[derive(Debug)]
#[must_use = "a watch begins when it is awaited"]
pub struct WatchRange<V = Bytes> {
    store: Store,
    range: Range,
    since: Option<u64>,
    stale: bool,
    others: Vec<Node>,
    reconnection: Reconnection,
    reading: Reading<V>,
}

/// A watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch<V = Bytes> {
    asked: WatchRange<V>,
    /// Everything up to this revision was told.
    seen: Option<u64>,
    answers: Option<Streaming<WatchResponse>>,
    /// Which node is asked: the store's own, then the others in turn.
    turn: usize,
    ended: bool,
}

/// All changes of one revision that lie in the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision<V = Bytes> {
    /// The revision.
    pub revision: u64,
    /// When it was: the leader's time of day.
    pub time: SystemTime,
    /// One for each record.
    pub changes: Vec<Change<V>>,
}

/// The change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<V = Bytes> {
    /// The key of the record.
    pub key: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// The record as it was written; none if it is gone.
    pub record: Option<Record<V>>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was written.
    Put,
    /// Somebody deleted it, or revoked its lease.
    Delete,
    /// Its time was over, or that of its lease.
    Expire,
}

/// Why a watch ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// What comes next was compacted: read what is there now, and watch from behind the revision of that reading.
    #[error("{fault}")]
    Compacted {
        /// The first revision that was not seen and can't be seen any more.
        next: u64,
        /// What the node said.
        fault: Fault,
    },
    /// Anything else: a refusal, or no node for too long.
    #[error("{0}")]
    Fault(Fault),
}

impl From<WatchError> for Fault {
    fn from(error: WatchError) -> Fault {
        match error {
            WatchError::Compacted { fault, .. } | WatchError::Fault(fault) => fault,
        }
    }
}

impl<V> WatchRange<V> {
    pub(super) fn new(store: Store, range: Range, reading: Reading<V>) -> WatchRange<V> {
        WatchRange {
            store,
            range,
            since: None,
            stale: false,
            others: Vec::new(),
            reconnection: Reconnection::default(),
            reading,
        }
    }

    /// Changes from this revision on, also those that are not there yet. Without it, changes from now on.
    pub fn since(mut self, revision: u64) -> WatchRange<V> {
        self.since = Some(revision);
        self
    }

    /// Only keys from this one on.
    pub fn starting_at(mut self, key: impl Into<String>) -> WatchRange<V> {
        self.range.from = key.into();
        self
    }

    /// Only keys before this one.
    pub fn before(mut self, key: impl Into<String>) -> WatchRange<V> {
        self.range.to = key.into();
        self
    }

    /// Begins with the node's replica as it is, also without quorum.
    pub fn stale(mut self) -> WatchRange<V> {
        self.stale = true;
        self
    }

    /// Goes on through `node` when the ones before it are lost. All nodes of a mesh tell the same.
    pub fn or_through(mut self, node: Node) -> WatchRange<V> {
        self.others.push(node);
        self
    }

    /// Ends once no node has answered for this long.
    pub fn patience(mut self, patience: Duration) -> WatchRange<V> {
        self.reconnection.patience = patience;
        self
    }

    /// Tells `listener` when no node answers any more, and when one does again: changes come late meanwhile. It is
    /// called from within the watch, and must not block.
    pub fn on_contact(mut self, listener: impl Fn(Contact) + Send + Sync + 'static) -> WatchRange<V> {
        self.reconnection.listener = Some(Arc::new(listener));
        self
    }
}

impl<V: Send + 'static> IntoFuture for WatchRange<V> {
    type Output = Result<Watch<V>, WatchError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Begins the watch: what is written from now on, it tells.
    fn into_future(self) -> Self::IntoFuture {
        let seen = self.since.map(|since| since.saturating_sub(1));
        let mut watch = Watch { asked: self, seen, answers: None, turn: 0, ended: false };
        Box::pin(async move {
            // The first answer says from where on it tells: without it, a watch that is cut off at once would have to
            // begin anew, and miss what came between.
            let begun = async {
                watch.answers = Some(watch.ask().await?);
                watch.event().await
            };
            let event = begun.await.map_err(|fault| watch.error(fault))?;
            match event {
                Event::Mark(mark) => watch.seen = watch.seen.max(Some(mark.revision)),
                Event::Changes(_) => {
                    let fault = Fault::new(Code::Internal, "the watch does not begin with a mark");
                    return Err(WatchError::Fault(
                        fault.help("client and node may be of different versions"),
                    ));
                }
            }
            Ok(watch)
        })
    }
}

impl<V> Watch<V> {
    /// Everything in the range up to this revision was told.
    pub fn seen(&self) -> u64 {
        self.seen.unwrap_or_default()
    }

    /// The next revision that changes something in the range; none after the error that ended the watch. Nothing is
    /// lost if it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<Revision<V>, WatchError>> {
        if self.ended {
            return None;
        }
        let next = self.advance().await;
        self.ended = next.is_err();
        Some(next)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Revision<V>, WatchError>> + Send
    where
        V: Send + 'static,
    {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|next| (next, watch)) })
    }

    async fn advance(&mut self) -> Result<Revision<V>, WatchError> {
        loop {
            if self.answers.is_none() {
                match self.ask().await {
                    Ok(answers) => self.answers = Some(answers),
                    Err(fault) => self.recover(fault).await?,
                }
                continue;
            }
            match self.event().await {
                Ok(Event::Mark(mark)) => self.seen = self.seen.max(Some(mark.revision)),
                // It was seen before: a node repeats nothing, but what is behind a mark is nobody's word but its own.
                Ok(Event::Changes(changes)) if Some(changes.revision) <= self.seen => {}
                Ok(Event::Changes(changes)) => {
                    self.seen = Some(changes.revision);
                    return self.revision(changes).map_err(WatchError::Fault);
                }
                Err(fault) => self.recover(fault).await?,
            }
        }
    }

    /// Asks the node whose turn it is to tell what was not seen yet.
    async fn ask(&self) -> Result<Streaming<WatchResponse>, Fault> {
        let node = self.node();
        let store = Store { node: node.clone(), ..self.asked.store.clone() };
        let message = proto::WatchRequest {
            range: Some(self.asked.range.clone().of(&store)),
            from_revision: self.seen.map(|seen| seen + 1),
            stale: self.asked.stale,
        };
        let mut client = node.records();
        // The deadline is that of the beginning: a watch itself has none.
        node.ask(Stake::Read, node.timeout(), message, |request| async move { client.watch(request).await })
            .await
    }

    /// What the node says next.
    async fn event(&mut self) -> Result<Event, Fault> {
        let answers = self.answers.as_mut().expect("a node was asked before it is listened to");
        loop {
            let answer = timeout(SILENCE_MAX, answers.message()).await;
            let response = match answer {
                Ok(Ok(Some(response))) => response,
                Ok(Ok(None)) => return Err(Fault::new(Code::Unavailable, "the node let go of the watch")),
                Ok(Err(status)) => {
                    let node = self.node();
                    return Err(node.fault(Stake::Read, node.timeout(), status));
                }
                Err(_) => {
                    let message = format!("the node said nothing for {SILENCE_MAX:?}");
                    return Err(Fault::new(Code::Unreachable, message));
                }
            };
            self.asked.reconnection.answered();
            // One without an event is of a newer node.
            if let Some(event) = response.event {
                return Ok(event);
            }
        }
    }

    /// Gets ready to ask again after a pause.
    async fn recover(&mut self, fault: Fault) -> Result<(), WatchError> {
        self.answers = None;
        if is_final(&fault) {
            return Err(self.error(fault));
        }
        self.turn += 1;
        self.asked.reconnection.pause(fault).await.map_err(|fault| self.error(fault))
    }

    fn error(&self, fault: Fault) -> WatchError {
        match self.seen {
            Some(seen) if fault.code == Code::Compacted => WatchError::Compacted { next: seen + 1, fault },
            _ => WatchError::Fault(fault),
        }
    }

    fn node(&self) -> &Node {
        let nodes = self.asked.others.len() + 1;
        match self.turn % nodes {
            0 => &self.asked.store.node,
            turn => &self.asked.others[turn - 1],
        }
    }

    fn revision(&self, changes: proto::watch_response::Changes) -> Result<Revision<V>, Fault> {
        let proto::watch_response::Changes { revision, time_ms, changes } = changes;
        let change = |change: proto::Change| {
            let kind = match change.kind() {
                proto::ChangeKind::Put => ChangeKind::Put,
                proto::ChangeKind::Delete => ChangeKind::Delete,
                proto::ChangeKind::Expire => ChangeKind::Expire,
            };
            let record = change.record.map(Record::from).map(self.asked.reading).transpose()?;
            Ok(Change { key: change.key, kind, record })
        };
        let changes = changes.into_iter().map(change).collect::<Result<_, Fault>>()?;
        Ok(Revision { revision, time: time_of(time_ms), changes })
    }
}

/// Whether asking again can't help.
fn is_final(fault: &Fault) -> bool {
    use Code::{Compacted, Conflict, Denied, Internal, NotFound, Usage};
    matches!(fault.code, Usage | Denied | NotFound | Conflict | Compacted | Internal)
}
