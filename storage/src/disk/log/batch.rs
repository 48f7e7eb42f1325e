//! What one sync makes durable: a head, and the operations behind it.
//!
//! ```text
//! head:  magic u32 | crc32c u32 of what follows in the head | salt u64 | number u64 | body bytes u32 | body crc32c u32
//! body:  operations, one after another
//! then zeroes up to a multiple of 8
//!
//! extent:    1 | first u64 | end u64                      the log when the segment began; marks follow
//! record:    2 | index u64 | bytes u32 | sealed record
//! truncate:  3 | from u64
//! purge:     4 | first u64 | bytes u32 | mark
//! mark:      5 | number u8 | bytes u32 | value
//! ```
//!
//! All numbers are little-endian.

use crate::{LogMark, LogRecord, log_extent::LogExtent, sealed};
use bytes::Bytes;
use std::ops::Range;

/// "Mbat", read as a little-endian number.
const MAGIC: u32 = u32::from_le_bytes(*b"Mbat");
/// The bytes of a batch's head.
pub const BATCH_HEAD_BYTES: usize = 32;
/// Batches begin at multiples of this, so that a search for one need not look at every byte.
pub const ALIGNMENT: usize = 8;

const EXTENT: u8 = 1;
const RECORD: u8 = 2;
const TRUNCATE: u8 = 3;
const PURGE: u8 = 4;
const MARK: u8 = 5;

/// The head of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// That of the segment. What a recycled file still holds has another one, and so has what users put into records.
    pub salt: u64,
    /// Counts all batches of the log.
    pub number: u64,
    /// The bytes of the body.
    pub body_bytes: u32,
    /// The body's checksum.
    pub body_crc: u32,
}

impl BatchHead {
    /// The head of `body`.
    pub fn of(salt: u64, number: u64, body: &[u8]) -> Self {
        let body_bytes = u32::try_from(body.len()).expect("a batch is bounded far below 4 GiB");
        BatchHead { salt, number, body_bytes, body_crc: crc32c::crc32c(body) }
    }

    /// As it is stored.
    pub fn encode(self) -> [u8; BATCH_HEAD_BYTES] {
        let mut bytes = [0; BATCH_HEAD_BYTES];
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head at the start of `bytes`, if there is one, whole, of the segment with this salt.
    pub fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let head = bytes.first_chunk::<BATCH_HEAD_BYTES>()?;
        let mut reader = Reader { rest: head, at: 0 };
        if reader.u32()? != MAGIC || reader.u32()? != crc32c::crc32c(&head[8..]) {
            return None;
        }
        let head = BatchHead {
            salt: reader.u64()?,
            number: reader.u64()?,
            body_bytes: reader.u32()?,
            body_crc: reader.u32()?,
        };
        (head.salt == salt).then_some(head)
    }

    /// What the whole batch takes.
    pub fn batch_bytes(self) -> usize {
        (BATCH_HEAD_BYTES + self.body_bytes as usize).next_multiple_of(ALIGNMENT)
    }
}

/// One operation of a batch, as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// What the log held when the segment began.
    Extent(LogExtent),
    /// A record, and where its sealed form lies in the body.
    Record { index: u64, sealed: Range<usize> },
    /// The records from here on go.
    Truncate { from: u64 },
    /// The records before `first` go.
    Purge { first: u64, mark: Bytes },
    /// A mark has another value.
    Mark { mark: LogMark, value: Bytes },
}

/// Adds an extent to a body.
pub fn put_extent(body: &mut Vec<u8>, extent: LogExtent) {
    body.push(EXTENT);
    body.extend_from_slice(&extent.first.to_le_bytes());
    body.extend_from_slice(&extent.end.to_le_bytes());
}

/// Adds a record to a body, and returns where its sealed form lies in it.
pub fn put_record(body: &mut Vec<u8>, record: &LogRecord) -> Range<usize> {
    body.push(RECORD);
    body.extend_from_slice(&record.index.to_le_bytes());
    put_length(body, sealed::RECORD_HEAD_BYTES + record.body.len());
    let start = body.len();
    sealed::seal_record(record, body);
    start..body.len()
}

