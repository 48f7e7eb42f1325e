//! `micro-node store txn`.

use super::{
    Place,
    failure::Failure,
    globals::Globals,
    input,
    item::{Detail, RecordItem, listing},
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::Args;
use micro_sdk::{
    client::{
        Comparand, Compare, Fence, Node, Op, OpResult, Record, Relation, Store, Transacted, Transaction,
    },
    wire::{Code, Fault, limits::PROPOSAL_BYTES_MAX},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const HELP: &str = r#"Example:
  micro-node store txn - <<'END'
  {
    "if": [
      {"key": "alice", "version": 42},
      {"key": "bob", "exists": true},
      {"lock": "transfers", "token": 40}
    ],
    "then": [
      {"write": "alice", "value": "90"},
      {"write": "bob", "value": "110", "expiry": "24h", "meta": {"by": "me"}},
      {"write": "log-1", "table": "log", "value": "10 from alice to bob"}
    ],
    "else": [
      {"read": "alice"}
    ]
  }
  END

If all comparisons of "if" hold, "then" is done, else "else"; all of it or nothing, as one revision. Together they are as
many as the node's setting transaction-operations says, which is 1024 if nobody changed it. Each one may name its "table" and "database"; otherwise those of the flags are meant.

A comparison has a "key" and one of "version" (0: no record), "created", "exists", "value", "value_base64", "lease", and
maybe a "relation": equal (by itself), not_equal, less, greater. Or it has a "lock", or an
"election", and the "token" that it is held under.

An operation is one of
  {"write": KEY, "value": TEXT, or "value_base64", "expiry": TIME, "lease": N, "meta": {…}}
  {"delete": KEY}  {"delete_range": {"prefix": TEXT, "from": KEY, "to": KEY, "limit": N}}
  {"read": KEY}    {"list": {"prefix": TEXT, "from": KEY, "to": KEY, "limit": N}}

Exit code 6 if the comparisons do not hold and there is no "else"."#;

/// Compare records and change others: all of it or nothing
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Txn {
    /// The transaction: JSON, @FILE, or - for stdin
    #[arg(default_value = "-")]
    document: String,

    /// Makes a repeated transaction the same one: 1 to 32 hexadecimal digits
    #[arg(long, value_name = "KEY", value_parser = unit::key)]
    idempotency_key: Option<u128>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, rename = "if")]
    compares: Vec<CompareItem>,
    #[serde(default)]
    then: Vec<OpItem>,
    #[serde(default, rename = "else")]
    otherwise: Vec<OpItem>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CompareItem {
    database: Option<String>,
    table: Option<String>,
    key: Option<String>,
    relation: RelationItem,
    version: Option<u64>,
    created: Option<u64>,
    exists: Option<bool>,
    value: Option<String>,
    value_base64: Option<String>,
    lease: Option<u64>,
    lock: Option<String>,
    election: Option<String>,
    token: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RelationItem {
    #[default]
    Equal,
    NotEqual,
    Less,
    Greater,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OpItem {
    database: Option<String>,
    table: Option<String>,
    write: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    expiry: Option<String>,
    lease: Option<u64>,
    meta: BTreeMap<String, String>,
    delete: Option<String>,
    delete_range: Option<RangeItem>,
    read: Option<String>,
    list: Option<RangeItem>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RangeItem {
    prefix: String,
    from: String,
    to: String,
    limit: u32,
}

/// What a transaction did.
#[derive(Serialize, JsonSchema)]
struct TxnItem<'a> {
    /// Whether the comparisons held, so that `then` was done, and not `else`.
    held: bool,
    /// The revision of the moment, or the one that it made.
    revision: u64,
    /// What came of each operation.
    results: Vec<ResultItem<'a>>,
}

/// What came of an operation.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ResultItem<'a> {
    /// A record was written.
    Written {},
    /// Records were deleted, or one was.
    Deleted {
        /// How many.
        count: u32,
        /// Whether there are more in the range.
        more: bool,
    },
    /// A record was read.
    Read {
        /// The record, if there is one.
        record: Option<RecordItem<'a>>,
    },
    /// Records were listed.
    Listed {
        /// The records, by key.
        records: Vec<RecordItem<'a>>,
        /// Whether there are more in the range.
        more: bool,
    },
}

const TXN: ItemShape<TxnItem<'static>> = ItemShape::new("store-txn", &["store txn"]);

pub(super) const SHAPES: Shapes = &[&TXN];

/// The tables that a document means.
struct Tables<'a> {
    node: &'a Node,
    place: &'a Place,
}

impl Tables<'_> {
    fn store(&self, database: Option<String>, table: Option<String>) -> Store {
        let database = database.unwrap_or_else(|| self.place.database().to_owned());
        self.node.store().database(database).table(table.unwrap_or_else(|| self.place.table().to_owned()))
    }
}

