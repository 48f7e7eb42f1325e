//! A record as it was read.

use crate::{
    proto,
    wire::{Code, Fault},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// A record as it was read; its value is bytes unless it comes from a [`Table`](super::Table).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<V = Bytes> {
    /// Its key, unique in its table.
    pub key: String,
    /// What was written.
    pub value: V,
    /// Grows with every write: the revision that wrote it last.
    pub version: u64,
    /// The revision that made it: the same until the record is deleted.
    pub created: u64,
    /// When it ends.
    pub expires: Option<SystemTime>,
    /// The lease that it ends with.
    pub lease: Option<u64>,
    /// What its writer noted beside the value.
    pub metadata: BTreeMap<String, String>,
}

/// How a record becomes what the caller wants of it.
pub(super) type Reading<V> = fn(Record) -> Result<Record<V>, Fault>;

impl From<proto::Record> for Record {
    fn from(record: proto::Record) -> Record {
        let proto::Record { key, value, version, created, expires_ms, lease, metadata } = record;
        let expires = (expires_ms != 0).then(|| time_of(expires_ms));
        Record { key, value, version, created, expires, lease: (lease != 0).then_some(lease), metadata }
    }
}

/// The time of day that the store tells in milliseconds since 1970.
pub(super) fn time_of(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

impl Record {
    /// The value as JSON.
    ///
    /// # Errors
    /// `Failed` if it is not JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let not = |error| {
            Fault::new(Code::Failed, format!("the value of {:?} is not as expected: {error}", self.key))
        };
        serde_json::from_slice(&self.value).map_err(not)
    }

    /// The record with its value as JSON.
    ///
    /// # Errors
    /// `Failed` if it is not JSON of a `T`.
    pub fn typed<T: DeserializeOwned>(self) -> Result<Record<T>, Fault> {
        let value = self.json()?;
        let Record { key, version, created, expires, lease, metadata, .. } = self;
        Ok(Record { key, value, version, created, expires, lease, metadata })
    }
}
