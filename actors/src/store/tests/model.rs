//! The store as simply as can be said: maps in memory, and a copy of all records for each revision.

use crate::store::{
    ChangeKind, Metadata, Relation, Value,
    command::{Branches, Comparand, Compare, Done, Op, Put, StoreCommand, StoreOutcome},
    key,
    row::RowHead,
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub head: RowHead,
    pub metadata: Metadata,
    pub value: Bytes,
}

impl Held {
    pub fn row(&self) -> Bytes {
        self.head.row(&self.metadata, &self.value)
    }
}

pub(super) type Records = BTreeMap<Vec<u8>, Held>;
/// Keys with what became of them.
pub(super) type Changes = Vec<(Vec<u8>, ChangeKind)>;

/// What the machine should be.
#[derive(Default)]
pub(super) struct Model {
    pub records: Records,
    /// Time to live and end by id.
    pub leases: BTreeMap<u64, (u64, u64)>,
    /// The records after each revision.
    pub past: BTreeMap<u64, Records>,
    pub changes: BTreeMap<u64, Changes>,
    pub seen: BTreeMap<u128, (StoreCommand, StoreOutcome)>,
}

impl Model {
    pub fn apply(&mut self, revision: u64, time_ms: u64, command: &StoreCommand) -> StoreOutcome {
        let key = command.idempotency_key();
        if let Some((first, outcome)) = key.and_then(|key| self.seen.get(&key)) {
            return if first == command { outcome.clone() } else { StoreOutcome::KeyUsed };
        }
        let before = self.records.clone();
        let mut touched = Changes::new();
        let outcome = self.perform(revision, time_ms, command, &mut touched);
        touched.retain(|(key, _)| self.records.get(key) != before.get(key));
        if !touched.is_empty() {
            self.changes.insert(revision, touched);
        }
        self.past.insert(revision, self.records.clone());
        key.into_iter().for_each(|key| drop(self.seen.insert(key, (command.clone(), outcome.clone()))));
        outcome
    }

    fn perform(
        &mut self,
        revision: u64,
        time_ms: u64,
        command: &StoreCommand,
        touched: &mut Changes,
    ) -> StoreOutcome {
        let version = |model: &Model, key: &[u8]| model.records.get(key).map_or(0, |held| held.head.modified);
        match command {
            StoreCommand::Write { put, if_version, .. } => match version(self, &put.key) {
                version if if_version.is_some_and(|wanted| wanted != version) => {
                    StoreOutcome::Conflict { version }
                }
                _ => match self.put(revision, time_ms, put, touched) {
                    Ok(()) => StoreOutcome::Written { version: revision },
                    Err(lease) => StoreOutcome::NoLease { lease },
                },
            },
            StoreCommand::Delete { key, if_version, .. } => match version(self, key) {
                version if if_version.is_some_and(|wanted| wanted != version) => {
                    StoreOutcome::Conflict { version }
                }
                _ => StoreOutcome::Deleted { deleted: self.delete(key, ChangeKind::Delete, touched) },
            },
            StoreCommand::Transact { transaction, .. } => {
                self.transact(revision, time_ms, transaction, touched)
            }
            StoreCommand::Expire => self.expire(time_ms, touched),
            StoreCommand::Grant { ttl_ms, .. } => {
                self.leases.insert(revision, (*ttl_ms, time_ms + ttl_ms));
                StoreOutcome::Leased { lease: revision, ttl_ms: *ttl_ms }
            }
            StoreCommand::KeepAlive { lease } => match self.leases.get_mut(lease) {
                None => StoreOutcome::NoLease { lease: *lease },
                Some((ttl_ms, expires_ms)) => {
                    *expires_ms = time_ms + *ttl_ms;
                    StoreOutcome::Leased { lease: *lease, ttl_ms: *ttl_ms }
                }
            },
            StoreCommand::Revoke { lease, .. } => match self.leases.contains_key(lease) {
                false => StoreOutcome::NoLease { lease: *lease },
                true => {
                    let count = self.end(*lease, ChangeKind::Delete, touched);
                    StoreOutcome::Revoked { count, more: false }
                }
            },
            StoreCommand::Compact { .. } | StoreCommand::Retain { .. } => StoreOutcome::Retained,
        }
    }

