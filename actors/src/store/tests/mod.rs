//! The store's machine over a disk in memory, without a group around it.

mod bounds;
mod listing;
mod model;
mod random;
mod watching;

use crate::store::{
    Metadata, RecordRange, TablePath, Value,
    bench::Bench,
    command::{Put, StoreCommand, StoreOutcome},
};
use bytes::Bytes;

impl Bench {
    fn write(&mut self, key: &str, value: &str) -> u64 {
        match self.apply(write(key, value)) {
            StoreOutcome::Written { version } => version,
            other => panic!("{other:?}"),
        }
    }

    /// Writes a record so many times, each as a batch.
    fn write_often(&mut self, times: u64, key: &str) {
        for _ in 0..times {
            self.write(key, "again");
        }
    }
}

fn state_key(key: &str) -> Vec<u8> {
    TablePath::default().state_key(key)
}

fn put(key: &str, value: &str) -> Put {
    let value = Value(Bytes::copy_from_slice(value.as_bytes()));
    Put { key: state_key(key), value, ttl_ms: 0, lease: 0, metadata: Metadata::new() }
}

fn write(key: &str, value: &str) -> StoreCommand {
    StoreCommand::Write { put: put(key, value), if_version: None, idempotency_key: None }
}

fn delete(key: &str) -> StoreCommand {
    StoreCommand::Delete { key: state_key(key), if_version: None, idempotency_key: None }
}

fn everything() -> RecordRange {
    RecordRange::table(TablePath::default())
}
