//! The one place that knows how things are encoded: a version prefix, then bincode.

use bincode::{Decode, Encode, config, error::DecodeError};

/// The version of the layout that this build writes, and the newest that it reads.
const VERSION: u16 = 1;

/// Why bytes are not what they were taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than the reader takes.
    #[error("{bytes} bytes are more than the {limit} that are taken here")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Written by a newer build.
    #[error("layout version {found} is not known here (this build knows up to {VERSION}): update this node")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Cut short, garbled, or followed by more.
    #[error("bytes are garbled: {0}")]
    Garbled(String),
}

/// Encodes and decodes everything that is stored or sent: `version: u16 LE`, then bincode's standard layout.
///
/// bincode does not describe itself, so enums only ever gain variants at their end, and a change of a struct is a
/// new version. The layout is pinned by golden bytes in tests.
pub struct Codec;

impl Codec {
    /// The encoded form of `value`.
    pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        Self::encode_into(value, &mut bytes);
        bytes
    }

    /// Appends the encoded form of `value` to `bytes`.
    pub fn encode_into<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bincode::encode_into_std_write(value, bytes, config::standard())
            .expect("a Vec takes every write, and our types hold nothing that can't be encoded");
    }

    /// The value that `bytes` hold, all of them.
    ///
    /// `LIMIT` bounds the bytes taken and so what decoding may allocate.
    ///
    /// # Errors
    /// If they are too long, of an unknown version, garbled, or more than one value.
    pub fn decode<T: Decode<()>, const LIMIT: usize>(bytes: &[u8]) -> Result<T, CodecError> {
        if bytes.len() > LIMIT {
            return Err(CodecError::TooLarge { bytes: bytes.len(), limit: LIMIT });
        }
        let (head, body) = bytes
            .split_first_chunk::<2>()
            .ok_or_else(|| CodecError::Garbled("the version is missing".to_owned()))?;
        let found = u16::from_le_bytes(*head);
        if found != VERSION {
            return Err(CodecError::Version { found });
        }
        let options = config::standard().with_limit::<LIMIT>();
        let (value, used) = bincode::decode_from_slice(body, options)
            .map_err(|error| CodecError::Garbled(describe(&error)))?;
        if used != body.len() {
            let more = body.len() - used;
            return Err(CodecError::Garbled(format!("{more} bytes follow the value")));
        }
        Ok(value)
    }
}

/// Why bytes can't be decoded, in plain words: what bincode says of itself is its own source code's form.
fn describe(error: &DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { .. } => "they end too soon".to_owned(),
        DecodeError::LimitExceeded => "a length in them is beyond the limit".to_owned(),
        DecodeError::UnexpectedVariant { found, .. } => format!("there is no variant {found}"),
        DecodeError::Utf8 { .. } => "a text in them is not UTF-8".to_owned(),
        DecodeError::InvalidBooleanValue(found) => format!("{found} is neither true nor false"),
        DecodeError::Other(why) => (*why).to_owned(),
        DecodeError::OtherString(why) => why.clone(),
        _ => "they hold a value that can't be".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Code, Fault, NodeId};

    #[test]
    fn layout_is_frozen() {
        let fault = Fault::new(Code::NotFound, "no x").help("try y");
        assert_eq!(
            Codec::encode(&fault),
            [1, 0, 4, 4, b'n', b'o', b' ', b'x', 1, 5, b't', b'r', b'y', b' ', b'y', 0]
        );
        assert_eq!(Codec::encode(&NodeId(300)), [1, 0, 251, 44, 1]);
    }

    #[test]
    fn garbled_bytes_are_refused() {
        let good = Codec::encode(&Fault::new(Code::Failed, "x"));
        assert!(Codec::decode::<Fault, 1024>(&good).is_ok());
        for cut in 0..good.len() {
            assert!(Codec::decode::<Fault, 1024>(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = good.clone();
        long.push(0);
        assert!(matches!(Codec::decode::<Fault, 1024>(&long), Err(CodecError::Garbled(_))));
        let mut newer = good.clone();
        newer[0] = 9;
        assert_eq!(Codec::decode::<Fault, 1024>(&newer), Err(CodecError::Version { found: 9 }));
        assert!(matches!(Codec::decode::<Fault, 4>(&good), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn garbled_bytes_are_described_in_plain_words() {
        for (bytes, words) in [
            (&[1, 0, 4, 4][..], "they end too soon"),
            (&[1, 0, 99], "there is no variant 99"),
            (&[1, 0, 4, 1, 0xff, 0, 0], "a text in them is not UTF-8"),
            (&[1, 0, 4, 253, 255, 255, 255, 255, 255, 255, 255, 127], "a length in them is beyond the limit"),
        ] {
            let error = Codec::decode::<Fault, 1024>(bytes).expect_err("it is garbled");
            assert_eq!(error.to_string(), format!("bytes are garbled: {words}"));
        }
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        let lie = [1, 0, 4, 253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(Codec::decode::<Fault, 1024>(&lie).is_err());
    }
}
