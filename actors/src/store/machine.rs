//! Applies the store's commands.
//!
//! A revision is the index of a log entry. State keys of the family `Store`, by their first byte:
//!
//! | key | value |
//! |---|---|
//! | `r` namespace 0 database 0 table 0 key | the record: its revisions, when it ends, metadata, value (see `row`) |
//! | `d` record's key | the revision that deleted it last, while the history knows it |
//! | `x` time, key of a record or lease | nothing: it ends then |
//! | `l` lease | its time to live, and when it ends (see `lease`) |
//! | `k` lease, record's key | nothing: the record ends with the lease |
//!
//! Of the family `Books`, which is rewritten with nearly every batch:
//!
//! | key | value |
//! |---|---|
//! | `c` | the figures of the whole (see `ledger`) |
//! | `m` revision | the figures of the chunk of the history that ends there (see `history`) |
//!
//! The two journals, by revision:
//!
//! | family | value |
//! |---|---|
//! | `History` | what the entry changed, with the rows that it replaced (see `history`, and `past` for its readers) |
//! | `Outcomes` | the entry's idempotency key, its fingerprint and time, and what it was answered (see `outcomes`) |

use crate::store::{
    Watchers,
    branches::{CHANGES_MAX, MOVED_BYTES_MAX, OUTCOME_BYTES_KEPT},
    command::{COMMAND_BYTES_MAX, StoreCommand, StoreOutcome},
    edit::{ChangeKind, Edit},
    history, key,
    lease::{Budget, Lease},
    ledger::Ledger,
    outcomes::{Kept, Outcomes, Seen, fingerprint},
};
use bytes::Bytes;
use micro_consensus::Transaction;
use micro_sdk::wire::{Codec, LogIndex};
use micro_storage::Family;
use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard},
};

/// How many records and leases one entry ends at most, so that no other entry waits long for it.
const EXPIRE_MAX: usize = 256;

/// Applies the store's commands, and tells those who watch.
#[derive(Default)]
pub struct StoreMachine {
    watchers: Arc<Watchers>,
    /// None until they are read.
    books: Mutex<Option<Books>>,
}

/// What is kept in memory between commands. It follows from the state, and is never ahead of it by more than a batch.
struct Books {
    ledger: Ledger,
    /// The ledger in the state.
    written: Ledger,
    /// None until a command has an idempotency key.
    outcomes: Option<Outcomes>,
}

impl Books {
    fn read(state: &mut Transaction<'_>) -> Self {
        let ledger = Ledger::of(state);
        Books { written: ledger.clone(), ledger, outcomes: None }
    }
}

impl StoreMachine {
    /// Who watches what is applied.
    pub(crate) fn watchers(&self) -> &Arc<Watchers> {
        &self.watchers
    }

