//! Frames on a lane: a length (u32, little-endian), then that many bytes.

use crate::link::{Outgoing, StreamGuard, describe, stream_code};
use bytes::{Buf, Bytes, BytesMut};
use micro_sdk::wire::{Code, Fault};

/// The longest frame taken by default: twice the largest proposal, so that a full batch always fits.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// How many pieces are taken from QUIC at once. A piece is about a packet, so this is about 90 KiB.
const PIECES: usize = 64;
/// How much is reserved on the word of a length alone: a frame of a blob, which is not moved then while it grows. It is
/// memory only where bytes come in.
const RESERVE_MAX: usize = 1 << 20;
/// Of a longer frame there is room for so many times what has come of it.
const RESERVE_FACTOR: usize = 4;
const LENGTH_BYTES: usize = 4;

/// Why frames can't be sent or received any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame longer than is taken. Nothing of it was sent, or it was not read.
    #[error("a frame of {bytes} bytes is more than the {limit} that are taken")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The peer gave the stream up.
    #[error("the peer has given up the stream (code {code})")]
    Reset {
        /// The peer's code.
        code: u64,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Cut,
    /// An earlier send was dropped half-way, or the stream was finished: what follows could not be told
    /// apart.
    #[error("the stream can't be sent on any more: it was finished, or a send was cancelled half-way")]
    Torn,
    /// The link is gone.
    #[error("the link is gone: {0}")]
    Lost(String),
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Fault {
        match &error {
            FrameError::TooLarge { .. } => Fault::new(Code::Usage, error.to_string()),
            _ => Fault::new(Code::Unreachable, error.to_string()).effect_unknown(),
        }
    }
}

/// Appends one frame to `buffer`; `write` appends its content. Several frames in one buffer make one write.
///
/// # Panics
/// If the content is 4 GiB or more.
pub fn frame_into(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; LENGTH_BYTES]);
    write(buffer);
    let length = buffer.len() - start - LENGTH_BYTES;
    let length = u32::try_from(length).expect("frames are far below 4 GiB");
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// The sending end of a lane. Dropped without [`FrameSender::finish`], it resets the stream, so that the peer
/// can tell an end from a failure.
#[derive(Debug)]
pub struct FrameSender {
    stream: Outgoing,
    torn: bool,
    guard: StreamGuard,
}

impl FrameSender {
    pub(crate) fn new(stream: Outgoing, guard: StreamGuard) -> Self {
        FrameSender { stream, torn: false, guard }
    }

    /// Whether another link to the peer has taken the place of the one that this is on, which ends soon: since a
    /// certificate was renewed, or both had dialled. Whoever opened a lane then opens another, and finishes this one.
    pub fn is_superseded(&self) -> bool {
        self.guard.is_superseded()
    }

    /// Sends one frame. Returns once QUIC has taken it, which is when the peer's window has room for it.
    ///
    /// # Errors
    /// If it is too long, or the stream is over. Dropping the future half-way tears the stream.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { bytes: frame.len(), limit: FRAME_BYTES_MAX });
        }
        let mut buffer = Vec::with_capacity(LENGTH_BYTES + frame.len());
        frame_into(&mut buffer, |buffer| buffer.extend_from_slice(frame));
        self.send_all(Bytes::from(buffer)).await
    }

    /// Sends frames that [`frame_into`] has put into one buffer, in one write.
    ///
    /// # Errors
    /// If the stream is over. Dropping the future half-way tears the stream.
    pub async fn send_all(&mut self, frames: Bytes) -> Result<(), FrameError> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(FrameError::Torn);
        }
        self.stream.write(&mut [frames]).await.map_err(|error| match error {
            quinn::WriteError::Stopped(code) => FrameError::Reset { code: code.into_inner() },
            quinn::WriteError::ConnectionLost(error) => FrameError::Lost(describe(&error)),
            quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => FrameError::Torn,
        })?;
        self.torn = false;
        Ok(())
    }

    /// Ends the stream well: the peer gets all that was sent, then the end. After a torn send it resets
    /// instead.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.torn, true) {
            self.stream.reset(stream_code::CANCELLED);
        } else {
            self.stream.finish();
        }
    }

    /// Gives the stream up at once: what was not yet delivered is not going to be.
    pub fn reset(&mut self) {
        self.torn = true;
        self.stream.reset(stream_code::CANCELLED);
    }
}

/// The receiving end of a lane. Dropping it tells the peer to stop.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: quinn::RecvStream,
    limit: usize,
    buffer: BytesMut,
    ended: bool,
    _guard: StreamGuard,
}

impl FrameReceiver {
    pub(crate) fn new(stream: quinn::RecvStream, guard: StreamGuard) -> Self {
        FrameReceiver { stream, limit: FRAME_BYTES_MAX, buffer: BytesMut::new(), ended: false, _guard: guard }
    }

    /// Takes frames up to `limit` bytes only.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The next frame, or `None` at the stream's good end. Safe to drop half-way: no byte is lost.
    ///
    /// # Errors
    /// If a frame is too long (the stream is then stopped), or the stream failed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.ended {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Cut) };
            }
            self.fill().await?;
        }
    }

    /// A whole frame that has been received already, without waiting. A frame that is too long is left to
    /// [`FrameReceiver::next`].
    pub fn ready(&mut self) -> Option<Bytes> {
        self.take().ok().flatten()
    }

    /// Cuts one whole frame off the buffer.
    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.limit {
            let _ = self.stream.stop(stream_code::TOO_LARGE);
            return Err(FrameError::TooLarge { bytes: length, limit: self.limit });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            let missing = LENGTH_BYTES + length - self.buffer.len();
            self.buffer.reserve(missing.min(RESERVE_MAX.max(RESERVE_FACTOR * self.buffer.len())));
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Waits for more bytes.
    async fn fill(&mut self) -> Result<(), FrameError> {
        let mut pieces = [const { Bytes::new() }; PIECES];
        let taken = self.stream.read_chunks(&mut pieces).await.map_err(|error| match error {
            quinn::ReadError::Reset(code) => FrameError::Reset { code: code.into_inner() },
            quinn::ReadError::ConnectionLost(error) => FrameError::Lost(describe(&error)),
            other => FrameError::Lost(other.to_string()),
        })?;
        match taken {
            Some(count) => {
                for piece in &pieces[..count] {
                    self.buffer.extend_from_slice(piece);
                }
            }
            None => self.ended = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let mut buffer = vec![9];
        frame_into(&mut buffer, |buffer| buffer.extend_from_slice(b"ab"));
        frame_into(&mut buffer, |_| ());
        assert_eq!(buffer, [9, 2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0]);
    }
}
