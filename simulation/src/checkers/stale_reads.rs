//! A stale read shows something that was really written, and one node never goes back in time.

use super::{Checker, Ending, Violation};
use crate::workload::{Asked, Told};
use std::collections::{BTreeMap, BTreeSet};

/// Stale reads are true reads of the past.
#[derive(Default)]
pub struct StaleReads;

impl Checker for StaleReads {
    fn name(&self) -> &'static str {
        "stale reads"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let mut written: BTreeSet<(&str, u64)> = BTreeSet::new();
        let mut newest: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for op in &ending.history {
            let failed = matches!(op.told, Some((_, Told::Failed | Told::Refused)));
            if let (Asked::Write { value } | Asked::Swap { value, .. }, false) = (&op.asked, failed) {
                written.insert((&op.key, *value));
            }
        }
        for op in ending.history.iter().filter(|op| op.asked == Asked::ReadStale) {
            let Some((at, Told::Found(Some((value, version))))) = &op.told else { continue };
            if !written.contains(&(&*op.key, *value)) {
                let what = format!("{} read {value} of {} at {at:?}, which nobody wrote", op.client, op.key);
                return Err(self.violation(what));
            }
            let last = newest.entry((&op.client, &op.key)).or_default();
            if *version < *last {
                return Err(self.violation(format!(
                    "{} read version {version} of {} at {at:?} after it had read {last}",
                    op.client, op.key
                )));
            }
            *last = *version;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Op;
    use std::time::Duration;

    #[test]
    fn going_back_and_making_up_values_are_seen() {
        let op = |asked, told| Op {
            client: "c".into(),
            key: "k".into(),
            asked,
            from: Duration::ZERO,
            told: Some((Duration::ZERO, told)),
        };
        let write = |value| op(Asked::Write { value }, Told::Done(value));
        let read = |value| op(Asked::ReadStale, Told::Found(Some((value, value))));
        for (good, history) in [
            (true, vec![write(1), write(2), read(1), read(1), read(2)]),
            (false, vec![write(1), write(2), read(2), read(1)]),
            (false, vec![write(1), read(3)]),
        ] {
            let ending = Ending { history, ..Ending::default() };
            assert_eq!(StaleReads.conclude(&ending).is_ok(), good, "{ending:?}");
        }
    }
}
