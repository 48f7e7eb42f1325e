//! How streams and connections begin on the wire.
//!
//! ```text
//! bidirectional: kind u8, then
//!   1 call   head length u32 LE, head, body to the end │ answer: status u8 (0 body, 1 fault), rest to the end
//!   2 lane   lane u8, then frames both ways
//!   3 ping   eight bytes at a time, echoed
//!   4 hello  hello to the end                          │ answer: hello to the end
//!   5 conversation  head length u32 LE, head, then frames both ways
//! unidirectional: kind u8, then
//!   1 gossip one message to the end
//! ```
//!
//! The first stream of a connection is its dialler's hello; nothing else is taken before it.

use bincode::{Decode, Encode};
use std::net::SocketAddr;

/// What a bidirectional stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One call.
    Call = 1,
    /// Frames.
    Lane = 2,
    /// Echoes.
    Ping = 3,
    /// The first stream.
    Hello = 4,
    /// A call whose request and answer go on.
    Conversation = 5,
}

impl Kind {
    /// The kind of a byte.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Kind::Call, Kind::Lane, Kind::Ping, Kind::Hello, Kind::Conversation]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// The one kind of unidirectional stream.
pub(crate) const GOSSIP_KIND: u8 = 1;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Purpose {
    /// Everything between two nodes.
    Link,
    /// One bulk transfer.
    Bulk,
}

/// Which process a node is. Two that have one node's identity run from copies of one data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Life {
    /// Counts the starts of the data directory.
    pub(crate) boot: u64,
    /// Drawn by the process: two that were started from copies may count alike.
    pub(crate) nonce: u64,
}

impl Life {
    /// Whether whoever has linked `self` must not take `other` any more. Of two that count alike the first is taken:
    /// the second may come from a copy that is older than what the first has promised since.
    pub(crate) fn supersedes(self, other: Life) -> bool {
        self.boot > other.boot || (self.boot == other.boot && self.nonce != other.nonce)
    }
}

/// The longest hello.
pub(crate) const HELLO_BYTES_MAX: usize = 1024;

/// What both ends say first. Who they are is in their certificates.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Hello {
    /// Which life of the node this is: a connection of an earlier life is dead, or should be.
    pub(crate) life: Life,
    /// Where the node is dialled.
    pub(crate) advertise: SocketAddr,
    /// What the dialler wants the connection for.
    pub(crate) purpose: Purpose,
    /// The version of its micro-node.
    pub(crate) version: String,
    /// How many certificates this life has used before the one that it shows: a link of later ones takes the place of
    /// one of earlier ones.
    pub(crate) renewals: u64,
}

/// The ALPN protocol of one mesh: other versions and other meshes fail the handshake.
pub(crate) fn mesh_protocol(cluster: micro_sdk::wire::ClusterId) -> Vec<u8> {
    format!("micro/5/{cluster}").into_bytes()
}

/// The ALPN protocol of joining.
pub(crate) const JOIN_PROTOCOL: &[u8] = b"micro-join/1";

/// The ALPN protocol of renewing a certificate that does not count any more.
pub(crate) const RENEWAL_PROTOCOL: &[u8] = b"micro-renewal/1";

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::{ClusterId, Codec};

    #[test]
    fn an_earlier_life_and_a_second_one_of_the_same_count_are_superseded() {
        let life = |boot, nonce| Life { boot, nonce };
        assert!(life(2, 1).supersedes(life(1, 9)));
        assert!(life(2, 1).supersedes(life(2, 9)) && life(2, 9).supersedes(life(2, 1)));
        assert!(!life(2, 1).supersedes(life(2, 1)) && !life(2, 1).supersedes(life(3, 0)));
        assert!(!Life::default().supersedes(life(1, 5)), "nothing was linked before");
    }

    #[test]
    fn layout_is_frozen() {
        let kinds = [Kind::Call, Kind::Lane, Kind::Ping, Kind::Hello, Kind::Conversation];
        assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5]);
        assert_eq!(kinds.map(|kind| Kind::from_byte(kind as u8)), kinds.map(Some));
        assert_eq!(Kind::from_byte(0), None);
        assert_eq!(Kind::from_byte(6), None);
        let hello = Hello {
            life: Life { boot: 3, nonce: 7 },
            advertise: ([127, 0, 0, 1], 80).into(),
            purpose: Purpose::Bulk,
            version: "1".to_owned(),
            renewals: 4,
        };
        assert_eq!(Codec::encode(&hello), [1, 0, 3, 7, 0, 127, 0, 0, 1, 80, 1, 1, b'1', 4]);
        assert_eq!(mesh_protocol(ClusterId(1)), b"micro/5/00000000000000000000000000000001");
    }
}
