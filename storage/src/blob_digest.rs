//! The hashes of a blob while it streams past: of the whole, and of each chunk.

use crate::blob_store::BLOB_CHUNK_BYTES;
use micro_sdk::wire::BlobHash;
use ring::digest::{Context, SHA256, digest};

/// The bytes of a chunk's hash.
pub(crate) const CHUNK_HASH_BYTES: usize = 32;

/// The SHA-256 of a chunk.
pub(crate) type ChunkHash = [u8; CHUNK_HASH_BYTES];

/// Digests a blob.
pub(crate) struct BlobDigest {
    whole: Context,
    chunk: Context,
    chunk_bytes: usize,
    bytes: u64,
}

impl BlobDigest {
    pub fn new() -> Self {
        BlobDigest { whole: Context::new(&SHA256), chunk: Context::new(&SHA256), chunk_bytes: 0, bytes: 0 }
    }

    /// How many bytes it has seen.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes in the next bytes, and hands the hash of each chunk that they complete to `each`.
    pub fn add(&mut self, mut bytes: &[u8], mut each: impl FnMut(ChunkHash)) {
        self.whole.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOB_CHUNK_BYTES - self.chunk_bytes));
            self.chunk.update(now);
            self.chunk_bytes += now.len();
            if self.chunk_bytes == BLOB_CHUNK_BYTES {
                each(self.end_chunk());
            }
            bytes = rest;
        }
    }

    /// The hash of the whole, and that of the last chunk if it is a short one.
    pub fn finish(mut self) -> (BlobHash, Option<ChunkHash>) {
        let last = (self.chunk_bytes > 0).then(|| self.end_chunk());
        (BlobHash(array(&self.whole.finish())), last)
    }

    fn end_chunk(&mut self) -> ChunkHash {
        self.chunk_bytes = 0;
        array(&std::mem::replace(&mut self.chunk, Context::new(&SHA256)).finish())
    }
}

/// The hash of one chunk.
pub(crate) fn chunk_hash(chunk: &[u8]) -> ChunkHash {
    array(&digest(&SHA256, chunk))
}

fn array(digest: &ring::digest::Digest) -> [u8; CHUNK_HASH_BYTES] {
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_do_not_depend_on_how_the_bytes_come() {
        let content: Vec<u8> = (0..2 * BLOB_CHUNK_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let digested = |piece: usize| {
            let (mut digest, mut chunks) = (BlobDigest::new(), Vec::new());
            content.chunks(piece).for_each(|piece| digest.add(piece, |hash| chunks.push(hash)));
            assert_eq!(digest.bytes(), content.len() as u64);
            let (whole, last) = digest.finish();
            chunks.extend(last);
            (whole, chunks)
        };
        let expected: Vec<ChunkHash> = content.chunks(BLOB_CHUNK_BYTES).map(chunk_hash).collect();
        for piece in [content.len(), BLOB_CHUNK_BYTES, 65_537] {
            assert_eq!(digested(piece), (BlobHash(chunk_hash(&content)), expected.clone()));
        }
    }

    #[test]
    fn the_empty_blob_has_no_chunk() {
        let (hash, last) = BlobDigest::new().finish();
        assert!(hash.to_string().starts_with("e3b0c442") && last.is_none(), "{hash}");
    }
}
