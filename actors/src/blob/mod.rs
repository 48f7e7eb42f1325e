//! Blobs: large bytes by name, on the disks of a few nodes each.
//!
//! ```text
//!   put ──► this node's disk, hashed on the way ──► others fetch it from here ──► a majority of the copies ──►
//! manifest   get ──► manifest ──► the copy here, or a stream from a node that has one; the next one if it breaks
//! ```
//!
//! The bytes are files under their hash ([`BlobStore`](micro_storage::BlobStore)); what they are called, and who has
//! them, are records of the store in a database that no request can name. So names, conditions and history are the
//! store's, and bytes never pass through Raft.
//!
//! Copies travel one way only: whoever wants one fetches it. So a put, a repair and a copy made up after damage are the
//! same work. Each node's keeper fetches what the records say it has and it has not, and removes what no record says it
//! has; the leader's finds other nodes for copies that were lost. Where no copy that is named can be had, all nodes are
//! asked: one that no record names is as good. What nobody reads is read all the same, slowly, to find what has rotted.

mod archive;
mod choice;
mod download;
mod fetch;
mod gap;
mod handover;
mod health;
mod keeper;
mod limits;
mod mending;
mod name;
mod offers;
mod platform;
mod reading;
mod record;
mod request;
mod retention;
mod scrub;
mod seats;
mod shelf;
mod transfer;
mod upload;
mod writing;

pub use archive::Archive;
pub use download::Download;
pub use handover::{HandOver, HandedOver};
pub(crate) use health::{Health, Missing};
pub(crate) use keeper::Keeper;
pub use limits::{CONTENT_TYPE_BYTES_MAX, COPIES_DEFAULT, COPIES_MAX, NAME_BYTES_MAX, PIECE_BYTES};
pub use name::BlobName;
pub(crate) use platform::BlobParts;
pub use platform::{BLOB, BlobService};
pub use reading::blobs_of;
pub use request::{
    BlobView, DeleteBlobRequest, GetBlobRequest, ListBlobsReply, ListBlobsRequest, PutBlobReply,
    PutBlobRequest,
};
pub use scrub::SCRUB_ROUND;
pub(crate) use scrub::Scrub;
pub use upload::Upload;
