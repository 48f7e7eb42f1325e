//! What the service keeps, as records of the store's reserved database of each namespace.
//!
//! | table | key | value |
//! |---|---|---|
//! | `config-head` | `head` | [`Head`]: every change compares and writes it, so that no change is lost |
//! | `config-tree` | the path of a leaf | [`Leaf`](super::leaf::Leaf) |
//! | `config-changes` | version, 20 digits | [`Change`] |
//! | `config-requests` | idempotency key, 32 hexadecimal digits | [`Answered`] |
//! | `config-canaries` | number, 20 digits | [`Canary`] |
//! | `config-schemas` | the service | JSON text |
//! | `config-keys` | number, 10 digits, or `current` | a sealed key or [`CurrentKey`]; in `default` for all |
//! | `config-namespaces` | a namespace that has a tree | nothing; in namespace `default` |
//!
//! All of it goes through Raft, into snapshots, and is watched, as any record. Stored: structs are new versions when
//! they change, enums grow at their ends.

use crate::{
    config::{ChangeView, tree::Edit},
    store::{Record, TablePath, WriteRequest},
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{Code, Codec, Fault, Namespace, limits::VALUE_BYTES_MAX};

/// The one key of the table `head`.
pub(crate) const HEAD: &str = "head";
/// The key of the record that says which key seals.
pub(crate) const CURRENT: &str = "current";

/// The tables of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub head: TablePath,
    pub tree: TablePath,
    pub changes: TablePath,
    pub requests: TablePath,
    pub canaries: TablePath,
    pub schemas: TablePath,
    pub keys: TablePath,
    pub namespaces: TablePath,
}

impl Tables {
    pub fn of(namespace: &Namespace) -> Self {
        let table = |name| TablePath::reserved(namespace.clone(), name);
        let shared = |name| TablePath::reserved(Namespace::default(), name);
        Tables {
            head: table("config-head"),
            tree: table("config-tree"),
            changes: table("config-changes"),
            requests: table("config-requests"),
            canaries: table("config-canaries"),
            schemas: table("config-schemas"),
            keys: shared("config-keys"),
            namespaces: shared("config-namespaces"),
        }
    }
}

/// What is known of a tree as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Head {
    /// The number of the last change.
    pub version: u64,
    /// The tree is known as of this version and later: the changes behind it are kept.
    pub known_from: u64,
    /// The bytes of these changes.
    pub history_bytes: u64,
    /// The time of the last change: it never goes back.
    pub time_ms: u64,
}

/// What kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Kind {
    Set,
    Delete,
    RollBack,
    Stage,
    Promote,
    Abort,
    Rotate,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Set => "set",
            Kind::Delete => "delete",
            Kind::RollBack => "rollback",
            Kind::Stage => "stage",
            Kind::Promote => "promote",
            Kind::Abort => "abort",
            Kind::Rotate => "rotate",
        }
    }

    /// Whether its edits are those of the tree, not of what is staged.
    pub fn edits_tree(self) -> bool {
        !matches!(self, Kind::Stage | Kind::Abort)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Change {
    pub version: u64,
    pub time_ms: u64,
    pub who: String,
    pub reason: String,
    pub kind: Kind,
    /// The staged change that it made or ended; 0 for none.
    pub canary: u64,
    pub edits: Vec<Edit>,
    pub idempotency_key: Option<u128>,
}

impl Change {
    pub fn view(&self) -> ChangeView {
        ChangeView {
            version: self.version,
            time_ms: self.time_ms,
            who: self.who.clone(),
            reason: self.reason.clone(),
            action: self.kind.name(),
            canary: self.canary,
            edits: self.edits.iter().map(Edit::view).collect(),
        }
    }
}

/// A change that was made under an idempotency key. Remembered as long as the change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Answered {
    pub version: u64,
    /// What was asked, without values: another change under the same key is refused.
    pub asked: String,
}

/// A staged change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Canary {
    /// Its number: the change that staged it.
    pub number: u64,
    pub time_ms: u64,
    pub who: String,
    pub reason: String,
    pub percent: u32,
    /// The service whose instances have it.
    pub service: String,
    pub edits: Vec<Edit>,
}

/// Which key of secrets seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CurrentKey {
    pub number: u32,
    /// Whether all secrets of the trees are sealed with it.
    pub complete: bool,
}

/// A number as a key: in the order of numbers.
pub(crate) fn number_key(number: u64) -> String {
    format!("{number:020}")
}

/// The key of an idempotency key.
pub(crate) fn request_key(key: u128) -> String {
    format!("{key:032x}")
}

/// What a record holds.
pub(crate) fn decode<T: Decode<()>>(record: &Record) -> Result<T, Fault> {
    Codec::decode::<T, VALUE_BYTES_MAX>(&record.value.0).map_err(unreadable)
}

/// The fault of a record that is not what this build writes.
pub(crate) fn unreadable(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, format!("what is kept of the configuration can't be read: {error}"))
        .help("if another node runs a newer build, update this one")
}

/// A write of `value`.
pub(crate) fn write<T: Encode>(table: &TablePath, key: impl Into<String>, value: &T) -> WriteRequest {
    WriteRequest::new(table.clone(), key, Codec::encode(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::leaf::{Content, Leaf, Sealed};

    #[test]
    fn layouts_are_frozen() {
        let head = Head { version: 1, known_from: 2, history_bytes: 3, time_ms: 4 };
        assert_eq!(Codec::encode(&head), b"\x01\0\x01\x02\x03\x04");
        let before = Leaf { version: 1, content: Content::Plain("x".to_owned()) };
        let after = Leaf { version: 2, content: Content::Sealed(Sealed { key: 3, bytes: vec![9] }) };
        assert_eq!(Codec::encode(&after), b"\x01\0\x02\x01\x03\x01\x09");
        let edits = vec![Edit { path: "p".to_owned(), before: Some(before), after: Some(after) }];
        let (who, reason) = ("w".to_owned(), "r".to_owned());
        let change = Change {
            version: 2,
            time_ms: 5,
            who: who.clone(),
            reason: reason.clone(),
            kind: Kind::Rotate,
            canary: 6,
            edits: edits.clone(),
            idempotency_key: Some(7),
        };
        let golden =
            b"\x01\0\x02\x05\x01w\x01r\x06\x06\x01\x01p\x01\x01\0\x01x\x01\x02\x01\x03\x01\x09\x01\x07";
        assert_eq!(Codec::encode(&change).escape_ascii().to_string(), golden.escape_ascii().to_string());
        let service = "s".to_owned();
        let canary = Canary { number: 2, time_ms: 5, who, reason, percent: 10, service, edits: Vec::new() };
        assert_eq!(Codec::encode(&canary), b"\x01\0\x02\x05\x01w\x01r\x0a\x01s\0");
        assert_eq!(Codec::encode(&CurrentKey { number: 3, complete: true }), b"\x01\0\x03\x01");
        let answered = Answered { version: 1, asked: "a".to_owned() };
        assert_eq!(Codec::encode(&answered), b"\x01\0\x01\x01a");
    }
}
