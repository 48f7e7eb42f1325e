//! How a blob travels from one node to another: one lane each, on a connection of its own.
//!
//! ```text
//! who wants it:  ask ──────────────────────────►
//! who has it:        ◄──── answer, then pieces of at most 256 KiB, then the end
//! ```
//!
//! Each chunk is compared with its hash before it leaves. What can't go on is given up by a reset, so that a short blob
//! is never taken for a whole one.

use super::{
    limits::{IDLE, OPENING, PIECE_BYTES},
    platform::Shared,
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_mesh::{FrameReceiver, FrameSender, Lane};
use micro_sdk::wire::{BlobHash, Code, Codec, Fault, NodeId};
use tokio::time::timeout;

/// The longest ask or answer, and the longest piece.
const FRAME_BYTES_MAX: usize = PIECE_BYTES + 64;
/// The longest ask or answer.
const WORD_BYTES_MAX: usize = 256;

/// What a node wants of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Ask {
    hash: BlobHash,
    from: u64,
    to: u64,
}

/// Whether it gets it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Answer {
    /// The pieces follow.
    Here,
    /// It is not there, or was found to be damaged.
    Missing,
    /// Too many are being served.
    Busy,
}

/// Pieces of a blob on their way from another node.
pub(super) struct Incoming {
    receiver: FrameReceiver,
    /// Kept, since dropping it tells the other node to stop.
    _sender: FrameSender,
    node: NodeId,
}

impl Shared {
    /// Asks `node` for the bytes of a blob in a range.
    pub async fn ask(&self, node: NodeId, hash: BlobHash, from: u64, to: u64) -> Result<Incoming, Fault> {
        let (mut sender, receiver) = self.mesh.open(node, Lane::Blob, OPENING).await?;
        let mut receiver = receiver.with_limit(FRAME_BYTES_MAX);
        let ask = Codec::encode(&Ask { hash, from, to });
        let exchange = async {
            sender.send(&ask).await?;
            receiver.next().await
        };
        let frame = timeout(IDLE, exchange).await.map_err(|_| late(node))??;
        let garbled =
            || Fault::new(Code::Unreachable, format!("node {node} gave no answer about blob {hash}"));
        let answer =
            Codec::decode::<Answer, WORD_BYTES_MAX>(&frame.ok_or_else(garbled)?).map_err(|_| garbled())?;
        match answer {
            Answer::Here => Ok(Incoming { receiver, _sender: sender, node }),
            Answer::Missing => {
                Err(Fault::new(Code::NotFound, format!("node {node} does not have blob {hash}")))
            }
            Answer::Busy => {
                Err(Fault::new(Code::Unavailable, format!("node {node} serves many blobs already")))
            }
        }
    }

    /// Serves one lane.
    pub async fn serve(&self, mut sender: FrameSender, receiver: FrameReceiver) {
        let served = self.hand_out(&mut sender, receiver.with_limit(WORD_BYTES_MAX)).await;
        if let Err(fault) = served {
            // Dropped, the sender resets the stream.
            tracing::debug!(%fault, "a blob was not handed out to its end");
        }
    }

    async fn hand_out(&self, sender: &mut FrameSender, mut receiver: FrameReceiver) -> Result<(), Fault> {
        let frame = timeout(IDLE, receiver.next()).await.map_err(|_| slow())??;
        let garbled = || Fault::new(Code::Usage, "what was asked of a blob is garbled");
        let Ask { hash, from, to } =
            Codec::decode::<Ask, WORD_BYTES_MAX>(&frame.ok_or_else(garbled)?).map_err(|_| garbled())?;
        let seat = self.served.try_acquire();
        let reader = match &seat {
            Ok(_) => self.shelf.open(hash).await?.filter(|reader| from <= to && to <= reader.bytes()),
            Err(_) => None,
        };
        let answer = match (&seat, &reader) {
            (Err(_), _) => Answer::Busy,
            (_, None) => Answer::Missing,
            (_, Some(_)) => Answer::Here,
        };
        say(sender, &Codec::encode(&answer)).await?;
        if let Some(reader) = reader {
            let mut at = from;
            while at < to {
                let damaged = || Fault::new(Code::Failed, format!("blob {hash} is damaged here"));
                let bytes = self.shelf.read(hash, &reader, at, to).await?.ok_or_else(damaged)?;
                at += bytes.len() as u64;
                for piece in bytes.chunks(PIECE_BYTES) {
                    say(sender, piece).await?;
                }
            }
        }
        sender.finish();
        // Until the other node has it all, or hangs up: dropping the receiver would look like giving up.
        let _ = timeout(IDLE, receiver.next()).await;
        Ok(())
    }
}

impl Incoming {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let next = timeout(IDLE, self.receiver.next()).await.map_err(|_| late(self.node))?;
        Ok(next?)
    }
}

async fn say(sender: &mut FrameSender, frame: &[u8]) -> Result<(), Fault> {
    Ok(timeout(IDLE, sender.send(frame)).await.map_err(|_| slow())??)
}

fn late(node: NodeId) -> Fault {
    Fault::new(Code::Timeout, format!("node {node} sent nothing of a blob for {} s", IDLE.as_secs()))
}

fn slow() -> Fault {
    Fault::new(Code::Timeout, format!("the other node took nothing of a blob for {} s", IDLE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_frozen() {
        let ask = Codec::encode(&Ask { hash: BlobHash([7; 32]), from: 1, to: 2 });
        assert_eq!(ask, [b"\x01\0".as_slice(), &[7; 32], b"\x01\x02"].concat());
        let answers = [Answer::Here, Answer::Missing, Answer::Busy].map(|answer| Codec::encode(&answer));
        assert_eq!(answers, [b"\x01\0\0", b"\x01\0\x01", b"\x01\0\x02"]);
    }
}