fn usage(message: impl Into<String>) -> Fault {
    Fault::new(Code::Usage, message).help("micro-node store txn --help shows an example")
}

/// The one that was given of several.
fn sole<T>(given: impl IntoIterator<Item = Option<T>>, what: &str) -> Result<T, Fault> {
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(sole), None) => Ok(sole),
        (None, _) => Err(usage(format!("{what}: none is given"))),
        (Some(_), Some(_)) => Err(usage(format!("{what}: more than one is given"))),
    }
}

fn decoded(base64: &str) -> Result<Bytes, Fault> {
    STANDARD.decode(base64).map(Bytes::from).map_err(|error| usage(format!("value_base64: {error}")))
}

impl Document {
    fn transaction(self, tables: &Tables<'_>) -> Result<Transaction, Fault> {
        let mut txn = tables.node.store().txn();
        for compare in self.compares {
            txn = txn.when(compare.compare(tables)?);
        }
        for op in self.then {
            txn = txn.then(op.op(tables)?);
        }
        for op in self.otherwise {
            txn = txn.otherwise(op.op(tables)?);
        }
        Ok(txn)
    }
}

/// What a comparison may be.
const COMPARED: &str = "a comparison has a key, or a lock or an election and a token";

impl CompareItem {
    fn compare(self, tables: &Tables<'_>) -> Result<Compare, Fault> {
        let base64 = self.value_base64.as_deref().map(decoded).transpose()?;
        let with = [
            self.version.map(Comparand::Version),
            self.created.map(Comparand::Created),
            self.exists.map(Comparand::Exists),
            self.value.map(|value| Comparand::Value(value.into())),
            base64.map(Comparand::Value),
            self.lease.map(Comparand::Lease),
        ];
        let fence = match (self.lock, self.election, self.token) {
            (Some(lock), None, Some(token)) => Some(Fence::new(lock, token)),
            (None, Some(election), Some(token)) => Some(Fence::lead(election, token)),
            (None, None, None) => None,
            _ => return Err(usage(COMPARED)),
        };
        if let Some(fence) = fence {
            return match (with.iter().flatten().next(), self.key) {
                (None, None) => Ok(fence.compare(tables.node)),
                _ => Err(usage("what is held, a lock or a lead, is compared by its token alone")),
            };
        }
        let key = self.key.ok_or_else(|| usage(COMPARED))?;
        let with = sole(with, &format!("what {key:?} is compared with"))?;
        let relation = match self.relation {
            RelationItem::Equal => Relation::Equal,
            RelationItem::NotEqual => Relation::NotEqual,
            RelationItem::Less => Relation::Less,
            RelationItem::Greater => Relation::Greater,
        };
        Ok(Compare::new(&tables.store(self.database, self.table), key, relation, with))
    }
}

impl OpItem {
    fn op(self, tables: &Tables<'_>) -> Result<Op, Fault> {
        let store = tables.store(self.database, self.table);
        let base64 = self.value_base64.as_deref().map(decoded).transpose()?;
        let value = [self.value.map(Bytes::from), base64];
        if self.write.is_none() && value.iter().any(Option::is_some) {
            return Err(usage("only a write has a value"));
        }
        let expiry = self.expiry.as_deref().map(unit::duration).transpose();
        let expiry = expiry.map_err(|error| usage(format!("expiry: {error}")))?;
        let put = self.write.map(|key| {
            let value = sole(value, &format!("the value of {key:?}"))?;
            let put =
                store.put(key, value).ttl(expiry.unwrap_or_default()).lease(self.lease.unwrap_or_default());
            Ok::<Op, Fault>(
                self.meta.into_iter().fold(put, |put, (name, text)| put.metadata(name, text)).into(),
            )
        });
        let delete_range = self.delete_range.map(|range| {
            let delete = store.delete_range(range.prefix).starting_at(range.from).before(range.to);
            delete.limit(range.limit).into()
        });
        let list = self.list.map(|range| {
            store.list(range.prefix).starting_at(range.from).before(range.to).limit(range.limit).into()
        });
        let ops = [
            put.transpose()?,
            self.delete.map(|key| store.delete(key).into()),
            delete_range,
            self.read.map(|key| store.get(key).into()),
            list,
        ];
        sole(ops, "write, delete, delete_range, read or list")
    }
}

