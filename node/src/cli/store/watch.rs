//! `micro-node store watch`.

use super::{
    Place, contact,
    failure::Failure,
    globals::Globals,
    item::{RecordItem, excerpt, rfc3339},
    output::Output,
    session,
    shape::{Shape, Shapes},
    table::{NOTHING, clean},
};
use clap::Args;
use micro_sdk::{
    client::{Change, ChangeKind, Revision, WatchError},
    wire::Code,
};
use schemars::JsonSchema;
use serde::Serialize;

/// Tell each change of a record, or of all in a table, as it happens
///
/// It goes on by itself when connections are lost or leaders change, without a gap or a repetition, and ends with
/// Ctrl-C, or when no node has answered for a minute: then it says from which revision to go on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store watch greeting
  micro-node store watch --table users --prefix id -o jsonl | jq .key
  micro-node store watch --from 42                      what came since revision 42, then what comes
  micro-node store watch --table jobs --limit 1         ends after the next change")]
pub(super) struct Watch {
    /// The key; all of the table if none is given
    #[arg(conflicts_with = "prefix")]
    key: Option<String>,

    /// Only keys that start with this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,

    /// Begin with the changes of this revision; micro-node store history tells from which on they are kept, and sets it
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,

    /// End after this many changes
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// A change of a record, as it happens.
#[derive(Serialize, JsonSchema)]
struct ChangeItem<'a> {
    /// The revision that it is part of.
    revision: u64,
    /// RFC 3339.
    time: String,
    /// `put`, `delete` or `expire`.
    kind: &'static str,
    /// The key.
    key: &'a str,
    /// The record from then on; none if it is gone.
    record: Option<RecordItem<'a>>,
}

const WATCH: Shape<ChangeItem<'static>> = Shape::new("store-watch", &["store watch"]);

pub(super) const SHAPES: Shapes = &[&WATCH];

fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Put => "put",
        ChangeKind::Delete => "delete",
        ChangeKind::Expire => "expire",
    }
}

/// What a person sees of a change: columns of fixed width, since what is to come is not known.
fn line(revision: u64, change: &Change) -> String {
    let value = change.record.as_ref().map_or_else(|| NOTHING.to_owned(), |record| excerpt(&record.value));
    format!("{revision:<8}  {:<6}  {}  {value}", kind(change.kind), clean(&change.key))
}

impl Watch {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        session::run(globals, async |node| {
            let store = place.store(&node);
            let mut asked = match &self.key {
                Some(key) => store.watch_key(key),
                None => store.watch(&self.prefix),
            };
            if let Some(revision) = self.from {
                asked = asked.since(revision);
            }
            let mut watch = asked.on_contact(contact::remarks(output)).await.map_err(explained)?;
            output.detail(&format!("watching from revision {}", watch.seen() + 1));
            let mut left = self.limit.unwrap_or(u64::MAX);
            while let Some(next) = watch.next().await {
                let revision = next.map_err(|error| go_on(error, watch.seen() + 1))?;
                for change in &revision.changes {
                    show(&revision, change, output)?;
                    left -= 1;
                    if left == 0 {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }
}

fn show(revision: &Revision, change: &Change, output: &Output) -> Result<(), Failure> {
    if !output.json() {
        return output.text(&line(revision.revision, change));
    }
    let item = ChangeItem {
        revision: revision.revision,
        time: rfc3339(revision.time),
        kind: kind(change.kind),
        key: &change.key,
        record: change.record.as_ref().map(RecordItem::from),
    };
    output.line(&WATCH, &item)
}

/// Why a watch ended that had begun, and how nothing is missed.
fn go_on(error: WatchError, next: u64) -> Failure {
    match error {
        WatchError::Fault(fault) if fault.code != Code::Denied => {
            fault.help(format!("go on with --from {next}: nothing is missed then")).into()
        }
        error => explained(error),
    }
}

fn explained(error: WatchError) -> Failure {
    match error {
        WatchError::Compacted { fault, .. } => {
            fault.help("micro-node store history shows what is kept").into()
        }
        WatchError::Fault(fault) => fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::client::Record;

    #[test]
    fn a_change_is_one_line() {
        let record = Record { key: "a".to_owned(), value: "x\ny".into(), version: 42, ..Record::default() };
        let put = Change { key: "a".to_owned(), kind: ChangeKind::Put, record: Some(record) };
        assert_eq!(line(42, &put), "42        put     a  x\\ny");
        let gone = Change { key: "a".to_owned(), kind: ChangeKind::Expire, record: None };
        assert_eq!(line(43, &gone), "43        expire  a  –");
    }
}
