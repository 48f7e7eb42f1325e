//! What the other side of a conversation says, as it comes in.

use super::{PIECE_COST, Piece, WINDOW};
use futures::Stream;
use micro_sdk::wire::{Code, Fault};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::{Notify, mpsc};

/// How many pieces may wait: a window of the smallest, with a head, an end, and the fault that
/// may come after them.
const PIECES_MAX: usize = WINDOW / PIECE_COST + 3;
/// Room is told of once there is so much of it: not with each piece, and long before the other side has none.
const TOLD_FROM: usize = WINDOW / 4;

/// The pieces that the other side says. Dropped by the side that asks, it ends the conversation, and the other side is
/// told; dropped by the side that answers, the rest of the request is not taken.
///
/// Ends behind a last piece, or with the fault that ended the conversation.
#[derive(Debug)]
pub struct Heard {
    pieces: mpsc::Receiver<Result<Piece, Fault>>,
    room: Arc<Room>,
    /// Whether the last piece was given: whoever puts pieces may be there for longer.
    ended: bool,
}

/// Where the pieces are put.
#[derive(Debug)]
pub(super) struct Ear {
    pieces: mpsc::Sender<Result<Piece, Fault>>,
    room: Arc<Room>,
}

/// Room that was made by reading, and that the other side does not know of yet.
#[derive(Debug, Default)]
struct Room {
    freed: AtomicUsize,
    enough: Notify,
}

/// Both ends of what is heard.
pub(super) fn hearing() -> (Ear, Heard) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let room = Arc::new(Room::default());
    (Ear { pieces: sender, room: room.clone() }, Heard { pieces: receiver, room, ended: false })
}

impl Ear {
    /// Puts a piece where it is read.
    ///
    /// # Errors
    /// If the other side has sent more than there was room for.
    pub(super) fn put(&self, piece: Result<Piece, Fault>) -> Result<(), Fault> {
        match self.pieces.try_send(piece) {
            // Nobody reads any more, which whoever pumps is told in another way.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Fault::new(Code::Failed, "more was sent than there is room for").effect_unknown())
            }
        }
    }

    /// Returns when nobody reads any more.
    pub(super) async fn deaf(&self) {
        self.pieces.closed().await;
    }

    /// Waits until the other side should be told of room, and how much.
    pub(super) async fn room(&self) -> u32 {
        loop {
            if self.room.freed.load(Ordering::Relaxed) >= TOLD_FROM {
                let freed = self.room.freed.swap(0, Ordering::Relaxed);
                return u32::try_from(freed).expect("no more is freed than the window");
            }
            self.room.enough.notified().await;
        }
    }
}

impl Stream for Heard {
    type Item = Result<Piece, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.pieces.poll_recv(context);
        if let Poll::Ready(given) = &polled {
            self.ended = !matches!(given, Some(Ok(piece)) if !piece.is_last());
        }
        if let Poll::Ready(Some(Ok(piece))) = &polled
            && piece.cost() > 0
        {
            let before = self.room.freed.fetch_add(piece.cost(), Ordering::Relaxed);
            if before + piece.cost() >= TOLD_FROM {
                self.room.enough.notify_one();
            }
        }
        polled
    }
}
