//! What the store puts into the log, and what applying it returns.

use crate::store::Value;
use bincode::{Decode, Encode};

/// A change of the store. Stored in the log: grows at its end only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StoreCommand {
    /// Sets a record.
    Write {
        /// The state key of the record.
        key: Vec<u8>,
        /// Its new value.
        value: Value,
        /// Only if it has this version; 0 means only if there is none.
        if_version: Option<u64>,
        /// A write with a key that was seen before is answered as it was then.
        idempotency_key: Option<u128>,
    },
    /// Removes a record.
    Delete {
        /// The state key of the record.
        key: Vec<u8>,
        /// Only if it has this version.
        if_version: Option<u64>,
        /// As for a write.
        idempotency_key: Option<u128>,
    },
}

/// What became of a change.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use micro_sdk::wire::Codec;

    #[test]
    fn layout_is_frozen() {
        let write = StoreCommand::Write {
            key: b"rk".to_vec(),
            value: Value(Bytes::from_static(b"v")),
            if_version: Some(3),
            idempotency_key: None,
        };
        assert_eq!(Codec::encode(&write), [1, 0, 0, 2, b'r', b'k', 1, b'v', 1, 3, 0]);
        let delete = StoreCommand::Delete { key: b"rk".to_vec(), if_version: None, idempotency_key: Some(9) };
        assert_eq!(Codec::encode(&delete), [1, 0, 1, 2, b'r', b'k', 0, 1, 9]);
        assert_eq!(Codec::encode(&StoreOutcome::Conflict { version: 4 }), [1, 0, 2, 4]);
    }
}
