//! A blob whose put was acknowledged is read back as it was put until somebody deletes it, and in the end through each
//! node; what is there by name can be read; and what was deleted is gone.

use super::{Checker, Ending, Violation};
use crate::workload::{
    Entry,
    blob::{BlobAsked, BlobTold},
};
use std::collections::BTreeMap;

/// What is in the blobs.
#[derive(Default)]
pub struct BlobContents;

type Request = Entry<BlobAsked, BlobTold>;

/// What was done to each blob.
#[derive(Default)]
struct Done<'a> {
    puts: BTreeMap<u64, &'a Request>,
    deletes: BTreeMap<u64, Vec<&'a Request>>,
}

impl Checker for BlobContents {
    fn name(&self) -> &'static str {
        "the contents of blobs"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let entries = ending.journals.blob.entries();
        let mut done = Done::default();
        for entry in entries.iter().filter(|entry| entry.may_be_done()) {
            match entry.asked {
                BlobAsked::Put(number) => drop(done.puts.insert(number, entry)),
                BlobAsked::Delete(number) => done.deletes.entry(number).or_default().push(entry),
                BlobAsked::Read(_) | BlobAsked::List | BlobAsked::ReadLast(_) => {}
            }
        }
        match entries.iter().find_map(|look| done.wrong(look).map(|what| (look, what))) {
            Some((look, what)) => {
                let at = look.from.as_secs_f64();
                Err(self.violation(format!("{} at {at:.3} s asked {:?}: {what}", look.client, look.asked)))
            }
            None => Ok(()),
        }
    }
}

impl Done<'_> {
    /// What is wrong with what one look showed.
    fn wrong(&self, look: &Request) -> Option<String> {
        match (&look.asked, look.done()?) {
            (BlobAsked::Read(number) | BlobAsked::ReadLast(number), told) => match told {
                BlobTold::Absent => self.must_be_there(*number, look),
                BlobTold::Right => self.must_be_gone(*number, look),
                BlobTold::Unreadable => Some("it is there by name, and no node has a copy".to_owned()),
                _ => Some("what was read is not what was put".to_owned()),
            },
            (BlobAsked::List, BlobTold::There(numbers)) => {
                let lost = self.puts.keys().filter(|number| !numbers.contains(number));
                let there = numbers.iter().find_map(|number| {
                    let made_up =
                        || (!self.puts.contains_key(number)).then(|| format!("nobody put {number}"));
                    made_up().or_else(|| self.must_be_gone(*number, look))
                });
                there.or_else(|| lost.copied().find_map(|number| self.must_be_there(number, look)))
            }
            _ => None,
        }
    }

    /// Why a blob must be there, if it must.
    fn must_be_there(&self, number: u64, look: &Request) -> Option<String> {
        let put = self.puts.get(&number).filter(|put| put.done().is_some() && put.precedes(look))?;
        let mut deletes = self.deletes.get(&number).into_iter().flatten();
        let deleted = deletes.any(|delete| look.to.is_none_or(|to| delete.from <= to));
        (!deleted).then(|| format!("{number} is lost, whose put by {} was acknowledged", put.client))
    }

    /// Why a blob must be gone, if it must.
    fn must_be_gone(&self, number: u64, look: &Request) -> Option<String> {
        let mut deletes = self.deletes.get(&number).into_iter().flatten();
        let delete = deletes.find(|delete| delete.done().is_some() && delete.precedes(look))?;
        Some(format!("{number} is there, which {} has deleted", delete.client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Outcome;
    use std::time::Duration;

    /// Puts 1, 2 and 3, of which 2 is deleted and 3 is not acknowledged, and then looks.
    fn seen(asked: BlobAsked, told: BlobTold) -> bool {
        let ending = Ending::default();
        let journal = &ending.journals.blob;
        let second = Duration::from_secs;
        let done = |asked, from| {
            let place = journal.ask("c", asked, second(from));
            journal.tell(place, Outcome::Done(BlobTold::Done), second(from + 1));
        };
        done(BlobAsked::Put(1), 10);
        done(BlobAsked::Put(2), 20);
        done(BlobAsked::Delete(2), 30);
        journal.ask("c", BlobAsked::Put(3), second(32));
        let place = journal.ask("c", asked, second(40));
        journal.tell(place, Outcome::Done(told), second(41));
        BlobContents.conclude(&ending).is_err()
    }

    #[test]
    fn blobs_lost_changed_or_back_again_are_seen() {
        for (number, absent, right) in [(1, true, false), (2, false, true), (3, false, false)] {
            for asked in [BlobAsked::Read(number), BlobAsked::ReadLast(number)] {
                assert_eq!(seen(asked.clone(), BlobTold::Absent), absent, "{asked:?}");
                assert_eq!(seen(asked.clone(), BlobTold::Right), right, "{asked:?}");
                assert!(seen(asked.clone(), BlobTold::Wrong) && seen(asked, BlobTold::Unreadable));
            }
        }
        let there = |numbers: &[u64]| seen(BlobAsked::List, BlobTold::There(numbers.to_vec()));
        assert!(!there(&[1]) && !there(&[1, 3]));
        assert!(there(&[]) && there(&[1, 2]) && there(&[1, 4]));
    }
}
