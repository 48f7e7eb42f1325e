//! What repeated commands are answered: what the first was.
//!
//! The outcomes are a journal by revision, and where the outcome of an idempotency key lies is kept in memory. So a
//! write with a key costs one row at the end of a file, instead of a row, and a look, somewhere among all others. What
//! is in memory follows from the journal alone, and is read from it after a start.

use crate::store::{key, ledger::Ledger};
use bytes::{Buf, BufMut, Bytes};
use micro_consensus::Transaction;
use micro_storage::Family;
use std::collections::{HashMap, VecDeque};

/// For how many entries an idempotency key is remembered at least: at a human pace these take months. Each takes some
/// 80 bytes of memory.
pub(crate) const SEEN_KEPT: u64 = 200_000;
/// For how long it is remembered at least, in milliseconds: at full speed so many entries take seconds only, and a
/// client may repeat a write for as long as it waits for an answer, which is 10 s unless it says otherwise.
pub(crate) const SEEN_KEPT_MS: u64 = 60_000;
/// Keys are forgotten so many entries at a time, and so much time: each time costs a look at the journal's files.
const FORGET_EVERY: u64 = SEEN_KEPT / 8;
const FORGET_EVERY_MS: u64 = SEEN_KEPT_MS / 8;
const KEY_BYTES: usize = size_of::<u128>();
const TIME_AT: usize = KEY_BYTES + size_of::<Fingerprint>();
const KIND_AT: usize = TIME_AT + size_of::<u64>();
const HEAD_BYTES: usize = KIND_AT + 1;
/// What is kept of an outcome: all of it, or which branch was read.
const WHOLE: u8 = 0;
const READ_OTHERWISE: u8 = 1;
const READ_THEN: u8 = 2;

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
    /// The same one, which changed nothing, and read more than is kept: in the branch of a transaction whose
    /// comparisons held, or in the other.
    SameRead {
        /// Whether they held.
        held: bool,
    },
    /// Another one.
    Other,
}

/// What is to be kept of an outcome.
pub(crate) enum Kept<'o> {
    /// All of it, as it is encoded.
    Whole(&'o [u8]),
    /// Which branch of a transaction was read: it changed nothing, and so may be read again.
    Read {
        /// Whether the comparisons held.
        held: bool,
    },
}

/// The revisions that first answered idempotency keys.
#[derive(Default)]
pub(crate) struct Outcomes {
    revisions: HashMap<u128, u64>,
    /// The same in their order: the revision, its time, and the key.
    order: VecDeque<(u64, u64, u128)>,
}

impl Outcomes {
    /// Those that are remembered.
    pub fn read(state: &mut Transaction<'_>, ledger: &Ledger) -> Self {
        let kept = key::revision(ledger.forgotten + 1)..key::revision(u64::MAX);
        let rows = state.scan(Family::Outcomes, kept, usize::MAX, usize::MAX);
        let mut outcomes = Outcomes::default();
        for (key, row) in rows {
            let time = row.get(TIME_AT..KIND_AT).map(|mut time| time.get_u64());
            let idempotency_key = row.get(..KEY_BYTES).map(|mut key| key.get_u128());
            let seen = key::revision_in(&key).zip(time).zip(idempotency_key);
            // Nobody else writes these rows, and a disk that garbles them is found out by the engine's checksums.
            let ((revision, time), idempotency_key) = seen.expect("an outcome's row is what was written");
            outcomes.note(revision, time, idempotency_key);
        }
        outcomes
    }

    fn note(&mut self, revision: u64, time_ms: u64, idempotency_key: u128) {
        self.revisions.insert(idempotency_key, revision);
        self.order.push_back((revision, time_ms, idempotency_key));
    }

    /// What was here before with this idempotency key, if that is still known.
    pub fn get(
        &self,
        state: &mut Transaction<'_>,
        ledger: &Ledger,
        idempotency_key: u128,
        fingerprint: Fingerprint,
    ) -> Option<Seen> {
        let revision =
            self.revisions.get(&idempotency_key).filter(|revision| **revision > ledger.forgotten)?;
        let row = state.get(Family::Outcomes, &key::revision(*revision))?;
        if row.get(KEY_BYTES..TIME_AT) != Some(&fingerprint[..]) {
            return Some(Seen::Other);
        }
        Some(match row.get(KIND_AT) {
            Some(&READ_THEN) => Seen::SameRead { held: true },
            Some(&READ_OTHERWISE) => Seen::SameRead { held: false },
            _ => Seen::Same(row.slice(HEAD_BYTES.min(row.len())..)),
        })
    }

    /// Remembers an outcome.
    pub fn put(
        &mut self,
        state: &mut Transaction<'_>,
        (revision, time_ms): (u64, u64),
        (idempotency_key, fingerprint): (u128, Fingerprint),
        outcome: &Kept<'_>,
    ) {
        let (kind, whole): (u8, &[u8]) = match outcome {
            Kept::Whole(outcome) => (WHOLE, outcome),
            Kept::Read { held: true } => (READ_THEN, &[]),
            Kept::Read { held: false } => (READ_OTHERWISE, &[]),
        };
        let mut row = Vec::with_capacity(HEAD_BYTES + whole.len());
        row.put_u128(idempotency_key);
        row.put_slice(&fingerprint);
        row.put_u64(time_ms);
        row.put_u8(kind);
        row.put_slice(whole);
        state.put(Family::Outcomes, key::revision(revision), row.into());
        self.note(revision, time_ms, idempotency_key);
    }

    /// Forgets what is not kept any more at `revision`, which came at `time_ms`.
    pub fn forget(
        &mut self,
        state: &mut Transaction<'_>,
        ledger: &mut Ledger,
        (revision, time_ms): (u64, u64),
    ) {
        let through = revision.saturating_sub(SEEN_KEPT);
        if through < ledger.forgotten + FORGET_EVERY || !self.is_old(through, time_ms, FORGET_EVERY_MS) {
            return;
        }
        let mut forgotten = ledger.forgotten;
        while self.is_old(through, time_ms, 0)
            && let Some((revision, _, idempotency_key)) = self.order.pop_front()
        {
            forgotten = revision;
            if self.revisions.get(&idempotency_key) == Some(&revision) {
                self.revisions.remove(&idempotency_key);
            }
        }
        ledger.forgotten = forgotten;
        state.trim(Family::Outcomes, key::revision(forgotten));
    }

    /// Whether the oldest is not kept any more at `time_ms`, and was not for so long.
    fn is_old(&self, through: u64, time_ms: u64, for_ms: u64) -> bool {
        let kept = SEEN_KEPT_MS + for_ms;
        self.order.front().is_some_and(|(revision, time, _)| *revision <= through && *time + kept <= time_ms)
    }
}
