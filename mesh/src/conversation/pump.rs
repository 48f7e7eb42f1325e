//! Carries the pieces of one conversation between its two ends and QUIC.
//!
//! ```text
//!   said ──(as the window allows)──► frames ══ QUIC ══► frames ──(at once)──► heard
//!          ◄── credit, as the other side reads ──
//! ```

use super::{
    CONVERSATIONS_MAX, HEAD_TIMEOUT, Heard, Piece, Said,
    heard::{Ear, hearing},
    piece::{FRAME_BYTES_MAX, Frame},
    saying::Saying,
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

/// Begins a conversation over `link`. What is there of the request already goes with its head, in one packet if it
/// fits: the other side is woken once for both.
///
/// # Errors
/// [`Code::Usage`] if the head is too long, [`Code::Unreachable`] if the link is gone: nothing was done, unless the
/// fault says that this is not known.
pub(crate) async fn ask(link: &Arc<Link>, head: &Head, said: Said) -> Result<Heard, Fault> {
    let lost = |reason: String| {
        Fault::new(Code::Unreachable, format!("the link to node {} is gone: {reason}", link.peer))
    };
    let request = frame_head(Kind::Conversation, head)?;
    let opened = link.open(CALL_PRIORITY).await;
    let (mut send, recv, guard) = opened.map_err(|error| lost(describe(&error)))?;
    let mut saying = Saying::new(said);
    let mut pieces = [request, saying.frames().unwrap_or_default()];
    if let Err(error) = send.write(&mut pieces).await {
        let fault = lost(error.to_string());
        // QUIC takes the head away as it takes it: from there on the other side may have it.
        return Err(if pieces[0].is_empty() { fault.effect_unknown() } else { fault });
    }
    let (ear, heard) = hearing();
    let sender = FrameSender::new(send, guard.clone());
    let receiver = FrameReceiver::new(recv, guard).with_limit(FRAME_BYTES_MAX);
    tokio::spawn(Pump { side: Side::Asks, sender, receiver, ear, saying }.run());
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
    let pump = Pump { side: Side::Answers, sender, receiver, ear, saying: Saying::new(said) };
    tokio::select! {
        biased;
        () = inner.closed() => {}
        () = pump.run() => {}
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
    saying: Saying,
}

/// What woke the pump.
enum Event {
    Deaf,
    Came(Result<Option<Bytes>, FrameError>),
    Room(u32),
    Said,
}

impl Pump {
    async fn run(mut self) {
        let mut hearing = true;
        loop {
            let event = tokio::select! {
                biased;
                () = self.ear.deaf(), if hearing => Event::Deaf,
                frame = self.receiver.next() => Event::Came(frame),
                room = self.ear.room(), if hearing => Event::Room(room),
                () = self.saying.come(), if self.saying.is_idle() => Event::Said,
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
                        self.saying.stop();
                    }
                }
                Event::Said => {}
            }
            // All that has come is heard before anything is asked for: an answer begins with all there is of a request.
            if self.saying.is_idle() {
                continue;
            }
            if let Some(frames) = self.saying.frames() {
                let sent = self.sender.send_all(frames).await.is_ok();
                if self.side == Side::Answers && (self.saying.is_over() || !sent) {
                    self.sender.finish();
                    return;
                }
                // Credit still goes this way. A peer that stops this half has answered, or says why it does not.
                if !sent {
                    self.saying.stop();
                }
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
                self.saying.give_credit(bytes as usize);
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

fn broken(why: &str) -> Fault {
    Fault::new(Code::Unreachable, format!("the stream broke off: {why}")).effect_unknown()
}
