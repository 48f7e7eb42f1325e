//! How a packet looks on its way.
//!
//! ```text
//! piece u8 (0 whole, 1 first half, 2 second half) │ place of the next node in the path u8 │ nodes u8 │
//! nodes × 8 bytes LE │ number u16 LE, of halves only │ payload
//! ```

use super::path::Path;
use bytes::{BufMut, Bytes, BytesMut};
use micro_sdk::wire::NodeId;

const NODE_BYTES: usize = size_of::<u64>();
const FIXED_BYTES: usize = 3;
const NUMBER_BYTES: usize = size_of::<u16>();

/// How much of what was sent a packet is: links of a small MTU take it in halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Whole,
    First(u16),
    Second(u16),
}

/// A packet that goes through other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub path: Path,
    /// The place in the path of the node that it goes to next.
    pub next: usize,
    pub piece: Piece,
    pub payload: Bytes,
}

impl Packet {
    /// What `payload` is at the start of its path.
    pub(super) fn new(path: Path, payload: Bytes) -> Self {
        Packet { path, next: 1, piece: Piece::Whole, payload }
    }

    /// The node that it goes to next.
    pub(super) fn next_node(&self) -> NodeId {
        self.path.nodes()[self.next]
    }

    /// The node that sends it there.
    pub(super) fn last_node(&self) -> NodeId {
        self.path.nodes()[self.next - 1]
    }

    /// How long it is on the wire.
    pub(super) fn len(&self) -> usize {
        let number = if self.piece == Piece::Whole { 0 } else { NUMBER_BYTES };
        FIXED_BYTES + NODE_BYTES * self.path.nodes().len() + number + self.payload.len()
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.len());
        let (kind, number) = match self.piece {
            Piece::Whole => (0, None),
            Piece::First(number) => (1, Some(number)),
            Piece::Second(number) => (2, Some(number)),
        };
        bytes.put_u8(kind);
        bytes.put_u8(self.next as u8);
        bytes.put_u8(self.path.nodes().len() as u8);
        for node in self.path.nodes() {
            bytes.put_u64_le(node.0);
        }
        if let Some(number) = number {
            bytes.put_u16_le(number);
        }
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// What `bytes` are; none if they are no packet.
    pub(super) fn decode(bytes: &Bytes) -> Option<Packet> {
        let (fixed, rest) = bytes.split_at_checked(FIXED_BYTES)?;
        let (nodes, rest) = rest.split_at_checked(NODE_BYTES * usize::from(fixed[2]))?;
        let (nodes, []) = nodes.as_chunks::<NODE_BYTES>() else { return None };
        let nodes: Vec<NodeId> = nodes.iter().map(|node| NodeId(u64::from_le_bytes(*node))).collect();
        let path = Path::new(&nodes)?;
        let next = usize::from(fixed[1]);
        if !(1..path.nodes().len()).contains(&next) {
            return None;
        }
        let (piece, payload) = match (fixed[0], rest) {
            (0, payload) => (Piece::Whole, payload),
            (1, [low, high, payload @ ..]) => (Piece::First(u16::from_le_bytes([*low, *high])), payload),
            (2, [low, high, payload @ ..]) => (Piece::Second(u16::from_le_bytes([*low, *high])), payload),
            _ => return None,
        };
        Some(Packet { path, next, piece, payload: bytes.slice_ref(payload) })
    }

    /// Itself if it fits into `room` bytes, else its halves if these do, under this `number`; else nothing.
    pub(super) fn fitted(self, room: usize, number: u16) -> Vec<Packet> {
        if self.len() <= room {
            return vec![self];
        }
        if self.piece != Piece::Whole {
            return Vec::new();
        }
        let middle = self.payload.len().div_ceil(2);
        let (first, second) = (self.payload.slice(..middle), self.payload.slice(middle..));
        let half = |piece, payload| Packet { path: self.path, next: self.next, piece, payload };
        let halves = vec![half(Piece::First(number), first), half(Piece::Second(number), second)];
        if halves[0].len() <= room { halves } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(piece: Piece, payload: &'static [u8]) -> Packet {
        let path = Path::new(&[NodeId(1), NodeId(2), NodeId(3)]).expect("a path");
        Packet { path, next: 1, piece, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn layout_is_frozen() {
        let node = |id| [id, 0, 0, 0, 0, 0, 0, 0];
        let whole = [&[0, 1, 3][..], &node(1), &node(2), &node(3), b"ab"].concat();
        assert_eq!(packet(Piece::Whole, b"ab").encode(), whole);
        let half = [&[2, 1, 3][..], &node(1), &node(2), &node(3), &[7, 1], b"ab"].concat();
        assert_eq!(packet(Piece::Second(0x107), b"ab").encode(), half);
    }

    #[test]
    fn what_is_written_is_read_and_all_else_refused() {
        for piece in [Piece::Whole, Piece::First(9), Piece::Second(700)] {
            let packet = packet(piece, b"payload");
            let bytes = packet.encode();
            assert_eq!(bytes.len(), packet.len());
            assert_eq!(Packet::decode(&bytes), Some(packet));
            // What is cut off in the payload is a packet as well: QUIC finds it out.
            for cut in 0..bytes.len() - b"payload".len() {
                assert_eq!(Packet::decode(&bytes.slice(..cut)), None, "{cut}");
            }
        }
        let good = packet(Piece::Whole, b"").encode();
        for (place, value) in [(0, 3), (1, 0), (1, 3), (2, 0), (2, 1), (2, 6), (2, 255), (11, 1)] {
            let mut bytes = good.to_vec();
            bytes[place] = value;
            assert_eq!(Packet::decode(&bytes.into()), None, "{value} at {place}");
        }
    }

    #[test]
    fn what_does_not_fit_goes_in_halves_or_not_at_all() {
        let whole = packet(Piece::Whole, &[7; 101]);
        assert_eq!(whole.clone().fitted(128, 5), vec![whole.clone()]);
        let halves = whole.clone().fitted(127, 5);
        assert_eq!(halves.iter().map(|half| half.payload.len()).collect::<Vec<_>>(), [51, 50]);
        assert_eq!([halves[0].piece, halves[1].piece], [Piece::First(5), Piece::Second(5)]);
        assert_eq!(halves[0].clone().fitted(79, 6), []);
        assert_eq!(whole.fitted(79, 5), []);
    }
}
