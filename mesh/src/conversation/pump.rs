//! Carries the pieces of one conversation between its two ends and QUIC.
//!
//! ```text
//!   said ──(as the window allows)──► frames ══ QUIC ══► frames ──(at once)──► heard
//!          ◄── credit, as the other side reads ──
//! ```

use super::{
    CONVERSATIONS_MAX, HEAD_TIMEOUT, Heard, Piece, Said, WINDOW,
    heard::{Ear, hearing},
    piece::{FRAME_BYTES_MAX, Frame},
};
use crate::{
    FrameError, FrameReceiver, FrameSender,
    call::{FAREWELL, frame_head, read_head},
    lane::CALL_PRIORITY,
    link::{Link, Outgoing, StreamGuard, describe},
    mesh::Inner,
    prelude::Kind,
};
use bytes::Bytes;
use futures::StreamExt;
use micro_sdk::wire::{Code, Fault, Head, NodeId};
use quinn::RecvStream;
use std::sync::Arc;
use tokio::time::timeout;

/// Which end of a conversation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Asks,
    Answers,
}

/// Begins a conversation over `link`.
///
/// # Errors
/// [`Code::Usage`] if the head is too long, [`Code::Unreachable`] if the link is gone. Nothing was done.
pub(crate) async fn ask(link: &Arc<Link>, head: &Head, said: Said) -> Result<Heard, Fault> {
    let lost = |reason: String| {
        Fault::new(Code::Unreachable, format!("the link to node {} is gone: {reason}", link.peer))
    };
    let request = frame_head(Kind::Conversation, head)?;
    let opened = link.open(CALL_PRIORITY).await;
    let (mut send, recv, guard) = opened.map_err(|error| lost(describe(&error)))?;
    send.write(&mut [request]).await.map_err(|error| lost(error.to_string()))?;
    let (ear, heard) = hearing();
    let sender = FrameSender::new(send, guard.clone());
    let receiver = FrameReceiver::new(recv, guard).with_limit(FRAME_BYTES_MAX);
    tokio::spawn(Pump { side: Side::Asks, sender, receiver, ear, credit: WINDOW, next: None }.run(said));
    Ok(heard)
}

/// Answers a conversation that a peer has begun.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    from: NodeId,
    send: Outgoing,
    mut recv: RecvStream,
    guard: StreamGuard,
) {
    let begun = async {
        let permit = inner.conversations.clone().try_acquire_owned().map_err(|_| {
            let message = format!("node {} has {CONVERSATIONS_MAX} streams under way", inner.node);
            Fault::new(Code::Unavailable, message).help("try again in a moment")
        })?;
        let late = |_| Fault::new(Code::Timeout, "the head of the conversation did not come in");
        let head = timeout(HEAD_TIMEOUT, read_head(&mut recv)).await.map_err(late)??;
        let handler = inner.handler().await;
        let handler = handler.ok_or_else(|| Fault::new(Code::Unavailable, "the node is shutting down"))?;
        Ok((permit, head, handler))
    };
    let begun = begun.await;
    let delivered = send.stopped();
    let (ear, heard) = hearing();
    let (_permit, said) = match begun {
        Ok((permit, head, handler)) => (Some(permit), handler.converse(from, head, heard)),
        Err(fault) => (None, futures::stream::once(async { Piece::Fault(fault) }).boxed()),
    };
    let sender = FrameSender::new(send, guard.clone());
    let receiver = FrameReceiver::new(recv, guard).with_limit(FRAME_BYTES_MAX);
    let pump = Pump { side: Side::Answers, sender, receiver, ear, credit: WINDOW, next: None };
    tokio::select! {
        biased;
        () = inner.closed() => {}
        () = pump.run(said) => {}
    }
    if inner.is_draining() {
        // The connection is closed next, and with it goes what has not arrived.
        let _ = timeout(FAREWELL, delivered).await;
    }
}

/// Carries one conversation until it is over. Dropped, it resets both halves of the stream.
struct Pump {
    side: Side,
    sender: FrameSender,
    receiver: FrameReceiver,
    ear: Ear,
    /// What may still be sent before the other side has read some of it.
    credit: usize,
    /// What is said next, once there is credit for it.
    next: Option<Piece>,
}

/// What woke the pump.
enum Event {
    Deaf,
    Came(Result<Option<Bytes>, FrameError>),
    Room(u32),
    Said(Option<Piece>),
}

impl Pump {
    async fn run(mut self, mut said: Said) {
        let (mut saying, mut hearing) = (true, true);
        loop {
            let event = tokio::select! {
                biased;
                () = self.ear.deaf(), if hearing => Event::Deaf,
                frame = self.receiver.next() => Event::Came(frame),
                room = self.ear.room(), if hearing => Event::Room(room),
                piece = said.next(), if saying && self.next.is_none() => Event::Said(piece),
            };
            match event {
                // The caller has gone away: so does the work, as the peer learns by the reset.
                Event::Deaf if self.side == Side::Asks => return,
                Event::Deaf => hearing = false,
                Event::Came(frame) => {
                    if self.take(frame, &mut hearing).is_break() {
                        return;
                    }
                }
                Event::Room(room) => {
                    if self.sender.send(&Frame::Credit(room).encode()).await.is_err() {
                        saying = false;
                    }
                }
                Event::Said(piece) => self.next = Some(piece.unwrap_or_else(unended)),
            }
            if !saying {
                self.next = None;
            } else if let Some(piece) = self.next.take_if(|piece| piece.cost() <= self.credit) {
                self.credit -= piece.cost();
                let last = piece.is_last();
                let sent = self.sender.send(&Frame::Piece(piece).encode()).await.is_ok();
                if self.side == Side::Answers && (last || !sent) {
                    self.sender.finish();
                    return;
                }
                // Credit still goes this way. A peer that stops this half has answered, or says why it does not.
                saying = sent && !last;
            }
        }
    }

    /// Takes what came from the other side. Breaks when the conversation is over.
    fn take(
        &mut self,
        frame: Result<Option<Bytes>, FrameError>,
        hearing: &mut bool,
    ) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        let frame = match frame {
            Ok(Some(frame)) => Frame::decode(&frame),
            Ok(None) => Err(broken("the other side ended it early")),
            Err(error) => Err(broken(&error.to_string())),
        };
        let put = match frame {
            Ok(Frame::Credit(bytes)) => {
                self.credit = self.credit.saturating_add(bytes as usize).min(WINDOW);
                return Continue(());
            }
            Ok(Frame::Piece(piece)) => {
                let last = piece.is_last();
                self.ear.put(Ok(piece)).map(|()| last)
            }
            Err(fault) => Err(fault),
        };
        match put {
            Ok(last) => {
                *hearing &= !last;
                if last && self.side == Side::Asks { Break(()) } else { Continue(()) }
            }
            Err(fault) => {
                let _full = self.ear.put(Err(fault));
                Break(())
            }
        }
    }
}

/// A side that stops without an end would leave the other one waiting.
fn unended() -> Piece {
    Piece::Fault(Fault::new(Code::Internal, "the answer has no end").effect_unknown())
}

fn broken(why: &str) -> Fault {
    Fault::new(Code::Unreachable, format!("the stream broke off: {why}")).effect_unknown()
}
