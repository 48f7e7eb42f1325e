//! Every key behaves as one register that does one thing at a time (Herlihy, Wing: "Linearizability",
//! TOPLAS 1990).
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's
//! memory of the configurations seen ("Testing for linearizability", 2017), as in porcupine: take any
//! operation that nothing unfinished precedes, see whether the register allows it, go on; take it back
//! where that leads nowhere.
//!
//! Values are unique, so much is known beforehand, and the search stays short:
//! - A failed operation did nothing. If its value is read all the same, the read fits nowhere.
//! - A write of unknown outcome whose value nobody saw can be left out: what is allowed with it is allowed without.
//! - One whose value somebody saw did happen, and before the first who saw it was told: it is bounded like others.
//! - A refused swap tells too little to be worth its cost, and is left out, as are reads without an answer.

mod search;

pub use search::Verdict;

use super::{Checker, Ending, Violation};
use crate::workload::{Asked, Op, Told};
use search::{Call, STEPS_MAX, Search, Step, Value};
use std::{collections::BTreeMap, time::Duration};

/// The linearizability of every key.
#[derive(Default)]
pub struct Linearizability;

impl Checker for Linearizability {
    fn name(&self) -> &'static str {
        "linearizability"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let mut keys: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
        for op in &ending.history {
            if !matches!(op.asked, Asked::Echo { .. } | Asked::ReadStale) {
                keys.entry(&op.key).or_default().push(op);
            }
        }
        for (key, ops) in keys {
            match check(&ops) {
                Verdict::Linearizable => {}
                Verdict::Undecided => {
                    return Err(self.violation(format!("key {key}: no answer after {STEPS_MAX} steps")));
                }
                Verdict::Impossible { placed, of, at } => {
                    let near = around(&ops, at);
                    return Err(self.violation(format!(
                        "key {key}: {placed} of {of} operations have an order, but none fits the operations \
                         around {:.6} s:\n{near}",
                        at.as_secs_f64()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The operations that ran shortly before or at `at`, a line each.
fn around(ops: &[&Op], at: Duration) -> String {
    let running = |op: &&&Op| op.from <= at && op.told.as_ref().is_none_or(|(told, _)| *told >= at);
    let before = ops.iter().filter(|op| op.told.as_ref().is_some_and(|(told, _)| *told < at));
    let mut shown: Vec<&&Op> = before.rev().take(6).collect();
    shown.reverse();
    shown.extend(ops.iter().filter(running));
    let line = |op: &&&Op| {
        let told = match &op.told {
            Some((at, told)) => format!("{:.6} {told:?}", at.as_secs_f64()),
            None => "never told".to_owned(),
        };
        format!("    {} {:.6} {:?} -> {told}", op.client, op.from.as_secs_f64(), op.asked)
    };
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether the operations on one key have an order that respects time and that a register allows.
pub fn check(ops: &[&Op]) -> Verdict {
    Search::new(calls(ops)).run()
}

/// What has to be placed, in the order of asking.
fn calls(ops: &[&Op]) -> Vec<Call> {
    // When a value was first known to be there: the earliest answer that shows it.
    let mut seen: BTreeMap<Value, Duration> = BTreeMap::new();
    for op in ops {
        let shown = match (&op.asked, &op.told) {
            (Asked::Read, Some((at, Told::Found(Some((value, _)))))) => Some((*value, *at)),
            (Asked::Swap { from, .. }, Some((at, Told::Done(_)))) => Some((*from, *at)),
            _ => None,
        };
        if let Some((value, at)) = shown {
            seen.entry(value).and_modify(|first| *first = at.min(*first)).or_insert(at);
        }
    }
    let mut calls: Vec<Call> = ops.iter().filter_map(|op| call(op, &seen)).collect();
    calls.sort_by_key(|call| call.from);
    calls
}

/// One operation as it has to be placed, if it has to be.
fn call(op: &Op, seen: &BTreeMap<Value, Duration>) -> Option<Call> {
    let told = op.told.as_ref().map(|(at, told)| (*at, told));
    let step = match (&op.asked, told) {
        (Asked::Echo { .. } | Asked::ReadStale, _) | (_, Some((_, Told::Failed | Told::Refused))) => {
            return None;
        }
        (Asked::Read, Some((_, Told::Found(found)))) => Step::Get(found.map_or(0, |(value, _)| value)),
        (Asked::Read, _) => return None,
        (Asked::Write { value }, _) => Step::Put(*value),
        (Asked::Swap { from, value, .. }, _) => Step::Swap { from: *from, to: *value },
        (Asked::Delete, _) => Step::Put(0),
    };
    let to = match told {
        Some((at, Told::Done(_) | Told::Found(_))) => Some(at),
        _ => None,
    };
    let to = match (to, &op.asked) {
        (None, Asked::Write { value } | Asked::Swap { value, .. }) => Some(*seen.get(value)?),
        (to, _) => to,
    };
    Some(Call { step, from: op.from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: u64 = u64::MAX;

    fn op(from: u64, to: u64, asked: Asked, told: Told) -> Op {
        let told = (to != NEVER).then(|| (Duration::from_millis(to), told));
        Op { client: "c".into(), key: "k".into(), asked, from: Duration::from_millis(from), told }
    }

    fn write(from: u64, to: u64, value: u64) -> Op {
        op(from, to, Asked::Write { value }, Told::Done(value))
    }

    fn read(from: u64, to: u64, value: u64) -> Op {
        op(from, to, Asked::Read, Told::Found((value != 0).then_some((value, value))))
    }

    fn delete(from: u64, to: u64) -> Op {
        op(from, to, Asked::Delete, Told::Done(0))
    }

    fn swap(from: u64, to: u64, old: u64, value: u64) -> Op {
        op(from, to, Asked::Swap { version: old, from: old, value }, Told::Done(value))
    }

    #[track_caller]
    fn check_that(good: bool, ops: &[Op]) {
        let ops: Vec<&Op> = ops.iter().collect();
        let verdict = check(&ops);
        assert_eq!(verdict == Verdict::Linearizable, good, "{verdict:?}");
    }

    #[test]
    fn one_after_the_other_is_fine() {
        check_that(true, &[]);
        check_that(true, &[read(0, 1, 0), write(2, 3, 1), read(4, 5, 1), delete(6, 7), read(8, 9, 0)]);
    }

    #[test]
    fn a_read_of_what_was_overwritten_is_stale() {
        check_that(false, &[write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)]);
    }

    #[test]
    fn a_read_during_a_write_may_see_either() {
        check_that(true, &[write(0, 1, 1), write(2, 9, 2), read(3, 4, 1), read(5, 6, 2)]);
        check_that(false, &[write(0, 1, 1), write(2, 9, 2), read(3, 4, 2), read(5, 6, 1)]);
    }

    #[test]
    fn a_lost_write_shows() {
        check_that(false, &[write(0, 1, 1), read(2, 3, 0)]);
    }

    #[test]
    fn a_value_nobody_wrote_shows() {
        check_that(false, &[write(0, 1, 1), read(2, 3, 7)]);
        let failed = op(0, 1, Asked::Write { value: 7 }, Told::Failed);
        check_that(false, &[failed, read(2, 3, 7)]);
    }

    #[test]
    fn an_unknown_write_may_have_happened_or_not_or_late() {
        let unknown = |to| op(2, to, Asked::Write { value: 2 }, Told::Unknown);
        for to in [3, NEVER] {
            check_that(true, &[write(0, 1, 1), unknown(to), read(4, 5, 1)]);
            check_that(true, &[write(0, 1, 1), unknown(to), read(4, 5, 2)]);
            check_that(true, &[write(0, 1, 1), unknown(to), read(4, 5, 1), read(6, 7, 2)]);
            check_that(false, &[write(0, 1, 1), unknown(to), read(4, 5, 2), read(6, 7, 1)]);
        }
    }

    #[test]
    fn an_unknown_delete_may_have_happened_or_not() {
        let unknown = op(2, NEVER, Asked::Delete, Told::Unknown);
        check_that(true, &[write(0, 1, 1), unknown.clone(), read(4, 5, 1), read(6, 7, 0)]);
        check_that(false, &[write(0, 1, 1), unknown, read(4, 5, 0), read(6, 7, 1)]);
    }

    #[test]
    fn two_swaps_of_one_value_cannot_both_succeed() {
        check_that(true, &[write(0, 1, 1), swap(2, 5, 1, 2), read(6, 7, 2)]);
        check_that(false, &[write(0, 1, 1), swap(2, 5, 1, 2), swap(2, 5, 1, 3)]);
    }

    #[test]
    fn long_histories_with_many_clients_are_decided() {
        // Eight clients in lock step: every write overlaps seven others, and a read sees the last of each
        // round.
        let mut ops = Vec::new();
        for round in 0..400_u64 {
            let base = round * 100;
            ops.extend((0..8).map(|client| write(base + client, base + 50, round * 8 + client + 1)));
            ops.push(read(base + 60, base + 70, round * 8 + 3));
        }
        check_that(true, &ops);
        ops.push(read(50_000, 50_001, 1));
        check_that(false, &ops);
    }
}
