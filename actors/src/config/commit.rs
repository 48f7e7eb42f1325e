//! A change as one transaction of the store: what it writes, that the head is still what it was, and what of the
//! history is given up for it.

use crate::{
    config::{
        record::{Answered, CURRENT, Change, HEAD, Head, number_key, request_key, write},
        state::ConfigState,
    },
    store::{RecordCompare, RecordOp, TransactRequest},
};
use micro_sdk::wire::{Code, Codec, Fault};

/// How many changes of a namespace are kept: some years of a person who changes something each day, some hours of a
/// program that does each few seconds; a reader of the first version walks back through as many.
pub(crate) const CHANGES_KEPT: u64 = 1000;
/// The bytes of these changes: they are in every snapshot.
pub(crate) const HISTORY_BYTES_MAX: u64 = 32 << 20;
/// The largest change: it is one record, with what it replaced.
pub(crate) const CHANGE_BYTES_MAX: usize = 900 << 10;
/// How many changes one transaction gives up at most. One comes and one goes; more go only where large ones came.
const TRIMS_MAX: usize = 32;

/// A change that is ready to be made.
pub(crate) struct Commit {
    pub change: Change,
    /// What was asked, without values.
    pub asked: String,
    /// What it writes, besides what every change does.
    pub operations: Vec<RecordOp>,
    /// The version that the record of the current key must still have: for those who seal with it.
    pub key_version: Option<u64>,
}

impl Commit {
    /// The transaction that makes it, if `head` is still there under the version `head_version`.
    ///
    /// # Errors
    /// [`Code::Usage`] if it is too large.
    pub fn transaction(
        self,
        state: &ConfigState<'_>,
        head: &Head,
        head_version: u64,
    ) -> Result<TransactRequest, Fault> {
        let Commit { change, asked, operations, key_version } = self;
        let tables = &state.tables;
        let bytes = Codec::encode(&change).len();
        if bytes > CHANGE_BYTES_MAX {
            let message = format!(
                "the change takes {bytes} bytes with what it replaces: the limit is {CHANGE_BYTES_MAX}"
            );
            return Err(Fault::new(Code::Usage, message).help("make it in several steps"));
        }
        let mut next = Head {
            version: change.version,
            history_bytes: head.history_bytes + bytes as u64,
            time_ms: change.time_ms,
            ..head.clone()
        };
        let mut compares = vec![RecordCompare::version(tables.head.clone(), HEAD, head_version)];
        if let Some(version) = key_version {
            compares.push(RecordCompare::version(tables.keys.clone(), CURRENT, version));
        }
        let mut then = operations;
        trim(state, &mut next, &mut then)?;
        if head.version == 0 {
            then.push(RecordOp::Write(write(&tables.namespaces, state.namespace.as_str(), &())));
        }
        if let Some(key) = change.idempotency_key {
            let answered = Answered { version: change.version, asked };
            then.push(RecordOp::Write(write(&tables.requests, request_key(key), &answered)));
        }
        then.push(RecordOp::Write(write(&tables.changes, number_key(change.version), &change)));
        then.push(RecordOp::Write(write(&tables.head, HEAD, &next)));
        Ok(TransactRequest { compares, then, otherwise: Vec::new() })
    }
}

/// Gives up the oldest changes, as long as there are more than are kept once `head` is written.
fn trim(state: &ConfigState<'_>, head: &mut Head, then: &mut Vec<RecordOp>) -> Result<(), Fault> {
    let tables = &state.tables;
    for _ in 0..TRIMS_MAX {
        let count = head.version - head.known_from;
        // The one that is about to be made stays.
        if count <= 1 || (count <= CHANGES_KEPT && head.history_bytes <= HISTORY_BYTES_MAX) {
            break;
        }
        let oldest = head.known_from + 1;
        if let Some((change, bytes)) = state.change(oldest)? {
            if let Some(key) = change.idempotency_key {
                then.push(RecordOp::Delete { table: tables.requests.clone(), key: request_key(key) });
            }
            head.history_bytes = head.history_bytes.saturating_sub(bytes);
        }
        then.push(RecordOp::Delete { table: tables.changes.clone(), key: number_key(oldest) });
        head.known_from = oldest;
    }
    Ok(())
}
