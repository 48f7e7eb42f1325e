//! A replica in memory that is told what to apply, without a group around it: for tests of the store, and of what
//! stands on it.

use crate::store::{
    RecordRange, StoreMachine, TransactRequest, Watch,
    command::{StoreCommand, StoreOutcome},
    ledger::Ledger,
    past::Past,
    view::Replica,
};
use bytes::Bytes;
use micro_consensus::Transaction;
use micro_sdk::wire::{Blocking, Clock, Codec, Entropy, Job, LogIndex, Seams, Timer};
use micro_storage::{
    Family, StateStore, StateView, Storage,
    memory::{self, MemoryDisk},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

struct Still;

impl Timer for Still {
    fn after(&self, _: Duration, _: Job) {}
}

impl Clock for Still {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Blocking for Still {
    fn run(&self, job: Job) {
        job();
    }
}

/// A replica that is told what to apply.
pub(crate) struct Bench {
    pub machine: StoreMachine,
    pub storage: Storage,
    /// The index of the last entry.
    pub index: u64,
    pub time_ms: u64,
}

impl Bench {
    pub fn new() -> Self {
        let storage = memory::open(&MemoryDisk::new(), Arc::new(Still)).expect("an empty disk opens");
        Bench { machine: StoreMachine::default(), storage, index: 0, time_ms: 1000 }
    }

    /// Applies commands as one batch of entries.
    pub fn batch(&mut self, commands: &[StoreCommand]) -> Vec<StoreOutcome> {
        let outcomes = self.batch_with(commands, || {});
        self.machine.watchers().publish(self.index);
        outcomes
    }

    /// The same, with something done after each entry, and nothing published.
    pub fn batch_with(&mut self, commands: &[StoreCommand], mut between: impl FnMut()) -> Vec<StoreOutcome> {
        let mut state = Transaction::new(&*self.storage.state);
        let mut outcomes = Vec::new();
        for command in commands {
            self.index += 1;
            let command = Codec::encode(command);
            let outcome = self.machine.apply(&mut state, LogIndex(self.index), self.time_ms, &command);
            outcomes.push(Codec::decode::<_, { 8 << 20 }>(&outcome).expect("an outcome is encoded"));
            between();
        }
        self.machine.batched(&mut state);
        let batch = state.finish().expect("a healthy disk is read");
        self.storage.state.write(batch).expect("a healthy disk takes it");
        outcomes
    }

    pub fn apply(&mut self, command: StoreCommand) -> StoreOutcome {
        self.batch(&[command]).remove(0)
    }

    pub fn replica(&self) -> Replica {
        let seams = Seams { clock: Arc::new(Still), entropy: Arc::new(Still), blocking: Arc::new(Still) };
        Replica { state: self.storage.state.clone(), seams }
    }

    pub fn look<T>(&self, look: impl FnOnce(&dyn StateView) -> T) -> T {
        self.replica().look(|view| Ok(look(view))).expect("a healthy disk is read")
    }

    pub fn ledger(&self) -> Ledger {
        self.look(|view| Ledger::at(view).expect("a healthy disk is read"))
    }

    /// All rows of the store whose keys begin with `tag`.
    pub fn rows(&self, tag: u8) -> Vec<(Bytes, Bytes)> {
        self.scan(Family::Store, &[tag])
    }

    /// All rows of a journal.
    pub fn journal(&self, journal: Family) -> Vec<(Bytes, Bytes)> {
        self.scan(journal, b"")
    }

    pub fn scan(&self, family: Family, prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
        let state: &dyn StateStore = &*self.storage.state;
        let rows = state.scan(family, micro_storage::ScanRange::prefix(prefix), usize::MAX, usize::MAX);
        rows.expect("a healthy disk is read")
    }

    /// The record with this key as it was at a revision.
    pub fn past(&self, key: &[u8], at: u64) -> Option<Bytes> {
        let row = self.look(|view| Past::new(view, at, None).get(key));
        row.expect("a healthy disk is read").map(|row| row.bytes)
    }

    pub fn watch(&self, range: RecordRange, from: u64) -> Watch {
        Watch::new(self.replica(), self.machine.watchers().clone(), range, from, self.index)
    }

    /// Applies a transaction; tells whether its comparisons held.
    pub fn transact(&mut self, request: &TransactRequest) -> bool {
        let transaction = request.branches().expect("it is within the limits");
        match self.apply(StoreCommand::Transact { transaction, idempotency_key: None }) {
            StoreOutcome::Transacted { held, .. } => held,
            other => panic!("{other:?}"),
        }
    }

    /// All rows that there are, of whatever kind.
    pub fn everything(&self) -> Vec<(Bytes, Bytes)> {
        [Family::Store, Family::History, Family::Outcomes]
            .into_iter()
            .flat_map(|family| self.scan(family, b""))
            .collect()
    }
}
