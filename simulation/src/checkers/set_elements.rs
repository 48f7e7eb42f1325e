//! A set holds what was added to it: nothing is lost, made up, or there twice, and a list of it shows exactly what had
//! been added at its revision, however many pages it has (the "set" of Jepsen's tests).

use super::{Checker, Ending, Violation};
use crate::workload::{
    Entry,
    set::{SetAsked, SetTold},
};
use std::collections::BTreeMap;

/// The elements of the set.
#[derive(Default)]
pub struct SetElements;

impl Checker for SetElements {
    fn name(&self) -> &'static str {
        "the elements of the set"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let entries = ending.journals.set.entries();
        let added = entries.iter().filter_map(|entry| match entry.asked {
            SetAsked::Add(element) if entry.may_be_done() => Some((element, entry)),
            _ => None,
        });
        let added: BTreeMap<u64, &Entry<_, _>> = added.collect();
        for look in &entries {
            let Some(SetTold::Elements { revision, elements }) = look.done() else { continue };
            if let Some(what) = wrong(&added, look, *revision, elements) {
                let at = look.from.as_secs_f64();
                return Err(self.violation(format!(
                    "{} at {at:.3} s looked at revision {revision}: {what}",
                    look.client
                )));
            }
        }
        Ok(())
    }
}

/// What is wrong with what one look showed.
fn wrong(
    added: &BTreeMap<u64, &Entry<SetAsked, SetTold>>,
    look: &Entry<SetAsked, SetTold>,
    revision: u64,
    elements: &[(u64, u64)],
) -> Option<String> {
    if let Some(pair) = elements.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Some(format!("{} is shown before {}", pair[0].0, pair[1].0));
    }
    let shown: BTreeMap<u64, u64> = elements.iter().copied().collect();
    for (element, version) in &shown {
        let Some(add) = added.get(element) else { return Some(format!("nobody added {element}")) };
        if look.to.is_some_and(|to| add.from > to) {
            return Some(format!("{element} is shown before it was added"));
        }
        if *version > revision {
            return Some(format!("{element} was added later, at revision {version}"));
        }
        if add.done().is_some_and(|told| *told != SetTold::Added(*version)) {
            return Some(format!("{element} is said to be of revision {version}, but: {:?}", add.outcome));
        }
    }
    added.iter().filter(|(element, _)| !shown.contains_key(element)).find_map(|(element, add)| {
        let Some(SetTold::Added(version)) = add.done() else { return None };
        (*version <= revision || add.precedes(look)).then(|| {
            format!("{element} is lost, which was acknowledged at revision {version} before the look began")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Outcome;
    use std::time::Duration;

    /// Adds 1 and 2 at the revisions 10 and 20, and 3 without an answer, and then looks.
    fn seen(revision: u64, elements: &[(u64, u64)]) -> bool {
        let ending = Ending::default();
        let journal = &ending.journals.set;
        let second = Duration::from_secs;
        for (element, version) in [(1, 10), (2, 20)] {
            let place = journal.ask("c", SetAsked::Add(element), second(version));
            journal.tell(place, Outcome::Done(SetTold::Added(version)), second(version + 1));
        }
        journal.ask("c", SetAsked::Add(3), second(22));
        let place = journal.ask("c", SetAsked::Look, second(15));
        let told = SetTold::Elements { revision, elements: elements.to_vec() };
        journal.tell(place, Outcome::Done(told), second(30));
        SetElements.conclude(&ending).is_err()
    }

    #[test]
    fn elements_lost_made_up_or_doubled_are_seen() {
        assert!(!seen(25, &[(1, 10), (2, 20)]));
        assert!(!seen(25, &[(1, 10), (2, 20), (3, 24)]));
        assert!(!seen(15, &[(1, 10)]));
        assert!(seen(25, &[(1, 10)]), "lost");
        assert!(seen(5, &[]), "an old look");
        assert!(seen(15, &[(1, 10), (2, 20)]), "torn");
        assert!(seen(25, &[(1, 10), (2, 20), (4, 21)]), "made up");
        assert!(seen(25, &[(1, 10), (1, 10), (2, 20)]), "doubled");
        assert!(seen(25, &[(1, 11), (2, 20)]), "written again");
    }
}
