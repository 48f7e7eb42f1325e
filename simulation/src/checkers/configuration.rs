//! Each change of the configuration is made once, at a version of its own, and touches nothing but what it names; what
//! is read is what the changes up to its version made (the lost update of a tree that is read, changed and written back
//! as a whole is what this is there to see).

use super::{Checker, Ending, Violation};
use crate::workload::{
    Entry,
    config::{ConfigAsked, ConfigTold, Edit, SECRET},
};
use std::collections::BTreeMap;

/// The values of the configuration.
#[derive(Default)]
pub struct Configuration;

type Asking = Entry<ConfigAsked, ConfigTold>;
type Leaves = BTreeMap<String, String>;

impl Checker for Configuration {
    fn name(&self) -> &'static str {
        "the configuration"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let entries = ending.journals.config.entries();
        let Some(history) = entries.iter().rev().find_map(|entry| match entry.done() {
            Some(ConfigTold::History(history)) => Some(history),
            _ => None,
        }) else {
            return Ok(());
        };
        let story = Story::of(history).map_err(|what| self.violation(what))?;
        for entry in &entries {
            if let Some(what) = story.wrong(entry).or_else(|| out_of_order(&entries, entry)) {
                let (client, asked) = (&entry.client, &entry.asked);
                return Err(self.violation(format!("{client}, {asked:?} -> {:?}: {what}", entry.outcome)));
            }
        }
        Ok(())
    }
}

/// The tree as it was at each version, and what made it so.
struct Story<'a> {
    /// By version, beginning at 0.
    trees: Vec<Leaves>,
    /// By version less one.
    changes: Vec<&'a [Edit]>,
}

impl<'a> Story<'a> {
    fn of(history: &'a [(u64, Vec<Edit>)]) -> Result<Self, String> {
        let mut story = Story { trees: vec![Leaves::new()], changes: Vec::new() };
        for ((version, edits), expected) in history.iter().zip(1..) {
            if *version != expected {
                return Err(format!("version {expected} of the tree is missing, {version} is there"));
            }
            let mut tree = story.trees.last().cloned().unwrap_or_default();
            for (path, before, after) in edits {
                if tree.get(path) != before.as_ref() {
                    let was = tree.get(path);
                    return Err(format!(
                        "version {version} found {before:?} at {path}, where {was:?} had been put"
                    ));
                }
                match after {
                    Some(after) => tree.insert(path.clone(), after.clone()),
                    None => tree.remove(path),
                };
            }
            story.trees.push(tree);
            story.changes.push(edits);
        }
        Ok(story)
    }

    fn tree(&self, version: u64) -> Option<&Leaves> {
        self.trees.get(usize::try_from(version).ok()?)
    }

    /// How often a value was put somewhere where another one was.
    fn times(&self, leaf: &str, value: &str) -> usize {
        let is_it = |(path, _, after): &&Edit| path == leaf && after.as_deref() == Some(value);
        self.changes.iter().flat_map(|edits| edits.iter()).filter(is_it).count()
    }

    /// What is wrong with a request and what was told.
    fn wrong(&self, entry: &Asking) -> Option<String> {
        match (&entry.asked, entry.done()) {
            (ConfigAsked::Set { leaf, value, .. }, None) if *leaf != SECRET && !entry.may_be_done() => {
                let times = self.times(leaf, &value.to_string());
                (times > 0).then(|| "it is in the history, though nothing was done".to_owned())
            }
            (ConfigAsked::Set { leaf, value, if_version }, Some(ConfigTold::Changed { version, edits })) => {
                self.not_in_history(*version, edits)
                    .or_else(|| not_only(leaf, edits))
                    .or_else(|| {
                        let after = edits.first().and_then(|(_, _, after)| after.as_ref());
                        let wanted =
                            if *leaf == SECRET { "\"[secret]\"".to_owned() } else { value.to_string() };
                        (after != Some(&wanted)).then(|| format!("{wanted} is not what was put there"))
                    })
                    .or_else(|| {
                        let before = if_version.filter(|before| before + 1 != *version)?;
                        Some(format!("it was made at another version than {before}"))
                    })
            }
            (ConfigAsked::Delete(leaf), Some(ConfigTold::Changed { version, edits })) => {
                self.not_in_history(*version, edits).or_else(|| not_only(leaf, edits))
            }
            (ConfigAsked::RollBack { leaf, to }, Some(ConfigTold::Changed { version, edits })) => {
                self.not_in_history(*version, edits).or_else(|| not_only(leaf, edits)).or_else(|| {
                    let at = |version| self.tree(version).and_then(|tree| tree.get(*leaf));
                    (at(*version) != at(*to))
                        .then(|| format!("{:?} was there, not {:?}", at(*to), at(*version)))
                })
            }
            (ConfigAsked::Look | ConfigAsked::LookAtReplica, Some(ConfigTold::Tree { version, leaves })) => {
                let Some(tree) = self.tree(*version) else {
                    return Some("no such version is there".to_owned());
                };
                // The history does not show secrets.
                let open = |leaves: &Leaves| -> Leaves {
                    leaves
                        .iter()
                        .filter(|(path, _)| *path != SECRET)
                        .map(|(p, v)| (p.clone(), v.clone()))
                        .collect()
                };
                let same =
                    open(tree) == open(leaves) && tree.contains_key(SECRET) == leaves.contains_key(SECRET);
                (!same).then(|| format!("at that version there was {tree:?}"))
            }
            _ => None,
        }
    }

