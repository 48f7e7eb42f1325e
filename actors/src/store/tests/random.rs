//! The machine against the model, with commands by chance from a seed.

use super::{Bench, model::Model, state_key};
use crate::store::{
    ChangeKind, Metadata, Relation, Value,
    command::{Branches, Comparand, Compare, Op, Put, StoreCommand, StoreOutcome},
    key,
    outcomes::{SEEN_KEPT, SEEN_KEPT_MS},
    past::Past,
    view::entries,
    walk::Walk,
};
use bytes::Bytes;
use micro_storage::{Family, Order};

/// Chance from a seed (Marsaglia's xorshift): enough to draw commands, and the same everywhere.
pub(super) struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

const KEYS: [&str; 7] = ["a", "a\0", "a\0b", "ab", "b", "b\u{7f}", "c"];

/// Draws commands that know some of what went before.
struct Drawer {
    chance: Chance,
    /// Revisions that may be versions, creations or leases.
    revisions: Vec<u64>,
    leases: Vec<u64>,
    next_key: u128,
    /// Commands that are repeated some time.
    sent: Vec<StoreCommand>,
}

impl Drawer {
    fn key(&mut self) -> Vec<u8> {
        let key = self.chance.one_of(&KEYS);
        state_key(key)
    }

    fn idempotency_key(&mut self) -> Option<u128> {
        self.next_key += 1;
        (self.chance.below(3) == 0).then_some(self.next_key)
    }

    fn put(&mut self) -> Put {
        let lease = if self.chance.below(3) == 0 { self.chance.one_of(&self.leases) } else { 0 };
        let text = self.chance.below(3).to_string();
        let metadata = match text.as_str() {
            "0" => Metadata::new(),
            _ => Metadata::from([("by".to_owned(), text)]),
        };
        let value = Value(Bytes::from(vec![self.chance.below(3) as u8]));
        Put { key: self.key(), value, ttl_ms: self.chance.one_of(&[0, 0, 0, 5, 20]), lease, metadata }
    }

    fn compare(&mut self) -> Compare {
        let revision = self.chance.one_of(&self.revisions);
        let with = match self.chance.below(5) {
            0 => Comparand::Version(revision),
            1 => Comparand::Created(revision),
            2 => Comparand::Exists(self.chance.below(2) == 0),
            3 => Comparand::Value(vec![self.chance.below(3) as u8]),
            _ => Comparand::Lease(self.chance.one_of(&self.leases)),
        };
        let relations = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater];
        Compare { key: self.key(), relation: self.chance.one_of(&relations), with }
    }

    fn op(&mut self) -> Op {
        let (from, to, limit) = (self.key(), self.key(), 1 + self.chance.below(4) as u32);
        match self.chance.below(6) {
            0 | 1 => Op::Put(self.put()),
            2 => Op::Delete(from),
            3 => Op::DeleteRange { from, to, limit },
            4 => Op::Get(from),
            _ => Op::Range { from, to, limit },
        }
    }

    fn transaction(&mut self) -> Branches {
        let [compares, then, otherwise] = [2, 5, 4].map(|most| self.chance.below(most));
        Branches {
            compares: (0..compares).map(|_| self.compare()).collect(),
            then: (0..then).map(|_| self.op()).collect(),
            otherwise: (0..otherwise).map(|_| self.op()).collect(),
        }
    }

    fn command(&mut self, index: u64) -> StoreCommand {
        let if_version = match self.chance.below(4) {
            0 => Some(self.chance.one_of(&self.revisions)),
            _ => None,
        };
        let idempotency_key = self.idempotency_key();
        let command = match self.chance.below(20) {
            0..7 => StoreCommand::Write { put: self.put(), if_version, idempotency_key },
            7..10 => StoreCommand::Delete { key: self.key(), if_version, idempotency_key },
            10..14 => StoreCommand::Transact { transaction: self.transaction(), idempotency_key },
            14 => StoreCommand::Expire,
            15 => StoreCommand::Grant { ttl_ms: 1 + self.chance.below(30), idempotency_key },
            16 => StoreCommand::KeepAlive { lease: self.chance.one_of(&self.leases) },
            17 => StoreCommand::Revoke { lease: self.chance.one_of(&self.leases), idempotency_key },
            18 if self.chance.below(4) == 0 => {
                StoreCommand::Compact { revision: index.saturating_sub(self.chance.below(40)) }
            }
            _ if !self.sent.is_empty() => return self.chance.one_of(&self.sent),
            _ => StoreCommand::Expire,
        };
        if matches!(command, StoreCommand::Grant { .. }) {
            self.leases.push(index);
        }
        if command.idempotency_key().is_some() {
            self.sent.push(command.clone());
        }
        self.revisions.push(index);
        command
    }
}

fn check_now(bench: &Bench, model: &Model) {
    let expected: Vec<_> = model.records.iter().map(|(key, held)| (key.clone().into(), held.row())).collect();
    assert_eq!(bench.rows(b'r'), expected);
    let tied = model.records.iter().filter(|(_, held)| held.head.lease != 0);
    let mut tied: Vec<_> = tied.map(|(key, held)| key::lease_key(held.head.lease, key)).collect();
    tied.sort();
    assert_eq!(bench.rows(b'k').into_iter().map(|(key, _)| key).collect::<Vec<_>>(), tied);
    let ending = model.records.iter().filter(|(_, held)| held.head.expires_ms != 0);
    let mut ending: Vec<_> = ending.map(|(key, held)| key::expiry(held.head.expires_ms, key)).collect();
    ending.extend(model.leases.iter().map(|(id, (_, ends))| key::expiry(*ends, &key::lease(*id))));
    ending.sort();
    assert_eq!(bench.rows(b'x').into_iter().map(|(key, _)| key).collect::<Vec<_>>(), ending);
    assert_eq!(bench.rows(b'l').len(), model.leases.len());
}

