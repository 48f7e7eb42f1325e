//! What one entry may do at most, and what the next ones do then.

use super::{Bench, delete, put, state_key, write};
use crate::store::{
    ChangeKind, TRANSACTION_OPS_MAX,
    branches::{CHANGES_MAX, OP_RECORDS_MAX, OUTCOME_BYTES_KEPT},
    command::{Branches, Comparand, Compare, Done, Op, Put, Relation, StoreCommand, StoreOutcome},
    outcomes::{SEEN_KEPT, SEEN_KEPT_MS},
};

#[test]
fn a_key_that_was_used_for_another_change_changes_nothing() {
    let mut bench = Bench::new();
    let with_key = |value: &str| StoreCommand::Write {
        put: put("a", value),
        if_version: None,
        idempotency_key: Some(7),
    };
    let first = bench.apply(with_key("1"));
    assert_eq!(bench.apply(with_key("2")), StoreOutcome::KeyUsed);
    assert_eq!(bench.apply(with_key("1")), first, "the same one is answered as before");
}

fn transact(then: Vec<Op>, idempotency_key: Option<u128>) -> StoreCommand {
    StoreCommand::Transact { transaction: Branches { then, ..Branches::default() }, idempotency_key }
}

fn write_with(put: Put) -> StoreCommand {
    StoreCommand::Write { put, if_version: None, idempotency_key: None }
}

fn all() -> (Vec<u8>, Vec<u8>) {
    let range = super::everything().state_range();
    (range.start.to_vec(), range.end.to_vec())
}

#[test]
fn a_lease_with_too_many_records_ends_over_several_entries() {
    let mut bench = Bench::new();
    let StoreOutcome::Leased { lease, .. } =
        bench.apply(StoreCommand::Grant { ttl_ms: 50, idempotency_key: None })
    else {
        panic!("a lease is granted")
    };
    let records = CHANGES_MAX as u32 + 300;
    let tied = |number| write_with(Put { lease, ..put(&format!("k{number}"), "v") });
    bench.batch(&(0..records).map(tied).collect::<Vec<_>>());
    let revoked = bench.apply(StoreCommand::Revoke { lease, idempotency_key: None });
    assert_eq!(revoked, StoreOutcome::Revoked { count: CHANGES_MAX as u32, more: true });
    assert_eq!(bench.apply(StoreCommand::KeepAlive { lease }), StoreOutcome::NoLease { lease });
    assert_eq!(bench.apply(tied(0)), StoreOutcome::NoLease { lease });
    assert_eq!(bench.apply(StoreCommand::Expire), StoreOutcome::Expired { count: 1, more: true });
    assert_eq!(bench.apply(StoreCommand::Expire), StoreOutcome::Expired { count: 1, more: false });
    for tag in [b'r', b'l', b'k', b'x'] {
        assert_eq!(bench.rows(tag), []);
    }
}

#[test]
fn much_that_is_due_ends_over_several_entries() {
    let mut bench = Bench::new();
    let ending = |number: u64| write_with(Put { ttl_ms: 10 + number % 7, ..put(&format!("k{number}"), "v") });
    bench.batch(&(0..300).map(ending).collect::<Vec<_>>());
    assert_eq!(bench.apply(StoreCommand::Expire), StoreOutcome::Expired { count: 0, more: false });
    bench.time_ms += 100;
    assert_eq!(bench.rows(b'r').len(), 300, "what is due is there until an entry ends it");
    assert_eq!(bench.apply(StoreCommand::Expire), StoreOutcome::Expired { count: 256, more: true });
    assert_eq!(bench.apply(StoreCommand::Expire), StoreOutcome::Expired { count: 44, more: false });
    assert_eq!((bench.rows(b'r'), bench.rows(b'x')), (Vec::new(), Vec::new()));
}

#[test]
fn a_range_is_deleted_portion_by_portion() {
    let mut bench = Bench::new();
    let numbers: Vec<_> = (0..OP_RECORDS_MAX + 100).map(|number| write(&format!("k{number}"), "v")).collect();
    bench.batch(&numbers);
    let (from, to) = all();
    let command = transact(vec![Op::DeleteRange { from, to, limit: 0 }], None);
    for (count, more) in [(OP_RECORDS_MAX, true), (100, false), (0, false)] {
        let outcome = bench.apply(command.clone());
        let done = vec![Done::Deleted { count, more }];
        assert_eq!(outcome, StoreOutcome::Transacted { revision: bench.index, held: true, done });
    }
}

