//! Leaves and changes as JSON and as rows.

pub(super) use super::unit::rfc3339;
use super::{
    failure::Failure,
    output::Output,
    shape::{ItemShape, Shapes},
    table::{NOTHING, Table, clean, cut},
};
use micro_sdk::client::{ConfigChanged, ConfigEdit};
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
    before: Option<&'a Value>,
    /// What is there now, if anything is; a secret is `[secret]`.
    after: Option<&'a Value>,
    /// Whether it is a secret.
    secret: bool,
}

impl<'a> From<&'a ConfigEdit> for EditItem<'a> {
    fn from(edit: &'a ConfigEdit) -> Self {
        let kind = match (&edit.before, &edit.after) {
            (None, _) => "add",
            (Some(_), Some(_)) => "change",
            (Some(_), None) => "remove",
        };
        let (before, after) = (edit.before.as_ref(), edit.after.as_ref());
        EditItem { path: &edit.path, kind, before, after, secret: edit.secret }
    }
}

/// The JSON form of several.
pub(super) fn edit_items(edits: &[ConfigEdit]) -> Vec<EditItem<'_>> {
    edits.iter().map(EditItem::from).collect()
}

/// The JSON form of what a change did.
#[derive(Serialize, JsonSchema)]
struct ChangedItem<'a> {
    /// The version of the tree after it; the one before, if nothing changed.
    version: u64,
    /// The staged change that was made; none if it is everybody's.
    canary: Option<u64>,
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

/// A value on one line, as much of it as a row takes.
pub(super) fn excerpt(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| NOTHING.to_owned(), Value::to_string);
    cut(&clean(&text), Some(VALUE_CHARS_MAX))
}

/// Leaves before and after.
pub(super) fn edit_table(edits: &[ConfigEdit]) -> Table {
    let mut table = Table::new(["PATH", "BEFORE", "AFTER"]);
    for edit in edits {
        table.row([edit.path.clone(), excerpt(edit.before.as_ref()), excerpt(edit.after.as_ref())]);
    }
    table
}

/// Shows what a change did; a person who did not ask what it would do sees what is worth a remark.
pub(super) fn show_changed(changed: &ConfigChanged, dry_run: bool, output: &Output) -> Result<(), Failure> {
    if output.json() {
        let ConfigChanged { version, edits, canary } = changed;
        let item = ChangedItem { version: *version, canary: *canary, dry_run, edits: edit_items(edits) };
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
    use serde_json::json;

    #[test]
    fn null_is_told_from_nothing() {
        let edit = |before, after| ConfigEdit { path: "a".to_owned(), before, after, secret: false };
        let kind = |edit: &ConfigEdit| EditItem::from(edit).kind;
        assert_eq!(kind(&edit(None, Some(Value::Null))), "add");
        assert_eq!(kind(&edit(Some(Value::Null), Some(json!(1)))), "change");
        assert_eq!(kind(&edit(Some(Value::Null), None)), "remove");
        let text = "\
PATH  BEFORE  AFTER
a     null    –";
        assert_eq!(edit_table(&[edit(Some(Value::Null), None)]).render(true, None), text);
    }
}