fn check_past(bench: &Bench, model: &Model, chance: &mut Chance) {
    let ledger = bench.ledger();
    let at = ledger.compacted + chance.below(bench.index + 1 - ledger.compacted);
    let then = model.past.range(..=at).next_back().map(|(_, records)| records.clone()).unwrap_or_default();
    let then: Vec<(Bytes, Bytes)> = then.into_iter().map(|(key, held)| (key.into(), held.row())).collect();
    let all = super::everything().state_range();
    bench.look(|view| {
        for order in [Order::Ascending, Order::Descending] {
            let mut walk = Walk::new(view, all.clone(), order, Some(Past::new(view, at, None)));
            let mut seen = Vec::new();
            while let Some((key, row)) = walk.next().expect("a healthy disk is read") {
                seen.push((key, row.bytes));
            }
            if order == Order::Descending {
                seen.reverse();
            }
            assert_eq!(seen, then, "at {at}, {order:?}");
        }
    });
    for key in KEYS.map(state_key) {
        let expected = then.iter().find(|(of, _)| *of == key).map(|(_, row)| row.clone());
        assert_eq!(bench.past(&key, at), expected, "{key:?} at {at}");
    }
}

fn check_history(bench: &Bench, model: &Model) {
    let ledger = bench.ledger();
    let found = bench.look(|view| {
        entries(view, ledger.compacted + 1, usize::MAX, usize::MAX).expect("a healthy disk is read")
    });
    let seen = found.into_iter().filter(|(_, entry)| !entry.changes.is_empty()).map(|(revision, entry)| {
        let changes = entry.changes.into_iter().map(|change| (change.key.to_vec(), change.kind));
        (revision, changes.collect::<Vec<(Vec<u8>, ChangeKind)>>())
    });
    let expected = model.changes.range(ledger.compacted + 1..);
    assert_eq!(seen.collect::<Vec<_>>(), expected.map(|(at, all)| (*at, all.clone())).collect::<Vec<_>>());
    let size = |rows: Vec<(Bytes, Bytes)>| rows.iter().map(|(key, row)| key.len() + row.len()).sum::<usize>();
    let kept = bench.journal(Family::History).into_iter();
    let kept = kept.filter(|(key, _)| key::revision_in(key) > Some(ledger.swept)).collect();
    assert_eq!(ledger.history_bytes as usize, size(kept));
    assert!(ledger.swept <= ledger.compacted && ledger.forgotten == 0);
    let first = model.changes.range(ledger.swept + 1..).next().map(|(revision, _)| *revision);
    for (key, row) in bench.rows(b'd') {
        let deletion = key::deleted_record(&key).zip(key::revision_in(&row));
        let (record, revision) = deletion.expect("it is a deletion");
        assert!(Some(revision) >= first, "what is gone is not known as deleted");
        let gone = |(of, kind): &(Vec<u8>, ChangeKind)| *of == record && *kind != ChangeKind::Put;
        assert!(model.changes[&revision].iter().any(gone));
    }
}

fn check(seed: u64, revisions_max: u64, bytes_max: u64) {
    let (mut bench, mut model) = (Bench::new(), Model::default());
    bench.apply(StoreCommand::Retain { revisions: revisions_max, bytes: bytes_max });
    let chance = Chance(seed);
    let mut drawer = Drawer { chance, revisions: vec![0], leases: vec![1], next_key: 0, sent: Vec::new() };
    for round in 0..400 {
        bench.time_ms += drawer.chance.below(8);
        let first = bench.index + 1;
        let count = 1 + drawer.chance.below(5);
        let commands: Vec<_> = (first..first + count).map(|index| drawer.command(index)).collect();
        let outcomes = bench.batch(&commands);
        for ((command, outcome), index) in commands.iter().zip(outcomes).zip(first..) {
            let expected = model.apply(index, bench.time_ms, command);
            match outcome {
                StoreOutcome::Compacted { .. } => {}
                outcome => assert_eq!(outcome, expected, "seed {seed}, round {round}: {command:?}"),
            }
        }
        check_now(&bench, &model);
        check_past(&bench, &model, &mut drawer.chance);
        check_history(&bench, &model);
    }
    forgets(&mut bench);
}

/// Whatever happened long ago is forgotten in the end.
fn forgets(bench: &mut Bench) {
    let mut newer = 0;
    for _ in 0..2 {
        newer = bench.index;
        bench.index += 2 * SEEN_KEPT;
        bench.time_ms += 2 * SEEN_KEPT_MS;
        bench.write_often(2000, "a");
    }
    bench.apply(StoreCommand::Compact { revision: 0 });
    bench.apply(StoreCommand::Grant { ttl_ms: 1, idempotency_key: Some(u128::MAX) });
    assert_eq!(bench.journal(Family::Outcomes).len(), 1);
    // The chunk that was open then goes as a whole.
    let kept = bench.journal(Family::History);
    assert!(kept.iter().all(|(key, _)| key::revision_in(key) > newer.checked_sub(1024)));
    assert_eq!(bench.rows(b'd'), []);
}

#[test]
fn machine_and_model_agree() {
    for seed in 1..=12 {
        check(seed, 200_000, 1 << 30);
    }
}

#[test]
fn machine_and_model_agree_while_history_is_given_up_by_count() {
    for seed in 21..=28 {
        check(seed, 60, 1 << 30);
    }
}

#[test]
fn machine_and_model_agree_while_history_is_given_up_by_size() {
    for seed in 41..=48 {
        check(seed, 200_000, 4000);
    }
}
