//! Conversations: calls whose request and answer go on, each on a QUIC stream of its own.
//!
//! Both sides speak in [`Piece`]s. Neither sends more bytes than the other has given room for, and whatever comes in is
//! taken off QUIC at once: a handler or a caller that reads slowly fills a window of its conversation, and never those
//! of the link, which carries consensus too.

mod heard;
mod piece;
mod pump;
mod saying;

pub use heard::Heard;
pub use piece::{DATA_BYTES_MAX, Metadata, Piece};
pub(crate) use pump::{answer, ask};

use futures::stream::BoxStream;
use std::time::Duration;

/// What a side says: its pieces in order, the last an end or a fault. Asked for one at a time, once there is room.
pub type Said = BoxStream<'static, Piece>;

/// How many bytes of one direction may be on their way or wait to be read: 2 MB/s over a path of 130 ms. All
/// conversations of a node can fill their windows, and it takes half a gigabyte.
pub(crate) const WINDOW: usize = 256 << 10;
/// What a piece takes of the window beside its bytes: many small ones must not be free.
pub(crate) const PIECE_COST: usize = 64;
/// Conversations that peers have begun, worked at a time. Each holds two windows and a task.
pub(crate) const CONVERSATIONS_MAX: usize = 1024;
/// How long the head of a conversation may take to come in: it is sent at once.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
