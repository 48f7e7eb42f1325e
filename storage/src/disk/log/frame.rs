//! The bytes of one write: a batch, and before it the head of the segment that it begins, if it begins one.
//!
//! They are put together in place. What a record holds is copied once on its way to the disk, from the record to here.

use super::batch::{BATCH_HEAD_BYTES, BatchHead};

/// A batch in the making.
#[derive(Default)]
pub struct Frame {
    bytes: Vec<u8>,
    /// Where the batch begins. The room before it, and that of its own head, are filled last.
    batch_at: usize,
}

impl Frame {
    /// Begins anew, behind a lead of so many bytes.
    pub fn begin(&mut self, lead_bytes: usize) {
        self.bytes.clear();
        self.bytes.resize(lead_bytes + BATCH_HEAD_BYTES, 0);
        self.batch_at = lead_bytes;
    }

    /// Where to add operations: the body is all behind what is there now.
    pub fn body(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The length so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Fills in the heads. Returns what is to be written.
    pub fn close(&mut self, lead: &[u8], salt: u64, number: u64) -> &[u8] {
        let (heads, body) = self.bytes.split_at_mut(self.batch_at + BATCH_HEAD_BYTES);
        let head = BatchHead::of(salt, number, body);
        let (before, of_batch) = heads.split_at_mut(self.batch_at);
        before.copy_from_slice(lead);
        of_batch.copy_from_slice(&head.encode());
        self.bytes.resize(self.batch_at + head.batch_bytes(), 0);
        &self.bytes
    }
}
