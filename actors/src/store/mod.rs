//! The consistent store: records in tables, kept by the Raft group.
//!
//! A write is a command in the log and acknowledged once a quorum has it on disk. A read is answered from this node's
//! replica behind a barrier that makes it linearizable, or as it is when the caller asks for `stale`. Each entry of the
//! log that changes records is a revision; the last ones are kept, for readers of the past and for those who watch.

mod bells;
#[cfg(test)]
pub(crate) mod bench;
mod branches;
mod command;
mod database;
mod edit;
mod expirer;
mod glimpse;
mod history;
mod key;
mod lease;
mod ledger;
mod machine;
mod outcomes;
mod past;
mod platform;
mod reading;
mod record;
mod request;
mod row;
mod standalone;
#[cfg(test)]
mod tests;
mod transaction;
mod view;
mod walk;
mod watch;
mod watchers;
mod writing;

pub use branches::{TRANSACTION_OPS_MAX, TRANSACTION_OPS_USUAL};
pub use command::{Comparand, Relation};
pub use edit::ChangeKind;
pub use expirer::Expirer;
pub(crate) use glimpse::Glimpse;
pub use machine::StoreMachine;
pub use platform::{STORE, StoreService};
pub use record::{METADATA_BYTES_MAX, Metadata, Record, RecordRange, TTL_MS_MAX, TablePath, Value};
pub use request::{
    CompactReply, CompactRequest, DeleteRangeReply, DeleteRangeRequest, DeleteReply, DeleteRequest,
    GrantRequest, HistoryReply, LIST_LIMIT_MAX, LeaseItem, LeaseReply, LeaseRequest, LeasesReply,
    LeasesRequest, ListOrder, ListReply, ListRequest, NamesReply, NamesRequest, ReadReply, ReadRequest,
    RetainRequest, RevokeReply, WriteReply, WriteRequest,
};
pub use standalone::records;
pub(crate) use standalone::rewrite;
pub use transaction::{RecordCompare, RecordOp, RecordResult, TransactReply, TransactRequest};
pub use watch::{Watch, WatchChange, WatchEvent, WatchRequest};
pub(crate) use watchers::Watchers;