impl Txn {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let document = input::json(&self.document, PROPOSAL_BYTES_MAX)?;
        let document: Document = serde_json::from_value(document)
            .map_err(|error| usage(format!("{} is no transaction: {error}", input::name(&self.document))))?;
        let has_else = !document.otherwise.is_empty();
        let done = session::run(globals, async |node| {
            let mut txn = document.transaction(&Tables { node: &node, place })?;
            if let Some(key) = self.idempotency_key {
                txn = txn.idempotency_key(key);
            }
            Ok(txn.await?)
        })?;
        if !done.held && !has_else {
            return Err(Fault::new(Code::Conflict, "the comparisons do not hold: nothing was done")
                .help("read the records again and decide anew")
                .into());
        }
        show(&done, output)
    }
}

fn show(done: &Transacted, output: &Output) -> Result<(), Failure> {
    if output.json() {
        let results = done.results.iter().map(|result| match result {
            OpResult::Written => ResultItem::Written {},
            OpResult::Deleted { count, more } => ResultItem::Deleted { count: *count, more: *more },
            OpResult::Read(record) => ResultItem::Read { record: record.as_ref().map(RecordItem::from) },
            OpResult::Listed { records, more } => {
                ResultItem::Listed { records: records.iter().map(RecordItem::from).collect(), more: *more }
            }
        });
        let item = TxnItem { held: done.held, revision: done.revision, results: results.collect() };
        return output.item(&TXN, &item);
    }
    let branch = if done.held { "then" } else { "else" };
    output.remark(&format!("{branch} was done, as revision {}", done.revision));
    let read: Vec<Record> = done.results.iter().flat_map(read).cloned().collect();
    match read.is_empty() {
        true => Ok(()),
        false => output.table(&listing(&read, Detail::Value), ""),
    }
}

/// The records that an operation has read.
fn read(result: &OpResult) -> &[Record] {
    match result {
        OpResult::Read(record) => record.as_slice(),
        OpResult::Listed { records, .. } => records,
        OpResult::Written | OpResult::Deleted { .. } => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Node::over("127.0.0.1:1".parse().expect("an address"), channel)
    }

    fn parse(document: &str) -> Result<Transaction, String> {
        let document: Document = serde_json::from_str(document).map_err(|error| error.to_string())?;
        let place = Place { database: Some("d".to_owned()), table: Some("t".to_owned()) };
        document.transaction(&Tables { node: &node(), place: &place }).map_err(|fault| fault.message)
    }

    #[tokio::test]
    async fn the_example_of_the_help_is_a_transaction() {
        let begin = HELP.find('{').expect("it has an example");
        let end = HELP.find("  END\n").expect("it ends");
        let txn = format!("{:?}", parse(&HELP[begin..end]).expect("it is taken"));
        for part in ["\"alice\"", "Exists(true)", "\"transfers\"", "86400000", "\"log\"", "Read("] {
            assert!(txn.contains(part), "{part} is not in {txn}");
        }
    }

    #[tokio::test]
    async fn what_is_ambiguous_is_refused() {
        for (document, named) in [
            (r#"{"if":[{"key":"a"}]}"#, "what \"a\" is compared with: none"),
            (r#"{"if":[{"key":"a","version":1,"exists":true}]}"#, "more than one"),
            (r#"{"if":[{"lock":"a"}]}"#, "a lock or an election and a token"),
            (r#"{"then":[{"write":"a"}]}"#, "the value of \"a\": none"),
            (r#"{"then":[{"read":"a","delete":"a"}]}"#, "more than one"),
            (r#"{"then":[{"delete":"a","value":"x"}]}"#, "only a write has a value"),
            (r#"{"then":[{"write":"a","value":"x","expiry":"10"}]}"#, "unit"),
            (r#"{"than":[]}"#, "than"),
        ] {
            let error = parse(document).expect_err(document);
            assert!(error.contains(named), "{document}: {error}");
        }
    }
}
