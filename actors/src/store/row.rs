//! A record as it lies in the state.
//!
//! ```text
//! flags u8 │ created u64 │ modified u64 │ expires_ms u64 │ lease u64 │ length u32, metadata │ value
//!                                       └ if flag 1      └ if flag 2 └ if flag 4
//! ```
//!
//! Numbers are big-endian; metadata is pairs of texts, each behind its length as u16, by name. A flag that is not known
//! here makes the row unreadable: it is of a newer build. The value is shared with the row and never copied.

use crate::store::Metadata;
use bytes::{Buf, BufMut, Bytes};
use micro_storage::StorageError;

const EXPIRES: u8 = 1;
const LEASE: u8 = 2;
const METADATA: u8 = 4;

/// What a row says beside the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowHead {
    /// The revision that made the record.
    pub created: u64,
    /// The revision that wrote this value: its version.
    pub modified: u64,
    /// When it ends, in milliseconds since 1970; 0 for never.
    pub expires_ms: u64,
    /// The lease that it ends with, 0 for none.
    pub lease: u64,
}

impl RowHead {
    /// The row with this head.
    pub fn row(&self, metadata: &Metadata, value: &[u8]) -> Bytes {
        let metadata_bytes: usize = metadata.iter().map(|(name, text)| 4 + name.len() + text.len()).sum();
        let mut row = Vec::with_capacity(37 + metadata_bytes + value.len());
        let flag = |flag, set| if set { flag } else { 0 };
        row.push(
            flag(EXPIRES, self.expires_ms != 0)
                | flag(LEASE, self.lease != 0)
                | flag(METADATA, !metadata.is_empty()),
        );
        row.put_u64(self.created);
        row.put_u64(self.modified);
        if self.expires_ms != 0 {
            row.put_u64(self.expires_ms);
        }
        if self.lease != 0 {
            row.put_u64(self.lease);
        }
        if !metadata.is_empty() {
            row.put_u32(u32::try_from(metadata_bytes).expect("metadata is limited to some KiB"));
            for text in metadata.iter().flat_map(|(name, text)| [name, text]) {
                row.put_u16(u16::try_from(text.len()).expect("metadata is limited to some KiB"));
                row.put_slice(text.as_bytes());
            }
        }
        row.put_slice(value);
        row.into()
    }
}

/// A row that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub head: RowHead,
    /// The row itself.
    pub bytes: Bytes,
    metadata: Bytes,
    /// The record's value, a part of the row.
    pub value: Bytes,
}

impl Row {
    /// Reads a row.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if it is none.
    pub fn read(bytes: Bytes) -> Result<Self, StorageError> {
        Self::parse(bytes).ok_or_else(|| StorageError::Corrupt {
            what: "a record".to_owned(),
            detail: "it is cut short or garbled".to_owned(),
        })
    }

    /// The row in `bytes`, if it is one.
    pub fn parse(bytes: Bytes) -> Option<Self> {
        let mut rest = bytes.clone();
        let flags = rest.try_get_u8().ok()?;
        if flags & !(EXPIRES | LEASE | METADATA) != 0 {
            return None;
        }
        let mut head = RowHead {
            created: rest.try_get_u64().ok()?,
            modified: rest.try_get_u64().ok()?,
            ..RowHead::default()
        };
        if flags & EXPIRES != 0 {
            head.expires_ms = rest.try_get_u64().ok()?;
        }
        if flags & LEASE != 0 {
            head.lease = rest.try_get_u64().ok()?;
        }
        let mut metadata = Bytes::new();
        if flags & METADATA != 0 {
            let length = rest.try_get_u32().ok()? as usize;
            if rest.len() < length {
                return None;
            }
            metadata = rest.split_to(length);
        }
        Some(Row { head, bytes, metadata, value: rest })
    }

    /// The metadata.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if it is garbled.
    pub fn metadata(&self) -> Result<Metadata, StorageError> {
        let mut rest = &self.metadata[..];
        let mut metadata = Metadata::new();
        while !rest.is_empty() {
            let pair = text(&mut rest).zip(text(&mut rest));
            let (name, text) = pair.ok_or_else(|| StorageError::Corrupt {
                what: "the metadata of a record".to_owned(),
                detail: "it is cut short or garbled".to_owned(),
            })?;
            metadata.insert(name, text);
        }
        Ok(metadata)
    }
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = rest.try_get_u16().ok()? as usize;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> (RowHead, Metadata) {
        let head = RowHead { created: 1, modified: 2, expires_ms: 3, lease: 4 };
        (head, Metadata::from([("n".to_owned(), "tx".to_owned())]))
    }

    #[test]
    fn layout_is_frozen() {
        let plain = RowHead { created: 1, modified: 258, ..RowHead::default() };
        let row = plain.row(&Metadata::new(), b"v");
        assert_eq!(&row[..], b"\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01\x02v");
        let (head, metadata) = full();
        let golden = b"\x07\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\x07\0\x01n\0\x02txv";
        assert_eq!(&head.row(&metadata, b"v")[..], golden);
    }

    #[test]
    fn a_row_is_read_back_and_its_value_is_not_copied() {
        let (head, metadata) = full();
        let bytes = head.row(&metadata, b"value");
        let row = Row::read(bytes.clone()).expect("it is a row");
        assert_eq!((&row.head, row.metadata().expect("it is whole")), (&head, metadata));
        assert_eq!(&row.value[..], b"value");
        assert_eq!(row.value.as_ptr(), bytes[bytes.len() - 5..].as_ptr());
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let (head, metadata) = full();
        let bytes = head.row(&metadata, b"");
        for cut in 0..bytes.len() {
            assert!(Row::parse(bytes.slice(..cut)).is_none(), "cut at {cut}");
        }
        let mut newer = bytes.to_vec();
        newer[0] |= 8;
        assert!(Row::parse(newer.into()).is_none());
    }
}
