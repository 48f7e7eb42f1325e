//! What this side of a conversation says, as the other side has room for it.

use super::{
    Piece, Said, WINDOW,
    piece::{DATA_BYTES_MAX, Frame},
};
use crate::frame::frame_into;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use micro_sdk::wire::{Code, Fault};

/// Pieces that are there at the same time go in one write until it has so many bytes: the other side is woken once for
/// them, and a long one is sent while the next is made.
const WRITE_BYTES: usize = DATA_BYTES_MAX;

/// The pieces of one side that are still to be said.
pub(super) struct Saying {
    said: Said,
    /// What may still be sent before the other side has read some of it.
    credit: usize,
    /// What is said next, once there is credit for it.
    next: Option<Piece>,
    over: bool,
}

impl Saying {
    pub(super) fn new(said: Said) -> Self {
        Saying { said, credit: WINDOW, next: None, over: false }
    }

    /// Whether nothing more is said.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Says nothing more.
    pub(super) fn stop(&mut self) {
        self.over = true;
        self.next = None;
    }

    /// Takes word of room for so many bytes more.
    pub(super) fn give_credit(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add(bytes).min(WINDOW);
    }

    /// Whether it waits for something to say, and not for credit.
    pub(super) fn is_idle(&self) -> bool {
        !self.over && self.next.is_none()
    }

    /// Waits for something to say, while it [is idle](Self::is_idle). Safe to drop half-way.
    pub(super) async fn come(&mut self) {
        self.next = Some(self.said.next().await.unwrap_or_else(unended));
    }

    /// The frames of what can be said now, for one write; none if there is nothing, or no credit for it.
    pub(super) fn frames(&mut self) -> Option<Bytes> {
        let mut frames = Vec::new();
        while frames.len() < WRITE_BYTES && !self.over {
            if self.next.is_none() {
                self.next = self.said.next().now_or_never().map(|piece| piece.unwrap_or_else(unended));
            }
            let Some(piece) = self.next.take_if(|piece| piece.cost() <= self.credit) else { break };
            self.credit -= piece.cost();
            self.over = piece.is_last();
            frame_into(&mut frames, |buffer| Frame::Piece(piece).encode_into(buffer));
        }
        (!frames.is_empty()).then(|| frames.into())
    }
}

/// A side that stops without an end would leave the other one waiting.
fn unended() -> Piece {
    Piece::Fault(Fault::new(Code::Internal, "the answer has no end").effect_unknown())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::PIECE_COST;
    use futures::stream;

    fn data(bytes: usize) -> Piece {
        Piece::Data(vec![7; bytes].into())
    }

    fn saying(pieces: Vec<Piece>) -> Saying {
        Saying::new(stream::iter(pieces).chain(stream::pending()).boxed())
    }

    #[test]
    fn what_is_there_together_goes_in_one_write() {
        let mut saying = saying(vec![Piece::Head(Vec::new()), data(10), data(20), Piece::End(Vec::new())]);
        let mut expected = Vec::new();
        for piece in [Piece::Head(Vec::new()), data(10), data(20), Piece::End(Vec::new())] {
            frame_into(&mut expected, |buffer| Frame::Piece(piece).encode_into(buffer));
        }
        assert_eq!(saying.frames().expect("there is something"), expected);
        assert!(saying.is_over() && saying.frames().is_none());
    }

    #[test]
    fn long_pieces_go_one_at_a_time_and_only_as_there_is_credit() {
        let mut saying = saying(vec![data(DATA_BYTES_MAX); 9]);
        let within = WINDOW / (DATA_BYTES_MAX + PIECE_COST);
        for _ in 0..within {
            let frames = saying.frames().expect("there is credit");
            assert!(frames.len() < DATA_BYTES_MAX + PIECE_COST, "{}", frames.len());
        }
        assert!(saying.frames().is_none() && !saying.is_idle(), "it waits for credit");
        saying.give_credit(DATA_BYTES_MAX);
        assert!(saying.frames().is_some());
    }

    #[test]
    fn a_side_that_stops_early_says_so() {
        let mut saying = Saying::new(stream::iter([data(1)]).boxed());
        let frames = saying.frames().expect("there is something");
        assert!(String::from_utf8_lossy(&frames).contains("the answer has no end"));
        assert!(saying.is_over());
    }

    #[test]
    fn nothing_is_asked_for_behind_the_last() {
        let mut saying = saying(vec![Piece::End(Vec::new()), data(1)]);
        assert!(saying.frames().is_some() && saying.frames().is_none() && !saying.is_idle());
    }
}
