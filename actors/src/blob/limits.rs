//! What is taken in, and how long is waited. Each refusal names its limit.

use std::time::Duration;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// The longest content type, in bytes. The longest registered ones have about half of that.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// The copies of a blob for which nobody asked for another number: two nodes may be lost.
pub const COPIES_DEFAULT: u32 = 3;
/// The most copies: as many as voters may be.
pub const COPIES_MAX: u32 = 9;
/// The most blobs of one page.
pub(crate) const LIST_LIMIT_MAX: u32 = 1000;
/// What travels at once, at the doors and between nodes: what fits the buffers on the way.
pub const PIECE_BYTES: usize = 256 << 10;

/// Blobs that are taken in from callers at once; each holds two open files and one piece.
pub(crate) const UPLOADS_MAX: usize = 64;
/// Blobs that are handed to other nodes at once; each holds two open files and one chunk.
pub(crate) const SERVED_MAX: usize = 64;
/// Blobs that are fetched from other nodes at once. The others wait: there is a disk and a link to share.
pub(crate) const FETCHES_MAX: usize = 8;

/// The room that blobs leave: more than what a node needs to take entries of the log, so that blobs never are what
/// makes it stop.
pub(crate) const ROOM_LEFT_BYTES: u64 = 256 << 20;
/// After how many bytes of one blob the room is looked at again.
pub(crate) const ROOM_LOOK_BYTES: u64 = 8 << 20;

/// How long either side of a stream between nodes may pause: it reads or writes one chunk meanwhile.
pub(crate) const IDLE: Duration = Duration::from_secs(20);
/// How long a lane may take to open, with the handshake of a connection of its own.
pub(crate) const OPENING: Duration = Duration::from_secs(5);
/// How long making a manifest may take once there are copies.
pub(crate) const COMMIT: Duration = Duration::from_secs(15);
/// How long a put waits for the rest of the copies once it has a majority.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Copies that were made longer ago are asked for once more before the manifest names them.
pub(crate) const FRESH: Duration = Duration::from_secs(20);
/// How long what no manifest names is kept: beyond [`FRESH`], [`PATIENCE`] and [`COMMIT`], so that no upload loses what
/// it is about to name.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// The same for a blob of which nobody knows whether its manifest was made: it may yet be, once a quorum is back.
pub(crate) const GRACE_UNKNOWN: Duration = Duration::from_secs(3600);
/// How long a blob that a record has named is kept once none does: a backup whose state still names it has been told to
/// all by then.
pub(crate) const UNNAMED_GRACE: Duration = Duration::from_secs(10);
/// How long a node may be down before what it held is copied elsewhere: a restart is shorter.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(30);
/// How long the nodes that are asked for a copy which no record names have to answer: they look at one file's name.
pub(crate) const OFFERS: Duration = Duration::from_secs(3);
/// How long a put with an idempotency key is remembered: whoever repeats one does so within minutes, also if it is
/// large.
pub(crate) const ANSWERED_MS: u64 = 3_600_000;

/// The slowest pace at which a copy may be made.
const PACE_BYTES_PER_S: u64 = 256 << 10;

/// How long a copy of so many bytes may take.
pub(crate) fn fetch_time(bytes: u64) -> Duration {
    let day = 24 * 3600;
    Duration::from_secs((30 + bytes / PACE_BYTES_PER_S).min(day))
}