/// Adds a truncation to a body.
pub fn put_truncate(body: &mut Vec<u8>, from: u64) {
    body.push(TRUNCATE);
    body.extend_from_slice(&from.to_le_bytes());
}

/// Adds a purge to a body.
pub fn put_purge(body: &mut Vec<u8>, first: u64, mark: &[u8]) {
    body.push(PURGE);
    body.extend_from_slice(&first.to_le_bytes());
    put_bytes(body, mark);
}

/// Adds a mark to a body.
pub fn put_mark(body: &mut Vec<u8>, mark: LogMark, value: &[u8]) {
    body.push(MARK);
    body.push(match mark {
        LogMark::Vote => 1,
        LogMark::Committed => 2,
        LogMark::Purged => 3,
    });
    put_bytes(body, value);
}

fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    put_length(body, bytes.len());
    body.extend_from_slice(bytes);
}

fn put_length(body: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("records are bounded far below 4 GiB");
    body.extend_from_slice(&length.to_le_bytes());
}

/// The operations of a body, in order. None if it is not one, though its checksum holds: then a build that knew more
/// wrote it.
pub fn operations(body: &[u8]) -> Option<Vec<Operation>> {
    let mut reader = Reader { rest: body, at: 0 };
    let mut operations = Vec::new();
    while !reader.rest.is_empty() {
        operations.push(match reader.u8()? {
            EXTENT => {
                let (first, end) = (reader.u64()?, reader.u64()?);
                Operation::Extent(LogExtent { first, end })
            }
            RECORD => {
                let index = reader.u64()?;
                let bytes = reader.bytes()?.len();
                Operation::Record { index, sealed: reader.at - bytes..reader.at }
            }
            TRUNCATE => Operation::Truncate { from: reader.u64()? },
            PURGE => {
                let first = reader.u64()?;
                Operation::Purge { first, mark: Bytes::copy_from_slice(reader.bytes()?) }
            }
            MARK => {
                let mark = match reader.u8()? {
                    1 => LogMark::Vote,
                    2 => LogMark::Committed,
                    3 => LogMark::Purged,
                    _ => return None,
                };
                Operation::Mark { mark, value: Bytes::copy_from_slice(reader.bytes()?) }
            }
            _ => return None,
        });
    }
    Some(operations)
}

/// Takes numbers and bytes off the front.
pub struct Reader<'a> {
    pub rest: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        self.at += bytes;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let mut body = Vec::new();
        put_extent(&mut body, LogExtent { first: 1, end: 2 });
        put_mark(&mut body, LogMark::Committed, b"c");
        let record = LogRecord { index: 3, term: 1, leader: 1, kind: 0, body: Bytes::from_static(b"r") };
        assert_eq!(put_record(&mut body, &record), 37..60);
        let mut sealed = Vec::new(); // Frozen where it is made.
        sealed::seal_record(&record, &mut sealed);
        put_truncate(&mut body, 4);
        put_purge(&mut body, 5, b"p");
        let zeroes = [0_u8; 7];
        let golden = [
            &[1, 1][..],
            &zeroes,
            &[2],
            &zeroes,                   // extent
            &[5, 2, 1, 0, 0, 0, b'c'], // mark
            &[2, 3],
            &zeroes,
            &[23, 0, 0, 0],
            &sealed, // record
            &[3, 4],
            &zeroes, // truncation
            &[4, 5],
            &zeroes,
            &[1, 0, 0, 0, b'p'], // purge
        ]
        .concat();
        assert_eq!(body, golden);
        let read = operations(&body).expect("it was just written");
        assert_eq!(read.len(), 5);
        assert_eq!(read[2], Operation::Record { index: 3, sealed: 37..60 });
        assert_eq!(operations(&body[..body.len() - 1]), None);

        let head = BatchHead::of(7, 9, &body);
        let bytes = head.encode();
        assert_eq!(bytes[..4], *b"Mbat");
        assert_eq!(bytes[8..28], [&[7][..], &zeroes, &[9], &zeroes, &[83, 0, 0, 0]].concat());
        assert_eq!(BatchHead::decode(&bytes, 7), Some(head));
        assert_eq!(BatchHead::decode(&bytes, 8), None, "another segment's");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHead::decode(&changed, 7), None, "bit {bit} changed unseen");
        }
    }
}
