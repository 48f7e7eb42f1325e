//! Applies the store's commands.
//!
//! State keys of the family `Store`, by their first byte:
//!
//! | key | value |
//! |---|---|
//! | `r` namespace 0 database 0 table 0 key | version, bytes |
//! | `s` idempotency key | the outcome it was answered with |
//! | `w` log index | the idempotency key seen at that index |

use crate::store::{
    StoreCommand,
    command::StoreOutcome,
    record::{split_state_value, state_value},
};
use bytes::{BufMut, Bytes};
use micro_consensus::Transaction;
use micro_sdk::wire::{Codec, LogIndex, limits::PROPOSAL_BYTES_MAX};
use micro_storage::Family;

const SEEN_TAG: u8 = b's';
const WINDOW_TAG: u8 = b'w';

/// For how many log entries an idempotency key is remembered. A client repeats a write for seconds; at full speed this
/// many entries take some, at a human pace months.
const SEEN_WINDOW: u64 = 200_000;
/// How often the window is swept: rarely enough to cost nothing.
const SWEEP_EVERY: u64 = 64;
/// How many keys one sweep forgets at most: more than come in between two.
const SWEEP_MAX: usize = 256;

/// Applies [`StoreCommand`]s.
pub struct StoreMachine;

impl StoreMachine {
    /// Applies one encoded command and returns its encoded outcome.
    pub fn apply(&self, state: &mut Transaction<'_>, index: LogIndex, command: &[u8]) -> Bytes {
        let outcome = match Codec::decode::<StoreCommand, PROPOSAL_BYTES_MAX>(command) {
            Ok(command) => Self::apply_once(state, index.0, command),
            Err(error) => StoreOutcome::Invalid { why: error.to_string() },
        };
        Codec::encode(&outcome).into()
    }

    fn apply_once(state: &mut Transaction<'_>, index: u64, command: StoreCommand) -> StoreOutcome {
        let (StoreCommand::Write { idempotency_key, .. } | StoreCommand::Delete { idempotency_key, .. }) =
            &command;
        let Some(seen) = idempotency_key.map(seen_key) else {
            return Self::apply_command(state, index, command);
        };
        if let Some(before) = state.get(Family::Store, &seen) {
            return Codec::decode::<StoreOutcome, PROPOSAL_BYTES_MAX>(&before)
                .unwrap_or_else(|error| StoreOutcome::Invalid { why: error.to_string() });
        }
        let outcome = Self::apply_command(state, index, command);
        state.put(Family::Store, window_key(index), seen.clone());
        state.put(Family::Store, seen, Codec::encode(&outcome).into());
        if index.is_multiple_of(SWEEP_EVERY) {
            Self::sweep(state, index);
        }
        outcome
    }

    /// Forgets the idempotency keys that have left the window.
    fn sweep(state: &mut Transaction<'_>, index: u64) {
        let end = window_key(index.saturating_sub(SEEN_WINDOW));
        for (key, seen) in state.scan_prefix(Family::Store, &[WINDOW_TAG], SWEEP_MAX) {
            if key >= end {
                break;
            }
            state.delete(Family::Store, seen);
            state.delete(Family::Store, key);
        }
    }

    fn apply_command(state: &mut Transaction<'_>, index: u64, command: StoreCommand) -> StoreOutcome {
        match command {
            StoreCommand::Write { key, value, if_version, .. } => {
                let key = Bytes::from(key);
                if let Some(conflict) = Self::conflict(state, &key, if_version) {
                    return conflict;
                }
                state.put(Family::Store, key, state_value(index, &value.0));
                StoreOutcome::Written { version: index }
            }
            StoreCommand::Delete { key, if_version, .. } => {
                let key = Bytes::from(key);
                if let Some(conflict) = Self::conflict(state, &key, if_version) {
                    return conflict;
                }
                let deleted = state.get(Family::Store, &key).is_some();
                if deleted {
                    state.delete(Family::Store, key);
                }
                StoreOutcome::Deleted { deleted }
            }
        }
    }

    fn conflict(state: &mut Transaction<'_>, key: &Bytes, if_version: Option<u64>) -> Option<StoreOutcome> {
        let wanted = if_version?;
        let stored = state.get(Family::Store, key);
        let version =
            stored.and_then(|value| split_state_value(&value).map(|(version, _)| version)).unwrap_or(0);
        (version != wanted).then_some(StoreOutcome::Conflict { version })
    }
}

fn seen_key(idempotency_key: u128) -> Bytes {
    let mut key = Vec::with_capacity(17);
    key.push(SEEN_TAG);
    key.put_u128(idempotency_key);
    key.into()
}

fn window_key(index: u64) -> Bytes {
    let mut key = Vec::with_capacity(9);
    key.push(WINDOW_TAG);
    key.put_u64(index);
    key.into()
}
