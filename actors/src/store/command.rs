//! What the store puts into the log, and what applying it returns. Keys are those of the state.

use crate::store::{Metadata, Value};
use bincode::{Decode, Encode};
use micro_sdk::wire::limits::PROPOSAL_BYTES_MAX;

/// What a command takes in memory at most, as decoding counts it: a list counts what its elements are there, beside
/// their bytes. What was taken in must be carried out, so this is more than any proposal can come to.
pub(crate) const COMMAND_BYTES_MAX: usize = 4 * PROPOSAL_BYTES_MAX;

/// A change of the store. Stored in the log: grows at its end only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StoreCommand {
    /// Sets a record.
    Write {
        /// The record.
        put: Put,
        /// Only if it has this version; 0 means only if there is none.
        if_version: Option<u64>,
        /// A write with a key that was seen before is answered as it was then.
        idempotency_key: Option<u128>,
    },
    /// Removes a record.
    Delete {
        /// Which one.
        key: Vec<u8>,
        /// Only if it has this version.
        if_version: Option<u64>,
        /// As for a write.
        idempotency_key: Option<u128>,
    },
    /// Several operations at once, as one revision.
    Transact {
        /// What to do.
        transaction: Branches,
        /// As for a write.
        idempotency_key: Option<u128>,
    },
    /// Ends what is due at the entry's time.
    Expire,
    /// Makes a lease. Its id is the entry's revision.
    Grant {
        /// How long it lives without being kept alive.
        ttl_ms: u64,
        /// As for a write.
        idempotency_key: Option<u128>,
    },
    /// Lets a lease live for another time to live from now on.
    KeepAlive {
        /// Which one.
        lease: u64,
    },
    /// Ends a lease with its records.
    Revoke {
        /// Which one.
        lease: u64,
        /// As for a write.
        idempotency_key: Option<u128>,
    },
    /// Gives up the history up to a revision.
    Compact {
        /// The last revision whose changes are given up; what was there at it can still be read.
        revision: u64,
    },
    /// Sets how much history is kept.
    Retain {
        /// How many revisions.
        revisions: u64,
        /// How many bytes.
        bytes: u64,
    },
}

impl StoreCommand {
    /// The key that makes a repeated command the same command.
    pub fn idempotency_key(&self) -> Option<u128> {
        match self {
            StoreCommand::Write { idempotency_key, .. }
            | StoreCommand::Delete { idempotency_key, .. }
            | StoreCommand::Transact { idempotency_key, .. }
            | StoreCommand::Grant { idempotency_key, .. }
            | StoreCommand::Revoke { idempotency_key, .. } => *idempotency_key,
            StoreCommand::Expire
            | StoreCommand::KeepAlive { .. }
            | StoreCommand::Compact { .. }
            | StoreCommand::Retain { .. } => None,
        }
    }
}

/// A record to set: it replaces all of one that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Put {
    pub key: Vec<u8>,
    pub value: Value,
    /// How long it lives from the entry's time on, 0 for ever.
    pub ttl_ms: u64,
    /// The lease that it ends with, 0 for none.
    pub lease: u64,
    pub metadata: Metadata,
}

/// Operations that depend on comparisons: all of them hold, or the others are done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Branches {
    pub compares: Vec<Compare>,
    pub then: Vec<Op>,
    pub otherwise: Vec<Op>,
}

impl Branches {
    /// How many comparisons and operations these are.
    pub fn count(&self) -> usize {
        self.compares.len() + self.then.len() + self.otherwise.len()
    }
}

/// A comparison with one record. One that does not exist has version, creation and lease 0, and no value.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Compare {
    pub key: Vec<u8>,
    pub relation: Relation,
    pub with: Comparand,
}

/// How the record's side stands to the given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Relation {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// The record's is less.
    Less,
    /// The record's is greater.
    Greater,
}

/// What a record is compared by, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Comparand {
    /// The revision that wrote it last; 0 if there is no record.
    Version(u64),
    /// The revision that made it; 0 if there is no record.
    Created(u64),
    /// Whether there is a record; false is less than true.
    Exists(bool),
    /// Its value, by bytes. No record is equal to, less or greater than no value.
    Value(Vec<u8>),
    /// Its lease; 0 for none.
    Lease(u64),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Op {
    Put(Put),
    Delete(Vec<u8>),
    /// Removes the first `limit` records from a key to before another.
    DeleteRange {
        from: Vec<u8>,
        to: Vec<u8>,
        limit: u32,
    },
    Get(Vec<u8>),
    /// Reads the first `limit` records from a key to before another.
    Range {
        from: Vec<u8>,
        to: Vec<u8>,
        limit: u32,
    },
}

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Done {
    Put,
    /// How many were removed, and whether there are more.
    Deleted {
        count: u32,
        more: bool,
    },
    /// The row of the record.
    Got(Option<Value>),
    /// Keys and rows, and whether there are more.
    Range {
        rows: Vec<(Vec<u8>, Value)>,
        more: bool,
    },
}

