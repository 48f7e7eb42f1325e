//! What the store is asked about records, and what it answers.

use crate::store::{Metadata, Record, RecordRange, TablePath, Value};
use bincode::{Decode, Encode};

/// The most records in one page of a list.
pub const LIST_LIMIT_MAX: u32 = 1000;

/// Endpoint `write`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct WriteRequest {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Only if the record has this version; 0 means only if there is none.
    pub if_version: Option<u64>,
    /// The record ends after this time, in milliseconds; 0 for never. A later write without it takes it away.
    pub ttl_ms: u64,
    /// The record ends with this lease; 0 for none. A later write without it unties the two.
    pub lease: u64,
    /// What the writer notes beside the value. Replaced as a whole.
    pub metadata: Metadata,
}

impl WriteRequest {
    /// A write of `value` whatever there is.
    pub fn new(table: TablePath, key: impl Into<String>, value: impl Into<bytes::Bytes>) -> Self {
        WriteRequest { table, key: key.into(), value: Value(value.into()), ..WriteRequest::default() }
    }

    /// The same, only if there is no such record.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.if_version = Some(0);
        self
    }
}

/// The answer of `write`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WriteReply {
    /// The version of the record now.
    pub version: u64,
}

/// Endpoint `delete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct DeleteRequest {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// Only if the record has this version.
    pub if_version: Option<u64>,
}

/// The answer of `delete`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeleteReply {
    /// Whether there was a record.
    pub deleted: bool,
}

/// Endpoint `delete-range`: removes the first records of a range, as one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct DeleteRangeRequest {
    /// Which records.
    pub range: RecordRange,
    /// At most this many; 0 for as many as one entry may remove: 1024, and fewer if they are large.
    pub limit: u32,
}

/// The answer of `delete-range`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeleteRangeReply {
    /// How many were removed.
    pub deleted: u32,
    /// Whether there are more in the range: ask again for them.
    pub more: bool,
    /// The revision that removed them.
    pub revision: u64,
}

/// Endpoint `read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ReadRequest {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// The record as it was at this revision.
    pub at: Option<u64>,
    /// Answer from this node's replica as it is.
    pub stale: bool,
}

/// The answer of `read`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadReply {
    /// The record, if there is one.
    pub record: Option<Record>,
    /// The answer shows everything up to this revision, and maybe some later: whoever watches from behind it misses
    /// nothing.
    pub revision: u64,
    /// How long ago this replica is known to have been current, for stale reads; none if that can't be said.
    pub age_ms: Option<u64>,
}

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum ListOrder {
    /// By key, from the first.
    #[default]
    Ascending,
    /// By key, from the last.
    Descending,
}

/// Endpoint `list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ListRequest {
    /// Which records.
    pub range: RecordRange,
    /// Only keys that end so.
    pub suffix: String,
    /// Only keys behind this one, in the order of the list; empty for all.
    pub after: String,
    /// At most this many; 0 means [`LIST_LIMIT_MAX`].
    pub limit: u32,
    /// Leaves out this many first.
    pub offset: u64,
    /// The order.
    pub order: ListOrder,
    /// Without values and metadata.
    pub keys_only: bool,
    /// Without records: only how many there are, beyond any limit.
    pub count_only: bool,
    /// The next page of a list, as its reply said. The rest of the request must be as it was. All pages show the
    /// records as of the moment of the first.
    pub page: Vec<u8>,
    /// The records as they were at this revision.
    pub at: Option<u64>,
    /// Answer from this node's replica as it is.
    pub stale: bool,
}

/// The answer of `list`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ListReply {
    /// The records, by key.
    pub records: Vec<Record>,
    /// Whether there are more after the last.
    pub more: bool,
    /// How many records are in this page, or in all if only they were counted.
    pub count: u64,
    /// Asks for the next page; empty if there is none.
    pub page: Vec<u8>,
    /// The list shows the records as of this revision: whoever watches from behind it misses nothing.
    pub revision: u64,
    /// As for a read.
    pub age_ms: Option<u64>,
}

/// Endpoints `databases` and `tables`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NamesRequest {
    /// The namespace.
    pub namespace: micro_sdk::wire::Namespace,
    /// The database whose tables are asked for; none asks for databases.
    pub database: Option<micro_sdk::wire::ServiceName>,
    /// Only names behind this one; empty for all.
    pub after: String,
    /// Those that held records at this revision.
    pub at: Option<u64>,
    /// Answer from this node's replica as it is.
    pub stale: bool,
}

/// The answer of `databases` and `tables`: those that hold a record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NamesReply {
    /// The names, in order.
    pub names: Vec<String>,
    /// Whether there are more after the last.
    pub more: bool,
    /// Of a stale reading: how many milliseconds ago this replica was known to be current, if that can be said.
    pub age_ms: Option<u64>,
}

/// Endpoint `grant`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GrantRequest {
    /// How long the lease lives without being kept alive.
    pub ttl_ms: u64,
}

/// The answer of `grant` and `keep-alive`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaseReply {
    /// The lease.
    pub lease: u64,
    /// How long it lives from now on.
    pub ttl_ms: u64,
}

/// Endpoints `keep-alive` and `revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaseRequest {
    /// Which one.
    pub lease: u64,
}

/// The answer of `revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokeReply {
    /// How many records ended with it.
    pub deleted: u32,
    /// Whether there were too many for one revision: the others follow at once.
    pub more: bool,
}

/// Endpoint `leases`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LeasesRequest {
    /// Only those made after this one.
    pub after: u64,
    /// Answer from this node's replica as it is.
    pub stale: bool,
}

/// A lease that lives.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaseItem {
    /// Its id.
    pub lease: u64,
    /// How long it lives without being kept alive; 0 once it is ending.
    pub ttl_ms: u64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// The answer of `leases`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeasesReply {
    /// The leases, by age.
    pub leases: Vec<LeaseItem>,
    /// Whether there are more after the last.
    pub more: bool,
    /// Of a stale reading: how many milliseconds ago this replica was known to be current, if that can be said.
    pub age_ms: Option<u64>,
}

/// Endpoint `compact`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CompactRequest {
    /// The last revision whose changes are given up; what was there at it can still be read.
    pub revision: u64,
}

/// The answer of `compact`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CompactReply {
    /// History begins after this revision.
    pub compacted: u64,
}

/// Endpoint `retain`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RetainRequest {
    /// How many revisions to keep.
    pub revisions: u64,
    /// How many bytes of history to keep.
    pub bytes: u64,
}

/// The answer of `history`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HistoryReply {
    /// The last revision that changed anything.
    pub revision: u64,
    /// History begins after this revision.
    pub compacted: u64,
    /// The bytes that it takes.
    pub bytes: u64,
    /// How many revisions are kept.
    pub revisions_max: u64,
    /// How many bytes of history are kept.
    pub bytes_max: u64,
}
