//! Leases: records that end together unless somebody keeps them alive.
//!
//! A lease that is due lives until an entry ends it, and so do its records: every replica shows the same. One with more
//! records than an entry may end is ended over several entries; from the first of them on it can't be kept alive.

use crate::store::{
    command::StoreOutcome,
    edit::{ChangeKind, Edit},
    key,
};
use bytes::{Buf, BufMut, Bytes};
use micro_consensus::Transaction;
use micro_storage::Family;

/// The layout of a lease's row.
const LAYOUT: u8 = 1;

/// How much one entry may still remove.
pub(crate) struct Budget {
    pub records: usize,
    pub bytes: u64,
}

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub id: u64,
    /// How long it lives without being kept alive; 0 once it is ending.
    pub ttl_ms: u64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl Lease {
    /// The lease with this id, if there is one.
    pub fn get(state: &mut Transaction<'_>, id: u64) -> Option<Self> {
        let row = state.get(Family::Store, &key::lease(id))?;
        Some(Lease::parse(id, row).expect("a lease's row is what was written"))
    }

    /// The lease in `row`.
    pub fn parse(id: u64, mut row: Bytes) -> Option<Self> {
        if row.len() != 17 || row.get_u8() != LAYOUT {
            return None;
        }
        Some(Lease { id, ttl_ms: row.get_u64(), expires_ms: row.get_u64() })
    }

    fn row(&self) -> Bytes {
        let mut row = Vec::with_capacity(17);
        row.push(LAYOUT);
        row.put_u64(self.ttl_ms);
        row.put_u64(self.expires_ms);
        row.into()
    }

    /// Whether it can be kept alive and take records.
    pub fn lives(&self) -> bool {
        self.ttl_ms != 0
    }

    /// Makes a lease.
    pub fn grant(state: &mut Transaction<'_>, edit: &mut Edit, ttl_ms: u64) -> StoreOutcome {
        if ttl_ms == 0 {
            return StoreOutcome::Refused { why: "a lease of 0 ms would never live".to_owned() };
        }
        let lease = Lease { id: edit.revision, ttl_ms, expires_ms: edit.time_ms.saturating_add(ttl_ms) };
        lease.put(state, edit);
        StoreOutcome::Leased { lease: lease.id, ttl_ms }
    }

    /// Lets a lease live on.
    pub fn keep_alive(state: &mut Transaction<'_>, edit: &mut Edit, id: u64) -> StoreOutcome {
        let Some(lease) = Lease::get(state, id).filter(Lease::lives) else {
            return StoreOutcome::NoLease { lease: id };
        };
        lease.untie(state);
        let expires_ms = edit.time_ms.saturating_add(lease.ttl_ms);
        Lease { expires_ms, ..lease }.put(state, edit);
        StoreOutcome::Leased { lease: id, ttl_ms: lease.ttl_ms }
    }

    /// Ends a lease because somebody wants it.
    pub fn revoke(
        state: &mut Transaction<'_>,
        edit: &mut Edit,
        id: u64,
        budget: &mut Budget,
    ) -> StoreOutcome {
        let Some(lease) = Lease::get(state, id) else { return StoreOutcome::NoLease { lease: id } };
        let more = !lease.end(state, edit, ChangeKind::Delete, budget);
        StoreOutcome::Revoked { count: u32::try_from(edit.count()).unwrap_or(u32::MAX), more }
    }

    /// Ends a lease with its records, as many as `budget` allows. Tells whether all of it has ended; if not, it is due
    /// at once.
    pub fn end(
        self,
        state: &mut Transaction<'_>,
        edit: &mut Edit,
        kind: ChangeKind,
        budget: &mut Budget,
    ) -> bool {
        self.untie(state);
        edit.expiries_changed = true;
        let ties = state.scan(Family::Store, key::lease_keys(self.id), budget.records + 1, usize::MAX);
        for (tie, _) in ties {
            if budget.records == 0 || edit.moved_bytes >= budget.bytes {
                Lease { ttl_ms: 0, expires_ms: edit.time_ms, ..self }.put(state, edit);
                return false;
            }
            budget.records -= 1;
            let record = key::leased_record(&tie).expect("a tie names a record");
            let row = Edit::get(state, &record).expect("a lease is tied to records that are there");
            edit.delete(state, record, row, kind);
        }
        state.delete(Family::Store, key::lease(self.id));
        true
    }

    fn put(&self, state: &mut Transaction<'_>, edit: &mut Edit) {
        state.put(Family::Store, key::lease(self.id), self.row());
        state.put(Family::Store, key::expiry(self.expires_ms, &key::lease(self.id)), Bytes::new());
        edit.expiries_changed = true;
    }

    fn untie(&self, state: &mut Transaction<'_>) {
        state.delete(Family::Store, key::expiry(self.expires_ms, &key::lease(self.id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let lease = Lease { id: 5, ttl_ms: 1, expires_ms: 258 };
        assert_eq!(&lease.row()[..], b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01\x02");
        assert_eq!(Lease::parse(5, lease.row()), Some(lease));
    }
}