/// What became of a change. Stored for repeated commands: grows at its end only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StoreOutcome {
    Written {
        version: u64,
    },
    Deleted {
        deleted: bool,
    },
    /// The record has another version; 0 when there is none. Nothing was changed.
    Conflict {
        version: u64,
    },
    /// The command can't be read. Nothing was changed.
    Invalid {
        why: String,
    },
    Transacted {
        revision: u64,
        /// Whether the comparisons held.
        held: bool,
        done: Vec<Done>,
    },
    Expired {
        /// How many records and leases ended.
        count: u32,
        /// Whether more is due.
        more: bool,
    },
    Leased {
        lease: u64,
        ttl_ms: u64,
    },
    /// There is no such lease, or it has ended. Nothing was changed.
    NoLease {
        lease: u64,
    },
    Revoked {
        /// How many records ended with it so far.
        count: u32,
        /// Whether the others follow by and by.
        more: bool,
    },
    Compacted {
        revision: u64,
    },
    Retained,
    /// More than one entry may do. Nothing was changed.
    Refused {
        why: String,
    },
    /// Its idempotency key was used for another command before. Nothing was changed.
    KeyUsed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use micro_sdk::wire::Codec;

    #[test]
    fn layout_is_frozen() {
        let put = |lease, metadata| Put {
            key: b"rk".to_vec(),
            value: Value(Bytes::from_static(b"v")),
            ttl_ms: 5,
            lease,
            metadata,
        };
        let write =
            StoreCommand::Write { put: put(0, Metadata::new()), if_version: Some(3), idempotency_key: None };
        assert_eq!(Codec::encode(&write), [1, 0, 0, 2, b'r', b'k', 1, b'v', 5, 0, 0, 1, 3, 0]);
        let delete = StoreCommand::Delete { key: b"rk".to_vec(), if_version: None, idempotency_key: Some(9) };
        assert_eq!(Codec::encode(&delete), [1, 0, 1, 2, b'r', b'k', 0, 1, 9]);
        let metadata = Metadata::from([("n".to_owned(), "t".to_owned())]);
        let transaction = Branches {
            compares: vec![Compare {
                key: vec![b'r'],
                relation: Relation::Greater,
                with: Comparand::Created(4),
            }],
            then: vec![
                Op::Put(put(7, metadata)),
                Op::DeleteRange { from: vec![b'a'], to: vec![b'b'], limit: 2 },
            ],
            otherwise: vec![Op::Get(vec![b'r'])],
        };
        let golden = [
            1, 0, 2, 1, 1, b'r', 3, 1, 4, 2, 0, 2, b'r', b'k', 1, b'v', 5, 7, 1, 1, b'n', 1, b't', 2, 1,
            b'a', 1, b'b', 2, 1, 3, 1, b'r', 0,
        ];
        assert_eq!(Codec::encode(&StoreCommand::Transact { transaction, idempotency_key: None }), golden);
        assert_eq!(Codec::encode(&StoreCommand::Expire), [1, 0, 3]);
        assert_eq!(Codec::encode(&StoreCommand::Grant { ttl_ms: 4, idempotency_key: None }), [1, 0, 4, 4, 0]);
        assert_eq!(Codec::encode(&StoreCommand::KeepAlive { lease: 4 }), [1, 0, 5, 4]);
        assert_eq!(Codec::encode(&StoreCommand::Revoke { lease: 4, idempotency_key: None }), [1, 0, 6, 4, 0]);
        assert_eq!(Codec::encode(&StoreCommand::Compact { revision: 4 }), [1, 0, 7, 4]);
        assert_eq!(Codec::encode(&StoreCommand::Retain { revisions: 4, bytes: 5 }), [1, 0, 8, 4, 5]);
    }

    #[test]
    fn the_layout_of_outcomes_is_frozen() {
        assert_eq!(Codec::encode(&StoreOutcome::Conflict { version: 4 }), [1, 0, 2, 4]);
        let done = vec![Done::Put, Done::Deleted { count: 2, more: true }, Done::Got(None)];
        let transacted = StoreOutcome::Transacted { revision: 4, held: true, done };
        assert_eq!(Codec::encode(&transacted), [1, 0, 4, 4, 1, 3, 0, 1, 2, 1, 2, 0]);
        assert_eq!(Codec::encode(&StoreOutcome::Leased { lease: 4, ttl_ms: 5 }), [1, 0, 6, 4, 5]);
        assert_eq!(Codec::encode(&StoreOutcome::NoLease { lease: 4 }), [1, 0, 7, 4]);
    }
}