    /// Whether what a change is said to have done is not what the history says.
    fn not_in_history(&self, version: u64, edits: &[Edit]) -> Option<String> {
        if edits.is_empty() {
            return self.tree(version).is_none().then(|| "no such version is there".to_owned());
        }
        let there = self.changes.get(usize::try_from(version).ok()?.checked_sub(1)?);
        (there != Some(&edits)).then(|| format!("at that version the history has {there:?}"))
    }
}

fn not_only(leaf: &str, edits: &[Edit]) -> Option<String> {
    let other = edits.iter().find(|(path, ..)| path != leaf)?;
    Some(format!("it changed {} too", other.0))
}

/// Whether a request was answered with a version from before another that was over when it was asked.
fn out_of_order(entries: &[Asking], entry: &Asking) -> Option<String> {
    if entry.asked == ConfigAsked::LookAtReplica {
        return None;
    }
    let mine = version(entry)?;
    entries.iter().filter(|other| other.precedes(entry)).find_map(|other| {
        let theirs = version(other)?;
        (theirs > mine).then(|| format!("version {theirs} was told before that was asked"))
    })
}

fn version(entry: &Asking) -> Option<u64> {
    match entry.done()? {
        ConfigTold::Changed { version, .. } | ConfigTold::Tree { version, .. } => Some(*version),
        ConfigTold::History(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Outcome;
    use std::time::Duration;

    fn edit(path: &str, before: Option<&str>, after: Option<&str>) -> Edit {
        (path.to_owned(), before.map(str::to_owned), after.map(str::to_owned))
    }

    /// Sets a to 1 and b to 2, and looks; the history is this.
    fn seen(history: Vec<(u64, Vec<Edit>)>, look: (u64, &[(&str, &str)])) -> bool {
        let ending = Ending::default();
        let (journal, second) = (&ending.journals.config, Duration::from_secs);
        for (leaf, value) in [("shop.a", 1), ("shop.b", 2)] {
            let place =
                journal.ask("c", ConfigAsked::Set { leaf, value, if_version: None }, second(value * 2));
            let edits = vec![edit(leaf, None, Some(&value.to_string()))];
            let told = ConfigTold::Changed { version: value, edits };
            journal.tell(place, Outcome::Done(told), second(value * 2 + 1));
        }
        let place = journal.ask("c", ConfigAsked::Look, second(10));
        let leaves = look.1.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        journal.tell(place, Outcome::Done(ConfigTold::Tree { version: look.0, leaves }), second(11));
        let place = journal.ask("c", ConfigAsked::History, second(12));
        journal.tell(place, Outcome::Done(ConfigTold::History(history)), second(13));
        Configuration.conclude(&ending).is_err()
    }

    #[test]
    fn changes_lost_doubled_or_torn_are_seen() {
        let (one, two) = (edit("shop.a", None, Some("1")), edit("shop.b", None, Some("2")));
        let good = || vec![(1, vec![one.clone()]), (2, vec![two.clone()])];
        let both = [("shop.a", "1"), ("shop.b", "2")];
        assert!(!seen(good(), (2, &both)));
        assert!(seen(good(), (1, &both)), "a look shows what came later");
        assert!(seen(good(), (1, &both[..1])), "a look is older than what was told");
        assert!(seen(good(), (2, &both[1..])), "a value is lost");
        assert!(seen(good()[..1].to_vec(), (2, &both)), "a change is lost");
        let taken = edit("shop.a", Some("1"), None);
        assert!(
            seen(vec![(1, vec![one.clone()]), (2, vec![taken, two.clone()])], (2, &both[1..])),
            "one too many"
        );
        let unknown = edit("shop.b", Some("7"), Some("2"));
        assert!(seen(vec![(1, vec![one]), (2, vec![unknown])], (2, &both)), "it was not there");
    }
}
