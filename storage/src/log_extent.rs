//! Which indices a log holds, and what each operation does to them: the arithmetic that both engines share.

use crate::{LogRecord, StorageError};
use std::ops::Range;

/// The indices of a log: `first..end`. Empty at `first == end`; `first` is one past the last purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogExtent {
    /// The first index. Never falls.
    pub first: u64,
    /// One past the last index. Never less than `first`.
    pub end: u64,
}

impl LogExtent {
    /// The same as a range.
    pub fn range(self) -> Range<u64> {
        self.first..self.end
    }

    /// The indices in both.
    pub fn meet(self, range: &Range<u64>) -> Range<u64> {
        let start = self.first.max(range.start);
        start..self.end.min(range.end).max(start)
    }

    /// Takes in `records`.
    ///
    /// # Errors
    /// [`StorageError::Io`] with the kind `InvalidInput`, and no change, if they leave a gap or overlap.
    pub fn append(&mut self, records: &[LogRecord]) -> Result<(), StorageError> {
        let mut next = self.end;
        for record in records {
            if record.index != next || next == u64::MAX {
                let found = record.index;
                return Err(StorageError::refused(format!("append at {found}, where {next} is next")));
            }
            next += 1;
        }
        self.end = next;
        Ok(())
    }

    /// Drops the indices from `index` on. Returns those dropped.
    pub fn truncate_from(&mut self, index: u64) -> Range<u64> {
        let dropped = index.clamp(self.first, self.end)..self.end;
        self.end = dropped.start;
        dropped
    }

    /// Drops the indices up to and including `through`, and moves an empty log behind it. False, and no change, if they
    /// were purged before.
    pub fn purge(&mut self, through: u64) -> bool {
        let first = through.saturating_add(1);
        if first <= self.first {
            return false;
        }
        self.first = first;
        self.end = self.end.max(first);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn records(range: Range<u64>) -> Vec<LogRecord> {
        range.map(|index| LogRecord { index, term: 1, leader: 1, kind: 0, body: Bytes::new() }).collect()
    }

    #[test]
    fn operations_move_the_ends_and_never_leave_a_gap() {
        let mut extent = LogExtent::default();
        assert!(extent.append(&records(1..3)).is_err());
        assert!(extent.append(&records(0..5)).is_ok());
        assert!(extent.append(&records(4..6)).is_err());
        assert_eq!(extent.truncate_from(9), 5..5);
        assert_eq!(extent.truncate_from(3), 3..5);
        assert!(extent.purge(1));
        assert!(!extent.purge(0));
        assert_eq!(extent.range(), 2..3);
        assert_eq!(extent.truncate_from(0), 2..3);
        assert!(extent.purge(9));
        assert_eq!(extent.range(), 10..10);
        assert!(extent.append(&records(10..12)).is_ok());
        assert_eq!(extent.meet(&(0..11)), 10..11);
        assert_eq!(extent.meet(&(20..30)), 20..20);
    }
}
