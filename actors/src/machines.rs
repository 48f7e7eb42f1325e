//! Hands each committed command to the service that it belongs to.

use crate::{
    auth::AuthMachine,
    store::{StoreMachine, Watchers},
};
use bincode::Encode;
use bytes::Bytes;
use micro_consensus::{Machine, Transaction};
use micro_sdk::wire::{Codec, LogIndex};
use std::sync::Arc;

/// Which service a command belongs to: the first byte of the command. Stored: grows only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MachineId {
    Store = 1,
    Auth = 2,
}

/// The command as it is proposed.
pub(crate) fn envelope<T: Encode>(machine: MachineId, command: &T) -> Bytes {
    let mut bytes = Vec::with_capacity(320);
    bytes.push(machine as u8);
    Codec::encode_into(command, &mut bytes);
    bytes.into()
}

/// All machines of the platform.
#[derive(Default)]
pub struct Machines {
    store: StoreMachine,
    auth: AuthMachine,
}

impl Machines {
    /// Who watches the store.
    pub(crate) fn watchers(&self) -> &Arc<Watchers> {
        self.store.watchers()
    }
}

impl Machine for Machines {
    fn apply(&self, state: &mut Transaction<'_>, index: LogIndex, time_ms: u64, command: &Bytes) -> Bytes {
        match command.split_first() {
            Some((&machine, body)) if machine == MachineId::Store as u8 => {
                self.store.apply(state, index, time_ms, body)
            }
            Some((&machine, body)) if machine == MachineId::Auth as u8 => self.auth.apply(state, body),
            // A command of a newer build: it changes nothing here, and says nothing that can be taken for success.
            _ => Bytes::new(),
        }
    }

    fn batched(&self, state: &mut Transaction<'_>) {
        self.store.batched(state);
    }

    fn applied(&self, index: LogIndex) {
        self.store.watchers().publish(index.0);
    }

    fn restored(&self, index: LogIndex) {
        self.store.restored(index);
    }
}
