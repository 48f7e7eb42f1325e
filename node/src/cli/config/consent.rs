//! The question before a change of the tree that takes away, or puts back, more than one value.

use super::{Terms, confirmation, failure::Failure, globals::Globals, item::leaves};
use micro_sdk::client::{ConfigChanged, ConfigEdit};
use std::fmt;

/// What a change would do to what is there, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Toll {
    removed: usize,
    changed: usize,
    added: usize,
}

impl Toll {
    /// Counts what would become of each leaf.
    pub(super) fn of(edits: &[ConfigEdit]) -> Toll {
        let mut toll = Toll::default();
        for edit in edits {
            match (&edit.before, &edit.after) {
                (Some(_), None) => toll.removed += 1,
                (Some(_), Some(_)) => toll.changed += 1,
                (None, _) => toll.added += 1,
            }
        }
        toll
    }

    /// Whether more than one value goes. What is said to be there instead was typed by whoever makes the change, and
    /// need not be asked for.
    pub(super) fn removes(self) -> bool {
        self.removed > 1
    }

    /// Whether more than one value goes, or becomes what it was: whoever names a version need not know what has changed
    /// since.
    pub(super) fn undoes(self) -> bool {
        self.removed + self.changed > 1
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [("remove", self.removed), ("change", self.changed), ("add", self.added)];
        let told = counts.into_iter().filter(|(_, count)| *count > 0);
        let told: Vec<String> = told.map(|(verb, count)| format!("{verb} {}", leaves(count))).collect();
        f.write_str(&told.join(", "))
    }
}

/// Asks whether a change is meant of which `would` is known. What is answered for is what is made, or nothing.
///
/// # Errors
/// If the answer is not yes, or there is nobody to ask.
pub(super) fn ask(
    would: &ConfigChanged,
    question: &str,
    terms: &mut Terms,
    globals: &Globals,
) -> Result<(), Failure> {
    confirmation::ask(globals, question)?;
    terms.if_version = terms.if_version.or(Some(would.version));
    Ok(())
}

/// A place of the tree, in words.
pub(super) fn place(path: &str) -> &str {
    if path.is_empty() { "the whole tree" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toll(leaves: &[(Option<&str>, Option<&str>)]) -> Toll {
        let edit = |(before, after): &(Option<&str>, Option<&str>)| ConfigEdit {
            path: "a".to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            secret: false,
        };
        Toll::of(&leaves.iter().map(edit).collect::<Vec<_>>())
    }

    #[test]
    fn what_a_change_costs_is_told_in_counts() {
        let gone = (Some("1"), None);
        let all = toll(&[gone, gone, (Some("null"), Some("1")), (None, Some("null"))]);
        assert_eq!(all.to_string(), "remove 2 values, change 1 value, add 1 value");
        assert!(all.removes() && all.undoes());
    }

    #[test]
    fn one_value_goes_without_a_question_and_new_ones_come_without() {
        let (gone, other, new) = ((Some("1"), None), (Some("1"), Some("2")), (None, Some("1")));
        assert!(!toll(&[gone, other, new]).removes() && toll(&[gone, other]).undoes());
        assert!(!toll(&[gone, new, new]).undoes() && !toll(&[other, new]).undoes());
        assert!(!toll(&[]).undoes());
    }
}
