//! How a new node gets in: a single-use token, one request, one certificate.

mod dial;
mod token;

pub use dial::join;
pub use token::{JoinToken, TokenError};

use crate::{Certificate, KeyRequest, Place, Trust};
use bincode::{Decode, Encode};
use micro_sdk::wire::NodeId;
use std::{fmt, net::SocketAddr};

/// The largest request or grant. All that a stranger can make a node buffer.
pub(crate) const JOIN_BYTES_MAX: usize = 64 << 10;

/// What a node that wants in sends.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct JoinRequest {
    /// The secret from the token.
    pub secret: [u8; 32],
    /// The key to be certified, and the id that the node has given itself.
    pub key: KeyRequest,
    /// The node's name.
    pub name: String,
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// Where it stands.
    pub place: Place,
    /// The version of its micro-node.
    pub version: String,
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("secret", &"redacted")
            .field("node", &self.key.node)
            .field("name", &self.name)
            .field("address", &self.address)
            .field("place", &self.place)
            .field("version", &self.version)
            .finish()
    }
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JoinGrant {
    /// Its certificate.
    pub certificate: Certificate,
    /// The authorities that the mesh believes.
    pub trust: Trust,
    /// The nodes that it can reach the mesh by.
    pub peers: Vec<(NodeId, SocketAddr)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Codec;

    #[test]
    fn layout_is_frozen() {
        let request = JoinRequest {
            secret: [7; 32],
            key: KeyRequest { node: NodeId(5), public_key: vec![1, 2] },
            name: "b".to_owned(),
            address: ([10, 0, 0, 2], 443).into(),
            place: Place { cloud: "aws".to_owned(), region: "eu".to_owned(), zone: "a".to_owned() },
            version: "0.1".to_owned(),
        };
        let bytes = Codec::encode(&request);
        let golden = [
            &[1, 0][..],
            &[7; 32],
            b"\x05\x02\x01\x02\x01b\x00\x0a\x00\x00\x02\xfb\xbb\x01\x03aws\x02eu\x01a\x030.1",
        ]
        .concat();
        assert_eq!(bytes, golden);
        assert_eq!(Codec::decode::<JoinRequest, JOIN_BYTES_MAX>(&bytes), Ok(request.clone()));
        assert!(!format!("{request:?}").contains("7, 7"));

        let grant = JoinGrant {
            certificate: Certificate { leaf: vec![1], authority: vec![2, 3] },
            trust: Trust::of(&[4]),
            peers: vec![(NodeId(9), ([127, 0, 0, 1], 80).into())],
        };
        let golden = b"\x01\x00\x01\x01\x02\x02\x03\x00\x01\x04\x00\x00\x01\x09\x00\x7f\x00\x00\x01\x50";
        assert_eq!(Codec::encode(&grant), golden);
    }
}
