//! If two logs hold an entry with the same term, leader and index, they are equal up to and including it.
//!
//! By induction it is enough that such an entry always has the same content and the same predecessor.

use super::{Checker, Violation};
use crate::sighting::{Line, Sighting};
use std::collections::BTreeMap;

/// Log matching.
#[derive(Default)]
pub struct LogMatching {
    /// By index, term and leader: the digest of the content, and the entry before where it was seen.
    entries: BTreeMap<(u64, u64, u64), (u64, Option<Line>)>,
}

impl Checker for LogMatching {
    fn name(&self) -> &'static str {
        "log matching"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, node) in &sighting.nodes {
            for (index, line) in node.fresh() {
                let before = index.checked_sub(1).and_then(|before| node.log.get(&before)).copied();
                let key = (index, line.term, line.leader);
                let known = self.entries.entry(key).or_insert((line.print, before));
                known.1 = known.1.or(before);
                if known.0 != line.print {
                    let what = format!(
                        "entry {index} of term {} has two contents, one of them on {name}",
                        line.term
                    );
                    return Err(self.violation(what));
                }
                if before.is_some() && known.1 != before {
                    let what =
                        format!("entry {index} of term {} has two predecessors, one on {name}", line.term);
                    return Err(self.violation(what));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, sighting};

    #[test]
    fn logs_that_differ_in_their_tails_are_fine() {
        let scene = sighting(1, [node(1, &[1, 1, 2]), node(2, &[1, 1, 3, 3])]);
        assert_eq!(LogMatching::default().look(&scene), Ok(()));
    }

    #[test]
    fn an_entry_with_two_contents_is_seen() {
        let mut other = node(2, &[1, 1]);
        other.log.get_mut(&2).expect("it is there").print = 9;
        assert!(LogMatching::default().look(&sighting(1, [node(1, &[1, 1]), other])).is_err());
    }

    #[test]
    fn an_entry_with_two_predecessors_is_seen() {
        let scene = sighting(1, [node(1, &[1, 1, 3]), node(2, &[1, 2, 3])]);
        assert!(LogMatching::default().look(&scene).is_err());
    }
}
