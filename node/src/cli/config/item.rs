//! Leaves and changes as JSON and as rows.

pub(super) use super::unit::rfc3339;
use super::{
    failure::Failure,
    output::Output,
    shape::{ItemShape, Shapes},
    table::{NOTHING, Table, clean, cut},
};
use micro_sdk::{
    client::{ConfigChanged, ConfigEdit},
    wire::Fault,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The longest value in a listing, in characters: one long value would pad every row to its length.
const VALUE_CHARS_MAX: usize = 64;

/// The JSON form of what became of one leaf.
#[derive(Serialize, JsonSchema)]
pub(super) struct EditItem<'a> {
    /// Where it is.
    path: &'a str,
    /// `add`, `change` or `remove`: a value of `null` is one.
    kind: &'static str,
    /// What was there, if anything was; a secret is `[secret]`.
    before: Option<Value>,
    /// What is there now, if anything is; a secret is `[secret]`.
    after: Option<Value>,
    /// Whether it is a secret.
    secret: bool,
}

impl<'a> TryFrom<&'a ConfigEdit> for EditItem<'a> {
    type Error = Fault;

    fn try_from(edit: &'a ConfigEdit) -> Result<Self, Fault> {
        let kind = match (&edit.before, &edit.after) {
            (None, _) => "add",
            (Some(_), Some(_)) => "change",
            (Some(_), None) => "remove",
        };
        let (before, after) = (edit.value_before()?, edit.value_after()?);
        Ok(EditItem { path: &edit.path, kind, before, after, secret: edit.secret })
    }
}

/// The JSON form of several.
pub(super) fn edit_items(edits: &[ConfigEdit]) -> Result<Vec<EditItem<'_>>, Fault> {
    edits.iter().map(EditItem::try_from).collect()
}

/// The JSON form of what a change did.
#[derive(Serialize, JsonSchema)]
struct ChangedItem<'a> {
    /// The version of the tree after it; the one before, if nothing changed.
    version: u64,
    /// The staged change that was made; none if it is everybody's.
    canary: Option<u64>,
    /// The staged changes that touch what was changed: they can't be promoted any more.
    staged: &'a [u64],
    /// Whether nothing was changed, since it was only asked what would.
    dry_run: bool,
    /// What changed.
    edits: Vec<EditItem<'a>>,
}

const CHANGE: ItemShape<ChangedItem<'static>> = ItemShape::new(
    "config-change",
    &[
        "config set",
        "config del",
        "config edit",
        "config import",
        "config rollback",
        "config promote",
        "config abort",
    ],
);

pub(super) const SHAPES: Shapes = &[&CHANGE];

/// A value on one line, as it was written, as much of it as a row takes.
pub(super) fn excerpt(json: Option<&str>) -> String {
    cut(&clean(json.unwrap_or(NOTHING)), Some(VALUE_CHARS_MAX))
}

/// Leaves before and after.
pub(super) fn edit_table(edits: &[ConfigEdit]) -> Table {
    let mut table = Table::new(["PATH", "BEFORE", "AFTER"]);
    for edit in edits {
        table.row([edit.path.clone(), excerpt(edit.before.as_deref()), excerpt(edit.after.as_deref())]);
    }
    table
}

/// Shows what a change did; a person who did not ask what it would do sees what is worth a remark.
pub(super) fn show_changed(changed: &ConfigChanged, dry_run: bool, output: &Output) -> Result<(), Failure> {
    if let Some(warning) = overtaking(changed, dry_run) {
        output.remark(&warning);
    }
    if output.json() {
        let ConfigChanged { version, edits, canary, staged } = changed;
        let edits = edit_items(edits)?;
        let item = ChangedItem { version: *version, canary: *canary, staged, dry_run, edits };
        return output.item(&CHANGE, &item);
    }
    if dry_run {
        return output.table(&edit_table(&changed.edits), "nothing would change");
    }
    if let Some(canary) = changed.canary {
        output.remark(&format!(
            "staged as {canary}: micro-node config canaries shows who has it; then promote {canary} or abort {canary}"
        ));
    } else if changed.edits.is_empty() {
        output.remark("nothing changed: it was so already");
    }
    output.detail(&format!(
        "{} changed; the tree is at version {}",
        leaves(changed.edits.len()),
        changed.version
    ));
    Ok(())
}

/// What to say of a change that takes the place of what staged changes would replace.
fn overtaking(changed: &ConfigChanged, dry_run: bool) -> Option<String> {
    let staged: Vec<String> = changed.staged.iter().map(u64::to_string).collect();
    let numbers = staged.join(", ");
    let (changes, verb) = match staged.len() {
        0 => return None,
        1 => ("the staged change", "touches"),
        _ => ("the staged changes", "touch"),
    };
    let then = if dry_run { "could not be promoted then" } else { "can't be promoted any more" };
    Some(format!(
        "{changes} {numbers} {verb} this too, and {then}: micro-node config canaries shows what is there and staged; \
         config abort takes it back"
    ))
}

/// How many leaves, in words.
pub(super) fn leaves(count: usize) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}

/// A text that may be empty.
pub(super) fn or_nothing(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(before: Option<&str>, after: Option<&str>) -> ConfigEdit {
        let text = |text: &str| text.to_owned();
        ConfigEdit { path: "a".to_owned(), before: before.map(text), after: after.map(text), secret: false }
    }

    #[test]
    fn null_is_told_from_nothing() {
        let kind = |edit: &ConfigEdit| EditItem::try_from(edit).expect("it is JSON").kind;
        assert_eq!(kind(&edit(None, Some("null"))), "add");
        assert_eq!(kind(&edit(Some("null"), Some("1"))), "change");
        assert_eq!(kind(&edit(Some("null"), None)), "remove");
        let text = "\
PATH  BEFORE  AFTER
a     null    –";
        assert_eq!(edit_table(&[edit(Some("null"), None)]).render(true, None), text);
    }

    #[test]
    fn numbers_are_shown_as_they_were_written() {
        let text = "\
PATH  BEFORE  AFTER
a     1.10    123456789012345678901234567890";
        let edits = [edit(Some("1.10"), Some("123456789012345678901234567890"))];
        assert_eq!(edit_table(&edits).render(true, None), text);
    }

    #[test]
    fn who_overtakes_a_staged_change_is_told_which() {
        let changed = |staged: &[u64]| {
            let staged = staged.to_vec();
            overtaking(&ConfigChanged { version: 1, edits: Vec::new(), canary: None, staged }, false)
        };
        assert_eq!(changed(&[]), None);
        assert!(changed(&[7]).is_some_and(|text| text.starts_with("the staged change 7 touches this too")));
        assert!(
            changed(&[7, 9]).is_some_and(|text| text.starts_with("the staged changes 7, 9 touch this too"))
        );
    }
}
