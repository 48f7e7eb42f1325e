//! The log of a node as the mesh asks for it: who keeps it reads it through.

use bincode::{Decode, Encode};
use futures::future::BoxFuture;
use micro_sdk::wire::Fault;

/// The log of this node.
pub trait AuditLog: Send + Sync + 'static {
    /// Reads it through. `wanted` is the hash of an entry that has to be there.
    ///
    /// Fails if it can't be read, or there is none; what is wrong with it is no failure.
    fn verify(&self, wanted: Option<String>) -> BoxFuture<'static, Result<AuditReading, Fault>>;
}

/// What came of reading a log through.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuditReading {
    /// How many files there are.
    pub files: u64,
    /// How many entries there are.
    pub entries: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The hash of the last.
    pub head: String,
    /// What is wrong, in the order of the files: the file, the line from 1 on, and what.
    pub breaks: Vec<(String, u64, String)>,
}
