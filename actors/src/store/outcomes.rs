//! What repeated commands are answered: what the first was.
//!
//! The outcomes are a journal by revision, and where the outcome of an idempotency key lies is kept in memory. So a
//! write with a key costs one row at the end of a file, instead of a row, and a look, somewhere among all others. What
//! is in memory follows from the journal alone, and is read from it after a start.

use crate::store::{key, ledger::Ledger};
use bytes::{Buf, BufMut, Bytes};
use micro_consensus::Transaction;
use micro_storage::Family;
use std::collections::HashMap;

/// For how many entries an idempotency key is remembered, or an eighth longer. A client repeats a write for seconds; at
/// full speed this many entries take some, at a human pace months. Each takes some 40 bytes of memory.
pub(crate) const SEEN_KEPT: u64 = 200_000;
/// After this many entries those are forgotten that are not kept: all in memory are looked at then.
const FORGET_EVERY: u64 = SEEN_KEPT / 8;
const KEY_BYTES: usize = size_of::<u128>();
const HEAD_BYTES: usize = KEY_BYTES + size_of::<Fingerprint>();

/// Tells commands apart: the length of one as it is encoded, and its CRC-32C. It is there for whoever takes a key twice
/// by mistake. Malice gains nothing: who knows the key of a change may as well repeat it. A hash that withstands malice
/// took a twentieth of the time of a large batch.
pub(crate) type Fingerprint = [u8; 8];

/// The fingerprint of an encoded command.
pub(crate) fn fingerprint(command: &[u8]) -> Fingerprint {
    // A command is limited to a few MiB.
    let (length, sum) = (command.len() as u32, crc32c::crc32c(command));
    (u64::from(length) << 32 | u64::from(sum)).to_be_bytes()
}

/// A command with an idempotency key was here before.
pub(crate) enum Seen {
    /// The same one, which was answered so.
    Same(Bytes),
    /// Another one.
    Other,
}

/// The revisions that first answered idempotency keys.
pub(crate) struct Outcomes(HashMap<u128, u64>);

impl Outcomes {
    /// Those that are remembered.
    pub fn read(state: &mut Transaction<'_>, ledger: &Ledger) -> Self {
        let kept = key::revision(ledger.forgotten + 1)..key::revision(u64::MAX);
        let rows = state.scan(Family::Outcomes, kept, usize::MAX, usize::MAX);
        let seen = rows.into_iter().map(|(key, mut row)| {
            let seen = row.try_get_u128().ok().zip(key::revision_in(&key));
            // Nobody else writes these rows, and a disk that garbles them is found out by the engine's checksums.
            seen.expect("an outcome's row is what was written")
        });
        Outcomes(seen.collect())
    }

    /// What was here before with this idempotency key, if that is still known.
    pub fn get(
        &self,
        state: &mut Transaction<'_>,
        ledger: &Ledger,
        idempotency_key: u128,
        fingerprint: Fingerprint,
    ) -> Option<Seen> {
        let revision = self.0.get(&idempotency_key).filter(|revision| **revision > ledger.forgotten)?;
        let row = state.get(Family::Outcomes, &key::revision(*revision))?;
        let same = row.get(KEY_BYTES..HEAD_BYTES) == Some(&fingerprint[..]);
        Some(if same { Seen::Same(row.slice(HEAD_BYTES..)) } else { Seen::Other })
    }

    /// Remembers an outcome.
    pub fn put(
        &mut self,
        state: &mut Transaction<'_>,
        revision: u64,
        (idempotency_key, fingerprint): (u128, Fingerprint),
        outcome: &[u8],
    ) {
        let mut row = Vec::with_capacity(HEAD_BYTES + outcome.len());
        row.put_u128(idempotency_key);
        row.put_slice(&fingerprint);
        row.put_slice(outcome);
        state.put(Family::Outcomes, key::revision(revision), row.into());
        self.0.insert(idempotency_key, revision);
    }

    /// Forgets what is not kept any more at `revision`.
    pub fn forget(&mut self, state: &mut Transaction<'_>, ledger: &mut Ledger, revision: u64) {
        let through = revision.saturating_sub(SEEN_KEPT);
        if through < ledger.forgotten + FORGET_EVERY {
            return;
        }
        ledger.forgotten = through;
        state.trim(Family::Outcomes, key::revision(through));
        self.0.retain(|_, revision| *revision > through);
    }
}
