//! The consistent store: records in tables, kept by the Raft group.
//!
//! A write is a command in the log and acknowledged once a quorum has it on disk. A read is answered from this node's
//! replica behind a barrier that makes it linearizable, or as it is when the caller asks for `stale`.

mod command;
mod machine;
mod platform;
mod record;
mod request;

pub use command::StoreCommand;
pub use machine::StoreMachine;
pub use platform::{STORE, StoreService};
pub use record::{Record, TablePath, Value};
pub use request::{
    DeleteReply, DeleteRequest, LIST_LIMIT_MAX, ListReply, ListRequest, ReadReply, ReadRequest, WriteReply,
    WriteRequest,
};
