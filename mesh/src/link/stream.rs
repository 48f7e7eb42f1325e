//! Streams with the manners that QUIC's own types lack.

use super::{Link, describe, stream_code};
use bytes::{Bytes, BytesMut};
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use std::sync::{Arc, atomic::Ordering};

/// The sending half of a stream. Dropped before it is finished, it resets: quinn would finish it instead, and
/// half a request would look like a whole one.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: SendStream,
    ended: bool,
}

impl Outgoing {
    pub(crate) fn new(stream: SendStream) -> Self {
        Outgoing { stream, ended: false }
    }

    /// Writes all of `pieces`.
    pub(crate) async fn write(&mut self, pieces: &mut [Bytes]) -> Result<(), WriteError> {
        self.stream.write_all_chunks(pieces).await
    }

    /// Ends the stream well.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
        let _ = self.stream.finish(); // Stopped or lost already: nothing to finish.
    }

    /// Gives the stream up.
    pub(crate) fn reset(&mut self, code: VarInt) {
        self.ended = true;
        let _ = self.stream.reset(code); // Ended already: nothing to reset.
    }

    /// Resolves when the peer wants no more, has got all, or is gone.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.stream.stopped();
        async move {
            let _ = stopped.await;
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.ended {
            self.reset(stream_code::CANCELLED);
        }
    }
}

/// Counts a stream as long as either half of it is held.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    link: Arc<Link>,
    lane: bool,
}

impl StreamGuard {
    pub(crate) fn new(link: &Arc<Link>) -> Self {
        link.streams.fetch_add(1, Ordering::Relaxed);
        link.touch();
        StreamGuard { link: link.clone(), lane: false }
    }

    /// Counts it as a lane from now on.
    pub(crate) fn of_lane(mut self) -> Self {
        if !self.lane {
            self.lane = true;
            self.link.lanes.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    /// Whether another link to the peer is used for what is begun now.
    pub(crate) fn is_superseded(&self) -> bool {
        self.link.is_superseded()
    }
}

impl Clone for StreamGuard {
    fn clone(&self) -> Self {
        let guard = StreamGuard::new(&self.link);
        if self.lane { guard.of_lane() } else { guard }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if self.lane {
            self.link.lanes.fetch_sub(1, Ordering::Relaxed);
        }
        if self.link.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.link.drained.notify_one();
        }
    }
}

/// Why a stream could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GatherError {
    #[error("more than {0} bytes were sent")]
    TooLarge(usize),
    #[error("the stream was given up (code {0})")]
    Reset(u64),
    #[error("{0}")]
    Lost(String),
}

/// How many pieces are taken from QUIC at once.
const PIECES: usize = 32;

/// Reads `stream` to its end. What came in one piece is not copied.
pub(crate) async fn gather(stream: &mut RecvStream, limit: usize) -> Result<Bytes, GatherError> {
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    loop {
        let mut pieces = [const { Bytes::new() }; PIECES];
        let Some(count) = stream.read_chunks(&mut pieces).await.map_err(gather_error)? else {
            return Ok(if whole.is_empty() { first } else { whole.freeze() });
        };
        for piece in &mut pieces[..count] {
            if first.len().max(whole.len()) + piece.len() > limit {
                let _ = stream.stop(stream_code::TOO_LARGE);
                return Err(GatherError::TooLarge(limit));
            }
            if whole.is_empty() && first.is_empty() {
                first = std::mem::take(piece);
            } else {
                if whole.is_empty() {
                    whole.extend_from_slice(&first);
                }
                whole.extend_from_slice(piece);
            }
        }
    }
}

fn gather_error(error: ReadError) -> GatherError {
    match error {
        ReadError::Reset(code) => GatherError::Reset(code.into_inner()),
        ReadError::ConnectionLost(error) => GatherError::Lost(describe(&error)),
        other => GatherError::Lost(other.to_string()),
    }
}