    fn put(&mut self, revision: u64, time_ms: u64, put: &Put, touched: &mut Changes) -> Result<(), u64> {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return Err(put.lease);
        }
        let head = RowHead {
            created: self.records.get(&put.key).map_or(revision, |held| held.head.created),
            modified: revision,
            expires_ms: if put.ttl_ms == 0 { 0 } else { time_ms + put.ttl_ms },
            lease: put.lease,
        };
        let held = Held { head, metadata: put.metadata.clone(), value: put.value.0.clone() };
        self.records.insert(put.key.clone(), held);
        touch(touched, &put.key, ChangeKind::Put);
        Ok(())
    }

    fn delete(&mut self, key: &[u8], kind: ChangeKind, touched: &mut Changes) -> bool {
        let deleted = self.records.remove(key).is_some();
        if deleted {
            touch(touched, key, kind);
        }
        deleted
    }

    fn end(&mut self, lease: u64, kind: ChangeKind, touched: &mut Changes) -> u32 {
        self.leases.remove(&lease);
        let tied = self.records.iter().filter(|(_, held)| held.head.lease == lease);
        let tied: Vec<_> = tied.map(|(key, _)| key.clone()).collect();
        tied.iter().filter(|key| self.delete(key, kind, touched)).count() as u32
    }

    fn expire(&mut self, time_ms: u64, touched: &mut Changes) -> StoreOutcome {
        let mut due: Vec<(u64, Vec<u8>)> = Vec::new();
        for (key, held) in &self.records {
            due.extend((held.head.expires_ms != 0).then(|| (held.head.expires_ms, key.clone())));
        }
        due.extend(self.leases.iter().map(|(id, (_, ends))| (*ends, key::lease(*id).to_vec())));
        due.retain(|(ends, _)| *ends <= time_ms);
        due.sort();
        for (_, what) in &due {
            match key::lease_id(what) {
                Some(lease) => drop(self.end(lease, ChangeKind::Expire, touched)),
                None => drop(self.delete(what, ChangeKind::Expire, touched)),
            }
        }
        StoreOutcome::Expired { count: due.len() as u32, more: false }
    }

    fn transact(
        &mut self,
        revision: u64,
        time_ms: u64,
        branches: &Branches,
        touched: &mut Changes,
    ) -> StoreOutcome {
        let held = branches.compares.iter().all(|compare| self.holds(compare));
        let ops = if held { &branches.then } else { &branches.otherwise };
        let before = self.records.clone();
        let mut done = Vec::new();
        for op in ops {
            match self.step(revision, time_ms, op, touched) {
                Ok(step) => done.push(step),
                Err(lease) => {
                    self.records = before;
                    touched.clear();
                    return StoreOutcome::NoLease { lease };
                }
            }
        }
        StoreOutcome::Transacted { revision, held, done }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let held = self.records.get(&compare.key);
        let head = held.map(|held| held.head.clone()).unwrap_or_default();
        let (found, given) = match &compare.with {
            Comparand::Version(version) => (head.modified, *version),
            Comparand::Created(created) => (head.created, *created),
            Comparand::Exists(exists) => (held.is_some().into(), (*exists).into()),
            Comparand::Lease(lease) => (head.lease, *lease),
            // The values of the tests are single bytes.
            Comparand::Value(value) => match held {
                Some(held) => (held.value[0].into(), value[0].into()),
                None => return compare.relation == Relation::NotEqual,
            },
        };
        match compare.relation {
            Relation::Equal => found == given,
            Relation::NotEqual => found != given,
            Relation::Less => found < given,
            Relation::Greater => found > given,
        }
    }

    fn step(&mut self, revision: u64, time_ms: u64, op: &Op, touched: &mut Changes) -> Result<Done, u64> {
        let within = |records: &Records, from: &Vec<u8>, to: &Vec<u8>| -> Vec<(Vec<u8>, Value)> {
            let found = records.iter().filter(|(key, _)| *key >= from && *key < to);
            found.map(|(key, held)| (key.clone(), Value(held.row()))).collect()
        };
        Ok(match op {
            Op::Put(put) => {
                self.put(revision, time_ms, put, touched)?;
                Done::Put
            }
            Op::Delete(key) => {
                Done::Deleted { count: self.delete(key, ChangeKind::Delete, touched).into(), more: false }
            }
            Op::DeleteRange { from, to, limit } => {
                let found = within(&self.records, from, to);
                let count = found.iter().take(*limit as usize);
                let count = count.filter(|(key, _)| self.delete(key, ChangeKind::Delete, touched)).count();
                Done::Deleted { count: count as u32, more: found.len() > count }
            }
            Op::Get(key) => Done::Got(self.records.get(key).map(|held| Value(held.row()))),
            Op::Range { from, to, limit } => {
                let mut rows = within(&self.records, from, to);
                let more = rows.len() > *limit as usize;
                rows.truncate(*limit as usize);
                Done::Range { rows, more }
            }
        })
    }
}

fn touch(touched: &mut Changes, key: &[u8], kind: ChangeKind) {
    match touched.iter_mut().find(|(earlier, _)| earlier == key) {
        Some(earlier) => earlier.1 = kind,
        None => touched.push((key.to_vec(), kind)),
    }
}
