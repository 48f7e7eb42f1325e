//! A request repeated with the same idempotency key is the same request: it is done once, and answered as the first
//! time, whichever node it goes through. Seen at a queue, from which an item is taken once.

use super::{Checker, Ending, Violation};
use crate::workload::{
    Outcome,
    queue::{QueueAsked, QueueRequest, QueueTold},
};
use std::collections::{BTreeMap, BTreeSet};

type Entry = crate::workload::Entry<QueueAsked, QueueTold>;

/// Repeated requests are done once.
#[derive(Default)]
pub struct Idempotency;

impl Checker for Idempotency {
    fn name(&self) -> &'static str {
        "repeated requests are done once"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let entries = ending.journals.queue.entries();
        let (looks, requests): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|entry| entry.asked.what == QueueRequest::Look);
        let wrong = same_answers(&requests).or_else(|| taken_once(&requests)).or_else(|| {
            let mut left = looks.iter().filter_map(|look| match look.done() {
                Some(QueueTold::Items(items)) => Some(items),
                _ => None,
            });
            left.next_back().and_then(|left| accounted_for(&requests, left))
        });
        wrong.map_or(Ok(()), |what| Err(self.violation(what)))
    }
}

/// One key, one answer. No push is ever refused: nobody else puts the same item in.
fn same_answers(requests: &[&Entry]) -> Option<String> {
    let mut answers: BTreeMap<u128, &Entry> = BTreeMap::new();
    for entry in requests {
        if entry.outcome == Outcome::Refused {
            return Some(format!("{} was refused: {:?}", entry.client, entry.asked));
        }
        if entry.done().is_some() {
            let first = answers.entry(entry.asked.key).or_insert(entry);
            if first.outcome != entry.outcome {
                return Some(format!(
                    "{:?} was answered {:?} to {}, and {:?} to {}",
                    entry.asked, first.outcome, first.client, entry.outcome, entry.client
                ));
            }
        }
    }
    None
}

/// The item that was taken out, as far as somebody was told.
fn popped(requests: &[&Entry]) -> BTreeMap<u128, u64> {
    let popped = requests.iter().filter_map(|entry| match entry.done() {
        Some(QueueTold::Popped(_, Some(item))) => Some((entry.asked.key, *item)),
        _ => None,
    });
    popped.collect()
}

fn taken_once(requests: &[&Entry]) -> Option<String> {
    let mut items = BTreeSet::new();
    popped(requests)
        .into_values()
        .find(|item| !items.insert(*item))
        .map(|item| format!("{item} was taken twice"))
}

/// Whether what was put in and not taken out is left, but for what those took who were never told.
fn accounted_for(requests: &[&Entry], left: &[u64]) -> Option<String> {
    let taken: BTreeMap<u128, u64> = popped(requests);
    let gone: BTreeSet<u64> = taken.values().copied().collect();
    let left: BTreeSet<u64> = left.iter().copied().collect();
    let told: BTreeSet<u128> =
        requests.iter().filter(|entry| entry.done().is_some()).map(|entry| entry.asked.key).collect();
    let (mut pushed, mut untold) = (BTreeSet::new(), BTreeSet::new());
    let mut missing = BTreeSet::new();
    for entry in requests {
        match (&entry.asked.what, &entry.outcome) {
            (QueueRequest::Push(item), outcome) => {
                pushed.insert(*item);
                if matches!(outcome, Outcome::Done(_)) && !gone.contains(item) && !left.contains(item) {
                    missing.insert(*item);
                }
            }
            (QueueRequest::Pop, Outcome::Unknown) if !told.contains(&entry.asked.key) => {
                untold.insert(entry.asked.key);
            }
            _ => {}
        }
    }
    if let Some(item) = left.iter().find(|item| gone.contains(item)) {
        return Some(format!("{item} was taken out, and is there in the end"));
    }
    if let Some(item) = left.union(&gone).find(|item| !pushed.contains(item)) {
        return Some(format!("nobody put {item} in"));
    }
    (missing.len() > untold.len()).then(|| {
        format!(
            "{} requests may have taken an item without being told, but {missing:?} are lost",
            untold.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seen(told: &[(u128, QueueRequest, Outcome<QueueTold>)]) -> bool {
        let ending = Ending::default();
        for (key, what, outcome) in told {
            let asked = QueueAsked { key: *key, what: what.clone() };
            let place = ending.journals.queue.ask("c", asked, Duration::ZERO);
            ending.journals.queue.tell(place, outcome.clone(), Duration::from_secs(1));
        }
        Idempotency.conclude(&ending).is_err()
    }

    #[test]
    fn what_is_done_twice_or_never_is_seen() {
        use QueueRequest::{Look, Pop, Push};
        let push = |key, item| (key, Push(item), Outcome::Done(QueueTold::Pushed(item)));
        let pop = |key, item| (key, Pop, Outcome::Done(QueueTold::Popped(9, Some(item))));
        let lost = |key| (key, Pop, Outcome::Unknown);
        let look = |items: &[u64]| (0, Look, Outcome::Done(QueueTold::Items(items.to_vec())));
        assert!(!seen(&[push(1, 5), push(1, 5), push(2, 6), pop(3, 5), pop(3, 5), look(&[6])]));
        assert!(!seen(&[push(1, 5), lost(2), look(&[])]));
        assert!(seen(&[push(1, 5), push(2, 6), pop(3, 5), pop(3, 6), look(&[])]), "another answer");
        assert!(seen(&[push(1, 5), pop(3, 5), pop(4, 5), look(&[])]), "taken twice");
        assert!(seen(&[push(1, 5), look(&[])]), "lost");
        assert!(seen(&[push(1, 5), lost(2), pop(2, 7), look(&[])]), "made up");
        assert!(seen(&[push(1, 5), pop(2, 5), look(&[5])]), "came back");
        assert!(seen(&[push(1, 5), (1, Push(5), Outcome::Refused), look(&[5])]), "forgotten");
    }
}
