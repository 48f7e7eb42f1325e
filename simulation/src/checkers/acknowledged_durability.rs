//! What was acknowledged is there in the end, unless it was overwritten or deleted later.
//!
//! Linearizability says the same and more; this says it in words that point to the write that is gone.

use super::{Checker, Ending, Violation};
use crate::workload::{Asked, Op, Told};
use std::collections::BTreeMap;

/// Acknowledged writes survive.
#[derive(Default)]
pub struct AcknowledgedDurability;

/// The version and value that a write was acknowledged with.
fn acknowledged(op: &Op) -> Option<(u64, u64)> {
    match (&op.asked, &op.told) {
        (Asked::Write { value } | Asked::Swap { value, .. }, Some((_, Told::Done(version)))) => {
            Some((*version, *value))
        }
        _ => None,
    }
}

/// Whether a delete may have come after `write` was asked.
fn deleted_later(ops: &[&Op], write: &Op) -> bool {
    ops.iter().filter(|op| op.asked == Asked::Delete).any(|delete| match &delete.told {
        Some((_, Told::Failed | Told::Refused)) => false,
        Some((at, Told::Done(_))) => *at >= write.from,
        _ => true,
    })
}

impl Checker for AcknowledgedDurability {
    fn name(&self) -> &'static str {
        "acknowledged writes survive"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let mut keys: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
        for op in &ending.history {
            keys.entry(&op.key).or_default().push(op);
        }
        for (key, found) in &ending.finals {
            let ops = keys.get(key.as_str()).map_or(&[] as &[&Op], Vec::as_slice);
            let newest =
                ops.iter().filter_map(|op| Some((acknowledged(op)?, *op))).max_by_key(|(ack, _)| *ack);
            let Some(((version, value), op)) = newest else { continue };
            let kept = match found {
                Some((found, at)) => *at > version || (*at == version && *found == value),
                None => deleted_later(ops, op),
            };
            if !kept {
                return Err(self.violation(format!(
                    "key {key}: value {value} was acknowledged at version {version} at {:.3} s, but in the end \
                     there is {found:?} (value, version)",
                    op.told.as_ref().map_or(0.0, |(at, _)| at.as_secs_f64())
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ending(found: Option<(u64, u64)>, delete_at: Option<u64>) -> Ending {
        let op = |asked, from, told, to| Op {
            client: "c".into(),
            key: "k".into(),
            asked,
            from: Duration::from_secs(from),
            told: Some((Duration::from_secs(to), told)),
        };
        let mut history = vec![op(Asked::Write { value: 7 }, 5, Told::Done(3), 6)];
        history.extend(delete_at.map(|at| op(Asked::Delete, at, Told::Done(0), at + 1)));
        Ending { history, finals: BTreeMap::from([("k".to_owned(), found)]), ..Ending::default() }
    }

    #[test]
    fn a_lost_write_is_seen() {
        let mut checker = AcknowledgedDurability;
        for (good, found, delete_at) in [
            (true, Some((7, 3)), None),
            (true, Some((8, 4)), None),
            (true, None, Some(8)),
            (false, None, Some(1)),
            (false, None, None),
            (false, Some((6, 2)), None),
            (false, Some((9, 3)), None),
        ] {
            let verdict = checker.conclude(&ending(found, delete_at));
            assert_eq!(verdict.is_ok(), good, "{found:?} after a delete at {delete_at:?}: {verdict:?}");
        }
    }
}
