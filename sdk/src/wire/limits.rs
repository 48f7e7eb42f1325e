//! The limits of what is taken in. Each refusal names the limit.

/// The longest record key, in bytes: short enough that a key never dominates a log entry.
pub const KEY_BYTES_MAX: usize = 1024;
/// The largest record value: 1 MiB. Larger things go to a file of their own, since every value passes through the log.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The largest proposal: 4 MiB, four values, so that one proposal never blocks the log for long.
pub const PROPOSAL_BYTES_MAX: usize = 4 << 20;
/// The largest body of a call: 16 MiB.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// The largest encoded head: its metadata included, it fits the first flight of a QUIC stream several times over.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest time a caller may ask for: a longer wait belongs to a queue, not to a call.
pub const DEADLINE_MS_MAX: u32 = 10 * 60 * 1000;
/// Stands for no deadline: a call whose request and answer go on may have none. It is 49 days.
pub const DEADLINE_MS_NONE: u32 = u32::MAX;
/// The deadline of callers who set none.
pub const DEADLINE_MS_DEFAULT: u32 = 10_000;