    fn books(&self) -> MutexGuard<'_, Option<Books>> {
        self.books.lock().expect("no code panics while it holds the books")
    }

    /// Applies one encoded command and returns its encoded outcome.
    pub fn apply(&self, state: &mut Transaction<'_>, index: LogIndex, time_ms: u64, encoded: &[u8]) -> Bytes {
        let command = match Codec::decode::<StoreCommand, COMMAND_BYTES_MAX>(encoded) {
            Ok(command) => command,
            Err(error) => return Codec::encode(&StoreOutcome::Invalid { why: error.to_string() }).into(),
        };
        let mut books = self.books();
        let Books { ledger, outcomes, .. } = books.get_or_insert_with(|| Books::read(state));
        let Some(idempotency_key) = command.idempotency_key() else {
            return self.apply_once(state, ledger, index.0, time_ms, command).0;
        };
        let outcomes = outcomes.get_or_insert_with(|| Outcomes::read(state, ledger));
        let fingerprint = fingerprint(encoded);
        match outcomes.get(state, ledger, idempotency_key, fingerprint) {
            Some(Seen::Same(before)) => return before,
            Some(Seen::SameRead { held }) => {
                // Nothing is changed by that branch, whatever its comparisons say now.
                let edit = Edit::new(index.0, time_ms);
                return Codec::encode(&command.read_again(state, edit, held)).into();
            }
            Some(Seen::Other) => return Codec::encode(&StoreOutcome::KeyUsed).into(),
            None => {}
        }
        let reads = command.reads();
        let (outcome, held) = self.apply_once(state, ledger, index.0, time_ms, command);
        (ledger.revision, ledger.time_ms) = (index.0, time_ms);
        let kept = match held {
            Some(held) if outcome.len() > OUTCOME_BYTES_KEPT && reads.only(held) => Kept::Read { held },
            _ => Kept::Whole(&outcome),
        };
        outcomes.put(state, (index.0, time_ms), (idempotency_key, fingerprint), &kept);
        outcomes.forget(state, ledger, (index.0, time_ms));
        outcome
    }

    /// The encoded outcome; and if it is of a transaction that was carried out, whether its comparisons held.
    fn apply_once(
        &self,
        state: &mut Transaction<'_>,
        ledger: &mut Ledger,
        revision: u64,
        time_ms: u64,
        command: StoreCommand,
    ) -> (Bytes, Option<bool>) {
        let (edit, outcome) = Self::perform(state, ledger, Edit::new(revision, time_ms), command);
        if edit.expiries_changed {
            self.watchers.note_expiries();
        }
        let changes = history::record(state, ledger, edit);
        if !changes.is_empty() {
            (ledger.revision, ledger.time_ms) = (revision, time_ms);
        }
        self.watchers.note(revision, time_ms, changes);
        let held = match &outcome {
            StoreOutcome::Transacted { held, .. } => Some(*held),
            _ => None,
        };
        (Codec::encode(&outcome).into(), held)
    }

    /// A batch ends: writes what it left in memory.
    pub fn batched(&self, state: &mut Transaction<'_>) {
        if let Some(books) = self.books().as_mut().filter(|books| books.written != books.ledger) {
            books.ledger.put(state);
            books.written = books.ledger.clone();
        }
    }

    /// The state was replaced by one that reaches up to `index`.
    pub fn restored(&self, index: LogIndex) {
        *self.books() = None;
        self.watchers.restored(index.0);
    }

    fn perform(
        state: &mut Transaction<'_>,
        ledger: &mut Ledger,
        mut edit: Edit,
        command: StoreCommand,
    ) -> (Edit, StoreOutcome) {
        let revision = edit.revision;
        let outcome = match command {
            StoreCommand::Write { mut put, if_version, .. } => {
                let key = Bytes::from(take(&mut put.key));
                let before = Edit::get(state, &key);
                let version = before.as_ref().map_or(0, |before| before.head.modified);
                if if_version.is_some_and(|wanted| wanted != version) {
                    StoreOutcome::Conflict { version }
                } else {
                    match edit.put(state, key, &put, before) {
                        Ok(()) => StoreOutcome::Written { version: revision },
                        Err(lease) => StoreOutcome::NoLease { lease },
                    }
                }
            }
            StoreCommand::Delete { key, if_version, .. } => {
                let key = Bytes::from(key);
                let before = Edit::get(state, &key);
                let version = before.as_ref().map_or(0, |before| before.head.modified);
                if if_version.is_some_and(|wanted| wanted != version) {
                    StoreOutcome::Conflict { version }
                } else {
                    let deleted = before.is_some();
                    if let Some(before) = before {
                        edit.delete(state, key, before, ChangeKind::Delete);
                    }
                    StoreOutcome::Deleted { deleted }
                }
            }
            StoreCommand::Transact { transaction, idempotency_key } => {
                return transaction.perform(state, edit, idempotency_key.is_some());
            }
            StoreCommand::Expire => Self::expire(state, ledger, &mut edit),
            StoreCommand::Grant { ttl_ms, .. } => Lease::grant(state, &mut edit, ttl_ms),
            StoreCommand::KeepAlive { lease } => Lease::keep_alive(state, &mut edit, lease),
            StoreCommand::Revoke { lease, .. } => {
                let mut budget = Budget { records: CHANGES_MAX, bytes: MOVED_BYTES_MAX };
                Lease::revoke(state, &mut edit, lease, &mut budget)
            }
            StoreCommand::Compact { revision: through } => {
                history::compact(state, ledger, revision, through);
                StoreOutcome::Compacted { revision: ledger.compacted }
            }
            StoreCommand::Retain { revisions, bytes } => {
                // What a command has changed must be there for those who watch: at least for a moment.
                ledger.revisions_max = revisions.max(1);
                ledger.bytes_max = bytes;
                StoreOutcome::Retained
            }
        };
        (edit, outcome)
    }

    /// Ends what is due at the entry's time, in the order in which it is due.
    fn expire(state: &mut Transaction<'_>, ledger: &mut Ledger, edit: &mut Edit) -> StoreOutcome {
        let range = key::expiries(ledger.expired_ms, edit.time_ms.saturating_add(1));
        let due = state.scan(Family::Store, range, EXPIRE_MAX + 1, usize::MAX);
        let mut budget = Budget { records: EXPIRE_MAX, bytes: MOVED_BYTES_MAX };
        let (mut count, mut more) = (0, due.len() > EXPIRE_MAX);
        for (row, _) in due {
            let (_, what) = key::expiring(&row).expect("an expiry names what ends");
            if budget.records == 0 || edit.moved_bytes >= budget.bytes {
                more = true;
                break;
            }
            budget.records -= 1;
            if let Some(lease) = key::lease_id(&what).and_then(|id| Lease::get(state, id)) {
                more |= !lease.end(state, edit, ChangeKind::Expire, &mut budget);
            } else if let Some(record) = Edit::get(state, &what) {
                // A lease that ended before may have taken it along.
                edit.delete(state, what, record, ChangeKind::Expire);
            }
            count += 1;
        }
        if !more {
            ledger.expired_ms = edit.time_ms;
        }
        StoreOutcome::Expired { count, more }
    }
}
