//! Many changes at once: fewer entries in the log, and so fewer syncs of disks.

use super::{Op, Store, TRANSACTION_OPS_MAX, Transaction};
use crate::wire::{Fault, limits::PROPOSAL_BYTES_MAX};
use futures::future::BoxFuture;

/// The bytes of one entry at most: what fits a proposal with room to spare.
const ENTRY_BYTES_MAX: usize = PROPOSAL_BYTES_MAX * 3 / 4;

/// Many changes that are being made up. Await it to send them, up to 1024 in one entry of the log: each entry is done
/// as a whole or not at all, but one may be done and the next not. Changes that belong together belong into a
/// [`Transaction`].
#[derive(Debug)]
#[must_use = "a batch is sent when it is awaited"]
pub struct Batch {
    store: Store,
    ops: Vec<Op>,
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batched {
    /// How many changes were done.
    pub changes: usize,
    /// In how many entries.
    pub entries: usize,
    /// The revision of the last; 0 if there was none.
    pub revision: u64,
}

/// A batch that was not done to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct BatchError {
    /// What was done before: the first changes of the batch, in order.
    pub done: Batched,
    /// How many changes were in the entry that failed: whether that one was done, the fault says.
    pub failed: usize,
    /// Why it ended.
    pub fault: Fault,
}

impl From<BatchError> for Fault {
    fn from(error: BatchError) -> Fault {
        match error.done.changes {
            0 => error.fault,
            done => error.fault.help(format!("the first {done} changes of the batch were done")),
        }
    }
}

impl Batch {
    pub(super) fn new(store: Store) -> Batch {
        Batch { store, ops: Vec::new() }
    }

    /// One more change.
    pub fn with(mut self, op: impl Into<Op>) -> Batch {
        self.push(op);
        self
    }

    /// Adds a change.
    pub fn push(&mut self, op: impl Into<Op>) {
        self.ops.push(op.into());
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    async fn send(self) -> Result<Batched, BatchError> {
        let mut done = Batched::default();
        let mut ops = self.ops.into_iter().peekable();
        while ops.peek().is_some() {
            let (entry, count) = entry(self.store.txn(), &mut ops);
            match entry.await {
                Ok(transacted) => {
                    done.changes += count;
                    done.entries += 1;
                    done.revision = transacted.revision;
                }
                Err(fault) => return Err(BatchError { done, failed: count, fault }),
            }
        }
        Ok(done)
    }
}

/// As many of `ops` as one entry takes, and how many these are.
fn entry(
    mut txn: Transaction,
    ops: &mut std::iter::Peekable<impl Iterator<Item = Op>>,
) -> (Transaction, usize) {
    let (mut count, mut bytes) = (0, 0);
    while let Some(op) = ops.next_if(|op| count == 0 || bytes + op.bytes() <= ENTRY_BYTES_MAX) {
        bytes += op.bytes();
        count += 1;
        txn = txn.then(op);
        if count == TRANSACTION_OPS_MAX {
            break;
        }
    }
    (txn, count)
}

impl IntoFuture for Batch {
    type Output = Result<Batched, BatchError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the changes, one entry after another.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
