//! The pieces of a conversation, a frame each.

use super::PIECE_COST;
use crate::call::FAULT_BYTES_MAX;
use bytes::Bytes;
use micro_sdk::wire::{Code, Codec, Fault, limits::HEAD_BYTES_MAX};

/// Names in lowercase with their values, in order; a name may come more than once.
pub type Metadata = Vec<(String, Vec<u8>)>;

/// The most bytes in one piece: small enough that several fit a window, and that one does not hold up others for long.
pub const DATA_BYTES_MAX: usize = 32 << 10;
/// The longest frame: a fault.
pub(super) const FRAME_BYTES_MAX: usize = FAULT_BYTES_MAX + 1;

/// A piece of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The head of the answer. Comes first, and only from the side that answers.
    Head(Metadata),
    /// Bytes of the request or of the answer, at most [`DATA_BYTES_MAX`].
    Data(Bytes),
    /// The end of what a side says, with the trailers of the answer.
    End(Metadata),
    /// The conversation failed. Only from the side that answers.
    Fault(Fault),
}

/// What travels: a piece, or room for more of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Piece(Piece),
    /// So much of the window is free again.
    Credit(u32),
}

const HEAD: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const FAULT: u8 = 4;
const CREDIT: u8 = 5;

impl Piece {
    /// What it takes of the window.
    pub(super) fn cost(&self) -> usize {
        match self {
            Piece::Data(bytes) => bytes.len() + PIECE_COST,
            Piece::Head(_) | Piece::End(_) | Piece::Fault(_) => 0,
        }
    }

    /// Whether its side says nothing after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Piece::End(_) | Piece::Fault(_))
    }
}

impl Frame {
    /// The bytes of the frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    /// Appends the bytes of the frame. Metadata that is too long becomes a fault that says so.
    pub(super) fn encode_into(&self, buffer: &mut Vec<u8>) {
        match self {
            Frame::Piece(Piece::Head(metadata)) => metadata_into(buffer, HEAD, metadata),
            Frame::Piece(Piece::End(metadata)) => metadata_into(buffer, END, metadata),
            Frame::Piece(Piece::Data(bytes)) => {
                buffer.push(DATA);
                buffer.extend_from_slice(bytes);
            }
            Frame::Piece(Piece::Fault(fault)) => {
                buffer.push(FAULT);
                Codec::encode_into(fault, buffer);
            }
            Frame::Credit(bytes) => {
                buffer.push(CREDIT);
                buffer.extend_from_slice(&bytes.to_le_bytes());
            }
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Code::Failed`] if it is none.
    pub(super) fn decode(frame: &Bytes) -> Result<Frame, Fault> {
        let garbled = |why: &str| {
            Fault::new(Code::Failed, format!("a piece of a conversation is garbled: {why}")).effect_unknown()
        };
        let rest = frame.get(1..).unwrap_or_default();
        let metadata =
            || Codec::decode::<Metadata, HEAD_BYTES_MAX>(rest).map_err(|error| garbled(&error.to_string()));
        Ok(match frame.first() {
            Some(&HEAD) => Frame::Piece(Piece::Head(metadata()?)),
            Some(&END) => Frame::Piece(Piece::End(metadata()?)),
            Some(&DATA) if rest.len() <= DATA_BYTES_MAX => Frame::Piece(Piece::Data(frame.slice(1..))),
            Some(&FAULT) => {
                let fault = Codec::decode::<Fault, FAULT_BYTES_MAX>(rest);
                Frame::Piece(Piece::Fault(fault.map_err(|error| garbled(&error.to_string()))?))
            }
            Some(&CREDIT) => {
                let bytes = rest.try_into().map_err(|_| garbled("a credit has four bytes"))?;
                Frame::Credit(u32::from_le_bytes(bytes))
            }
            _ => return Err(garbled("it is of no kind that is known here")),
        })
    }
}

fn metadata_into(buffer: &mut Vec<u8>, kind: u8, metadata: &Metadata) {
    let start = buffer.len();
    buffer.push(kind);
    Codec::encode_into(metadata, buffer);
    if Codec::decode::<Metadata, HEAD_BYTES_MAX>(&buffer[start + 1..]).is_err() {
        buffer.truncate(start);
        let message =
            format!("the metadata of the answer is more than the {HEAD_BYTES_MAX} bytes that are carried");
        Frame::Piece(Piece::Fault(Fault::new(Code::Failed, message).effect_unknown())).encode_into(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let metadata = vec![("a".to_owned(), b"b".to_vec())];
        for (frame, golden) in [
            (Frame::Piece(Piece::Head(metadata.clone())), &b"\x01\x01\0\x01\x01a\x01b"[..]),
            (Frame::Piece(Piece::Data(Bytes::from_static(b"xy"))), b"\x02xy"),
            (Frame::Piece(Piece::End(metadata)), b"\x03\x01\0\x01\x01a\x01b"),
            (Frame::Piece(Piece::Fault(Fault::new(Code::NotFound, "x"))), b"\x04\x01\0\x04\x01x\0\0"),
            (Frame::Credit(258), b"\x05\x02\x01\0\0"),
        ] {
            assert_eq!(frame.encode(), golden);
            assert_eq!(Frame::decode(&Bytes::from_static(golden)), Ok(frame));
        }
    }

    #[test]
    fn garbled_frames_are_faults() {
        let long = [vec![DATA], vec![0; DATA_BYTES_MAX + 1]].concat();
        for frame in [&[][..], &[0], &[9, 1], &[HEAD], &[END, 1, 0], &[CREDIT, 1], &long] {
            let fault = Frame::decode(&Bytes::copy_from_slice(frame)).expect_err("it is none");
            assert_eq!(fault.code, Code::Failed);
        }
    }

    #[test]
    fn metadata_that_is_too_long_is_told_as_a_fault() {
        let metadata = vec![("a".to_owned(), vec![b'b'; HEAD_BYTES_MAX])];
        let frame = Frame::decode(&Frame::Piece(Piece::End(metadata)).encode().into()).expect("a frame");
        assert!(matches!(frame, Frame::Piece(Piece::Fault(_))), "{frame:?}");
    }
}