#[test]
fn a_transaction_beyond_a_bound_changes_nothing() {
    let mut bench = Bench::new();
    let large = "v".repeat(OUTCOME_BYTES_KEPT);
    bench.write("large", &large);
    let (from, to) = all();
    let read = [Op::Put(put("new", "v")), Op::Range { from, to, limit: 0 }];
    let too_many = vec![Op::Put(put("new", "v")); TRANSACTION_OPS_MAX + 1];
    let no_lease = vec![Op::Put(put("new", "v")), Op::Put(Put { lease: 99, ..put("other", "v") })];
    let beyond = [
        transact(read.to_vec(), Some(1)),
        transact([read.as_slice(), &vec![Op::Get(state_key("large")); 40]].concat(), None),
        transact(too_many, None),
        transact(no_lease, None),
    ];
    for command in beyond {
        let outcome = bench.apply(command);
        let refused = matches!(outcome, StoreOutcome::Refused { .. } | StoreOutcome::NoLease { lease: 99 });
        assert!(refused, "{outcome:?}");
        assert_eq!(bench.rows(b'r').len(), 1);
    }
    assert!(matches!(bench.apply(transact(read.to_vec(), None)), StoreOutcome::Transacted { .. }));
}

#[test]
fn what_only_reads_may_read_more_than_is_kept_and_is_never_done_when_it_is_repeated() {
    let mut bench = Bench::new();
    bench.write("large", &"v".repeat(OUTCOME_BYTES_KEPT));
    let compare =
        Compare { key: state_key("absent"), relation: Relation::Equal, with: Comparand::Exists(true) };
    let command = StoreCommand::Transact {
        transaction: Branches {
            compares: vec![compare],
            then: vec![Op::Put(put("done", "v"))],
            otherwise: vec![Op::Get(state_key("large"))],
        },
        idempotency_key: Some(7),
    };
    let read = |outcome: StoreOutcome| match outcome {
        StoreOutcome::Transacted { held: false, done, .. } => matches!(&done[..], [Done::Got(Some(_))]),
        _ => false,
    };
    assert!(read(bench.apply(command.clone())));
    // Now it would hold: but it was answered that it did not.
    bench.write("absent", "v");
    assert!(read(bench.apply(command)));
    assert_eq!(bench.rows(b'r').len(), 2, "nothing was put");
}

#[test]
fn a_key_is_remembered_for_a_minute_however_many_entries_that_is() {
    let mut bench = Bench::new();
    let write = |value: &str| StoreCommand::Write {
        put: put("a", value),
        if_version: None,
        idempotency_key: Some(1),
    };
    let first = bench.apply(write("one"));
    bench.write("a", "two");
    for (ms, forgotten) in [(SEEN_KEPT_MS / 2, false), (SEEN_KEPT_MS, true)] {
        bench.index += 2 * SEEN_KEPT;
        bench.time_ms += ms;
        bench.apply(StoreCommand::Grant { ttl_ms: 1, idempotency_key: Some(u128::from(ms)) });
        assert_eq!(bench.apply(write("one")) != first, forgotten, "after {ms} ms more");
    }
}

#[test]
fn whoever_lost_a_lock_is_fenced_out() {
    let mut bench = Bench::new();
    let token = bench.write("lock", "me");
    bench.write("lock", "still me");
    let fenced = |token| StoreCommand::Transact {
        transaction: Branches {
            compares: vec![Compare {
                key: state_key("lock"),
                relation: Relation::Equal,
                with: Comparand::Created(token),
            }],
            then: vec![Op::Put(put("work", "done"))],
            otherwise: Vec::new(),
        },
        idempotency_key: None,
    };
    let held = |outcome| matches!(outcome, StoreOutcome::Transacted { held: true, .. });
    assert!(held(bench.apply(fenced(token))), "writing it anew keeps the lock");
    bench.apply(delete("lock"));
    assert!(!held(bench.apply(fenced(token))));
    let newer = bench.write("lock", "another");
    assert!(!held(bench.apply(fenced(token))));
    assert!(held(bench.apply(fenced(newer))));
}

#[test]
fn a_key_changed_twice_by_an_entry_is_one_change() {
    let mut bench = Bench::new();
    bench.write("a", "1");
    let [a, b] = ["a", "b"].map(state_key);
    let ops = vec![Op::Delete(a.clone()), Op::Put(put("a", "2")), Op::Put(put("b", "1")), Op::Delete(b)];
    bench.apply(transact(ops, None));
    let entry = bench.look(|view| crate::store::view::entries(view, 2, 9, 9999).expect("it is read"));
    let [change] = &entry[0].1.changes[..] else { panic!("one change is left") };
    assert_eq!((&change.key[..], change.kind), (&a[..], ChangeKind::Put));
    assert!(change.before.as_ref().is_some_and(|before| before.ends_with(b"1")));
    assert_eq!(bench.rows(b'd'), [], "nothing was deleted in the end");
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let bench = Bench::new();
    let mut state = micro_consensus::Transaction::new(&*bench.storage.state);
    let outcome = bench.machine.apply(&mut state, micro_sdk::wire::LogIndex(1), 0, b"\x01\0\xff");
    assert_eq!(outcome[2], 3, "it says that it is invalid");
    assert!(state.finish().expect("nothing failed").changes.is_empty());
}
