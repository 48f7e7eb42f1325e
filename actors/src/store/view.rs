//! Looks at the state of this node's replica, each at one moment.

use crate::store::{history::EntryRow, key, ledger::Ledger};
use micro_sdk::wire::{Code, Fault, Seams};
use micro_storage::{Family, Order, ScanRange, StateStore, StateView, StorageError};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The state, as the service reads it.
#[derive(Clone)]
pub(crate) struct Replica {
    pub state: Arc<dyn StateStore>,
    pub seams: Seams,
}

/// The fault of a state that can't be read.
pub(crate) fn broken(error: StorageError) -> Fault {
    Fault::new(Code::Failed, format!("the state can't be read: {error}"))
        .help("see the node's log; other nodes have the same records")
}

/// The fault of a key or row that is not what was written.
pub(crate) fn garbled(what: &str) -> Fault {
    broken(StorageError::Corrupt { what: what.to_owned(), detail: "it is cut short or garbled".to_owned() })
}

/// The fault of whoever asks for what was given up.
pub(crate) fn compacted(wanted: u64, compacted: u64) -> Fault {
    let message = format!("revision {wanted} is compacted: the history begins after revision {compacted}");
    Fault::new(Code::Compacted, message)
        .help("read what is there now, and go on from the revision of that reading")
}

impl Replica {
    /// Looks at a few keys, on this thread.
    ///
    /// # Errors
    /// Those of `look`, or if the state can't be read.
    pub fn look<T>(&self, look: impl FnOnce(&dyn StateView) -> Result<T, Fault>) -> Result<T, Fault> {
        let (mut look, mut seen) = (Some(look), None);
        self.state.view(&mut |view| seen = look.take().map(|look| look(view))).map_err(broken)?;
        seen.expect("a view is shown once")
    }

    /// Looks at many keys, on another thread.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub async fn look_aside<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn StateView) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (done, waiting) = oneshot::channel();
        let replica = self.clone();
        self.seams.blocking.run(Box::new(move || drop(done.send(replica.look(look)))));
        waiting.await.map_err(|_| Fault::new(Code::Unavailable, "the node is shutting down"))?
    }
}

/// What entries changed from revision `from` on, at most `limit` of them, with their revisions.
pub(crate) fn entries(
    view: &dyn StateView,
    from: u64,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<(u64, EntryRow)>, Fault> {
    let range = ScanRange::between(key::revision(from), key::revision(u64::MAX));
    let rows = view.scan(Family::History, range, Order::Ascending, limit, bytes_max).map_err(broken)?;
    let entry = |(key, row): (bytes::Bytes, bytes::Bytes)| {
        key::revision_in(&key).zip(EntryRow::parse(row)).ok_or_else(|| garbled("the history"))
    };
    rows.into_iter().map(entry).collect()
}

/// When the first of all ends.
pub(crate) fn first_due(view: &dyn StateView) -> Result<Option<u64>, Fault> {
    let ledger = Ledger::at(view).map_err(broken)?;
    let range = key::expiries(ledger.expired_ms, u64::MAX);
    let range = ScanRange::between(range.start, range.end);
    let due = view.scan(Family::Store, range, Order::Ascending, 1, usize::MAX).map_err(broken)?;
    Ok(due.first().and_then(|(key, _)| key::expiring(key)).map(|(at, _)| at))
}
