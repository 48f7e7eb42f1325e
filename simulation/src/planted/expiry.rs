//! Bugs of records that end by themselves, in the rows by which the store's machine finds what is due.

use bytes::Bytes;
use micro_sdk::wire::Clock;
use micro_storage::{Batch, Change, Family, ScanRange, StateStore, StateView, StorageError};
use std::{
    ops::Bound,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// What the key of a row begins with that says when something ends; the time follows, in milliseconds since 1970.
const EXPIRY_TAG: u8 = b'x';

/// How long before its end something is due that ends early: less than any lease lives, more than a heartbeat takes.
const EARLY_MS: u64 = 200;

/// What is wrong with these rows.
pub(super) enum Expiries {
    /// Whoever looks what is due is shown what is due by this clock, whatever the entry's time.
    ByOwnClock(Arc<dyn Clock>),
    /// The row of the first end stays when the record is renewed.
    NeverForgotten,
    /// What ends soon is due already.
    Early,
}

/// A state in which they are wrong.
pub(super) struct ExpiryState {
    pub state: Arc<dyn StateStore>,
    pub expiries: Expiries,
}

fn is_expiry(key: &[u8]) -> bool {
    key.first() == Some(&EXPIRY_TAG)
}

/// The key before which all lies that is due by `clock`.
fn due_by(clock: &dyn Clock) -> Bytes {
    let now = clock.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    let behind = u64::try_from(now).unwrap_or(u64::MAX).saturating_add(1);
    [&[EXPIRY_TAG], &behind.to_be_bytes()[..]].concat().into()
}

/// The key before which all lies that ends soon after what lies before `end`.
fn sooner(end: &[u8]) -> Bytes {
    let (tag, time) = end.split_at(1);
    let behind = time.first_chunk().map_or(u64::MAX, |ms| u64::from_be_bytes(*ms).saturating_add(EARLY_MS));
    [tag, &behind.to_be_bytes()[..]].concat().into()
}

impl StateStore for ExpiryState {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.state.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        mut range: ScanRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        if let Bound::Excluded(end) = &mut range.end
            && family == Family::Store
            && is_expiry(end)
        {
            match &self.expiries {
                Expiries::ByOwnClock(clock) => *end = due_by(&**clock),
                Expiries::Early => *end = sooner(end),
                Expiries::NeverForgotten => {}
            }
        }
        self.state.scan(family, range, limit, bytes_max)
    }

    fn view(&self, look: &mut dyn FnMut(&dyn StateView)) -> Result<(), StorageError> {
        self.state.view(look)
    }

    fn write(&self, mut batch: Batch) -> Result<(), StorageError> {
        if let Expiries::NeverForgotten = self.expiries {
            let ends = |key: &Bytes, change: &Change| is_expiry(key) && matches!(change, Change::Delete);
            batch.changes.retain(|(family, key, change)| *family != Family::Store || !ends(key, change));
        }
        self.state.write(batch)
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.state.flush()
    }
}
