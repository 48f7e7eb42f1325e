//! What the clients asked and what they were told, in simulated time.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// The number of an operation: its place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub usize);

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Put a value, never used before or after, under a key.
    Write {
        /// The value.
        value: u64,
    },
    /// The same, if the key has this version still, which it got with this value.
    Swap {
        /// The version that the client knows.
        version: u64,
        /// The value it saw with it.
        from: u64,
        /// The new value.
        value: u64,
    },
    /// Remove a key.
    Delete,
    /// Read a key from a quorum.
    Read,
    /// Read a key from the replica at hand.
    ReadStale,
    /// Call the echo service with this value.
    Echo {
        /// What it is to answer.
        value: u64,
    },
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Done; the key has this version now (0 where none was told).
    Done(u64),
    /// The key was found with this value and version, or not at all.
    Found(Option<(u64, u64)>),
    /// Refused, since the key had another version.
    Refused,
    /// Failed; nothing was done.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// By which client: a name of its own for every start of a node.
    pub client: String,
    /// On which key, for those that have one.
    pub key: String,
    /// What was asked.
    pub asked: Asked,
    /// When.
    pub from: Duration,
    /// What was told and when. None when the client ended before it was told.
    pub told: Option<(Duration, Told)>,
}

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Done or refused for a good reason.
    pub ok: u64,
    /// Failed, with nothing done.
    pub failed: u64,
    /// Of unknown outcome.
    pub unknown: u64,
}

/// All operations. Clones write to the same history.
#[derive(Clone, Default)]
pub struct History {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    ops: Vec<Op>,
    values: u64,
}

impl History {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the history")
    }

    /// A value nobody else gets. Never 0.
    pub fn fresh_value(&self) -> u64 {
        let mut inner = self.inner();
        inner.values += 1;
        inner.values
    }

    /// Notes that something is asked.
    pub fn ask(&self, client: &str, key: &str, asked: Asked, at: Duration) -> OpId {
        let mut inner = self.inner();
        let op = Op { client: client.to_owned(), key: key.to_owned(), asked, from: at, told: None };
        inner.ops.push(op);
        OpId(inner.ops.len() - 1)
    }

    /// Notes the answer.
    pub fn tell(&self, id: OpId, told: Told, at: Duration) {
        let mut inner = self.inner();
        let op = &mut inner.ops[id.0];
        assert!(op.told.is_none(), "an operation is answered once: {op:?}");
        op.told = Some((at, told));
    }

    /// All operations so far, in the order in which they were asked.
    pub fn ops(&self) -> Vec<Op> {
        self.inner().ops.clone()
    }

    /// How many ended how, with a filter.
    pub fn tally(&self, which: impl Fn(&Op) -> bool) -> Tally {
        let mut tally = Tally::default();
        for op in self.inner().ops.iter().filter(|op| which(op)) {
            match op.told {
                Some((_, Told::Done(_) | Told::Found(_) | Told::Refused)) => tally.ok += 1,
                Some((_, Told::Failed)) => tally.failed += 1,
                Some((_, Told::Unknown)) | None => tally.unknown += 1,
            }
        }
        tally
    }
}
